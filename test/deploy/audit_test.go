package deploy

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
)

// deployment is the stack on this machine: its built functions with the environment that the
// template gives them, its bus, and what its rules bring from there into the queues.
type deployment struct {
	*stack
	*huaweitest.Cloud
	bus      awstest.EventBridge
	audit    *lambdalocal.Function
	triggers map[string]lambdalocal.Trigger // by the function's logical id
	brought  []string                       // what the rules have brought, and to which function
	seen     int                            // entries that have been on the bus
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{
		stack:    load(t).deploy(map[string]any{"DryRun": "false"}),
		Cloud:    huaweitest.New(huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}),
		triggers: map[string]lambdalocal.Trigger{},
	}
	cloud, bus := httptest.NewServer(d.Cloud), httptest.NewServer(&d.bus)
	t.Cleanup(cloud.Close)
	t.Cleanup(bus.Close)
	for id, name := range d.functions() {
		env := map[string]string{}
		for variable, v := range d.environment(id) {
			env[variable] = fmt.Sprint(v)
		}
		delete(env, "HUAWEICLOUD_CREDENTIALS_SECRET")
		env["HUAWEICLOUD_SDK_AK"], env["HUAWEICLOUD_SDK_SK"] = "AKEXAMPLE0001", "SKexample0001"
		env["IDENTITYCENTER_ENDPOINT"], env["ORGANIZATIONS_ENDPOINT"] = cloud.URL, cloud.URL
		env["RESULT_SINK"], env["AWS_ENDPOINT_URL_EVENTBRIDGE"] = "eventbridge://registrar-dev", bus.URL
		env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"] = awstest.AccessKey, awstest.SecretKey
		f := start(t, name, env)
		if name == audit {
			d.audit = f
			continue
		}
		trigger, err := lambdalocal.NewTrigger(f.Invoke, "registrar-dev-"+name, time.Minute)
		require.NoError(t, err)
		d.triggers[id] = trigger
	}
	return d
}

// auditAt invokes the audit as the schedule does, and lets the functions do what it asks for, and
// what comes of that. It returns the type of the audit's result.
func (d *deployment) auditAt(t *testing.T, scheduled string) string {
	t.Helper()
	input := text(d.get("AuditOrganizationResources/Schedule", "Target", "Input"))
	input = strings.ReplaceAll(input, "<aws.scheduler.scheduled-time>", scheduled)
	answer, err := d.audit.Invoke(t.Context(), []byte(input))
	require.NoError(t, err)
	require.Empty(t, answer.FunctionError, "%s", answer.Payload)
	for d.deliver(t) {
	}
	var result struct{ Type string }
	require.NoError(t, json.Unmarshal(answer.Payload, &result))
	return result.Type
}

// deliver brings what is new on the bus to the functions, and reports whether anything was.
func (d *deployment) deliver(t *testing.T) bool {
	t.Helper()
	fresh := d.bus.Entries()[d.seen:]
	d.seen += len(fresh)
	for _, entry := range fresh {
		d.mayPut(t, entry)
		for id, trigger := range d.triggers {
			event := envelope(entry.Source, entry.DetailType)
			event["id"], event["detail"] = awstest.RequestID, json.RawMessage(entry.Detail)
			if !matches(d.get(id+"Resources/Rule", "EventPattern"), event) {
				continue
			}
			d.brought = append(d.brought, entry.DetailType+" to "+d.functions()[id])
			body, err := json.Marshal(event)
			require.NoError(t, err)
			_, err = trigger.Queue.Send(string(body), "")
			require.NoError(t, err)
			_, err = trigger.Mapping.Deliver(t.Context())
			require.NoError(t, err)
			assert.Empty(t, trigger.Queue.Messages(), "%s: takes %s", id, body)
		}
	}
	return len(fresh) > 0
}

// mayPut holds that a role lets the function put an entry.
func (d *deployment) mayPut(t *testing.T, entry awstest.Entry) {
	t.Helper()
	for id, name := range d.functions() {
		if entry.Source != "/registrar/"+name {
			continue
		}
		may := d.may(id+"Resources/Role", "events:PutEvents")[0]
		types := list(dig(may.Condition, "StringLike", "events:detail-type"))
		assert.True(t, slices.ContainsFunc(types, func(pattern any) bool {
			ok, _ := path.Match(text(pattern), entry.DetailType)
			return ok
		}), "%s may put %v, puts %s", name, types, entry.DetailType)
		return
	}
	assert.Fail(t, "nobody may put", "%+v", entry)
}

func TestWhatTheAuditFindsMissingIsRegisteredByWayOfTheBusAndNothingElseComesBack(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	rules := text(d.environment("AuditOrganization")["ADMINISTRATORS"])
	service, account, _ := strings.Cut(rules, "=id:")
	d.AddAccount(account, "active")
	d.AddAccount("ordinary", "active")
	d.SetRegion(text(d.environment("AuditOrganization")["REGION_ID"]))

	assert.Equal(t, "org.audit.drifted", d.auditAt(t, "2026-01-02T03:00:00Z"))
	assert.Equal(t, []string{"org.service.missing to register-service"}, d.brought)
	assert.Equal(t, d.environment("AuditOrganization")["TRUSTED_SERVICES"], strings.Join(d.Trusted(), ","))
	assert.Equal(t, "org.audit.drifted", d.auditAt(t, "2026-01-02T03:15:00Z"))
	assert.Equal(t, []string{"account.admin.missing to register-admin"}, d.brought[1:])
	assert.Equal(t, []string{service}, d.Delegations(account))
	assert.Equal(t, "org.audit.passed", d.auditAt(t, "2026-01-02T03:30:00Z"))

	d.Undelegate(account, service)
	assert.Equal(t, "org.audit.drifted", d.auditAt(t, "2026-01-02T03:45:00Z"))
	assert.Equal(t, []string{service}, d.Delegations(account))
	assert.Empty(t, d.Delegations("ordinary"))
	assert.Len(t, d.brought, 3, "no result is brought to anybody")
	for id, trigger := range d.triggers {
		assert.Empty(t, trigger.DeadLetters.Messages(), id)
	}
}
