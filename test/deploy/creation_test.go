package deploy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What moto, an imitation of AWS, can't make. It leaves that out and makes the rest. It can't make
// AWS::SecretsManager::Secret either, so the test gives the stack a secret.
var unknownToMoto = []string{
	"AWS::CloudWatch::Alarm", "AWS::Events::EventBusPolicy", "AWS::Lambda::EventInvokeConfig",
	"AWS::Logs::QueryDefinition",
	"AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule",
}

// TestTheStackIsCreated packages the templates with the real aws client, transforms them as AWS
// does, and has moto create them. So the order of creation works, and every reference leads
// somewhere.
func TestTheStackIsCreated(t *testing.T) {
	t.Parallel()
	aws, env, unknown := startMoto(t)

	secret := aws("secretsmanager", "create-secret", "--name", "registrar", "--query", "ARN")
	given := map[string]any{"CredentialsSecretArn": secret}
	names := createStack(t, aws, given)
	stacks := aws("cloudformation", "list-stacks", "--query", "StackSummaries[].StackStatus")
	assert.Equal(t, slices.Repeat([]string{"CREATE_COMPLETE"}, 1+len(names)), strings.Fields(stacks))
	deployed := load(t).deploy(given)
	schedule, err := json.Marshal(deployed.get("AuditOrganizationResources/Schedule"))
	require.NoError(t, err)
	aws("scheduler", "create-schedule", "--cli-input-json", string(schedule))
	pausesAndResumes(t, aws, env, deployed)
	for _, name := range names {
		function := "registrar-dev-" + name
		aws("lambda", "get-function", "--function-name", function)
		if name == audit {
			continue
		}
		mapping, queue, _ := strings.Cut(aws("lambda", "list-event-source-mappings", "--function-name", function,
			"--query", "EventSourceMappings[].[UUID, EventSourceArn]"), "\t")
		assert.Equal(t, "arn:aws:sqs:eu-central-1:123456789012:"+function, queue)
		// Without this moto would run the function, in a container.
		aws("lambda", "delete-event-source-mapping", "--uuid", mapping)
	}
	put := func(source string, types []string) {
		for some := range slices.Chunk(types, 10) {
			var entries []map[string]string
			for _, eventType := range some {
				entries = append(entries, map[string]string{
					"EventBusName": "registrar-dev", "Source": source, "DetailType": eventType, "Detail": "{}",
				})
			}
			encoded, err := json.Marshal(entries)
			require.NoError(t, err)
			aws("events", "put-events", "--entries", string(encoded))
		}
	}
	events, asked := []string{"org.bootstrap", "account.created"}, slices.Collect(maps.Values(requests))
	put("/registrar/"+audit, slices.Concat(events, deployed.resultTypes()))
	put("/tests", slices.Concat(asked, deployed.resultTypes()))
	put("/tests", events)
	put("/registrar/"+audit, asked)
	for id, name := range deployed.onBus() {
		want := []string{text(deployed.environment(id)["EVENT_TYPES"])}
		if requests[name] != "" {
			want = append(want, requests[name])
		}
		url := aws("sqs", "get-queue-url", "--queue-name", "registrar-dev-"+name)
		messages := aws("sqs", "receive-message", "--queue-url", url, "--max-number-of-messages", "10",
			"--query", "Messages[].Body")
		var got []string
		for _, found := range regexp.MustCompile(`"detail-type": "([^"]*)"`).FindAllStringSubmatch(messages, -1) {
			got = append(got, found[1])
		}
		assert.ElementsMatch(t, want, got, "%s: what reaches its queue", name)
	}
	isThere(t, aws, deployed)
	assert.Subset(t, unknownToMoto, unknown())
}

// isThere fails for each resource that moto didn't make, but for the types that it doesn't know.
// Those of nested stacks are looked for among the resources of all stacks.
func isThere(t *testing.T, aws func(args ...string) string, deployed *stack) {
	t.Helper()
	var want, got []string
	for id, resource := range deployed.Resources {
		kind, condition := text(dig(resource, "Type")), text(dig(resource, "Condition"))
		if (condition == "" || deployed.holds(condition)) && !slices.Contains(unknownToMoto, kind) {
			want = append(want, path.Base(id))
		}
	}
	stacks := aws("cloudformation", "list-stacks", "--query", "StackSummaries[].StackName")
	for name := range strings.FieldsSeq(stacks) {
		listed := aws("cloudformation", "list-stack-resources", "--stack-name", name,
			"--query", "StackResourceSummaries[].LogicalResourceId")
		got = append(got, strings.Fields(listed)...)
	}
	for _, id := range want {
		i := slices.Index(got, id)
		if assert.GreaterOrEqual(t, i, 0, "%s isn't there", id) {
			got = slices.Delete(got, i, i+1) // an id is in each nested stack once
		}
	}
}

// createStack packages, transforms and creates the stack in a moto, and returns the names of its
// functions.
func createStack(t *testing.T, aws func(args ...string) string, given map[string]any) []string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(definition)), 0o700))
	for _, file := range append(templates(t), definition) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), read(t, file), 0o600))
	}
	names, err := functionNames()
	require.NoError(t, err)
	for _, name := range names {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "dist", name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "dist", name, "bootstrap"), []byte(name), 0o600))
	}

	parameters := maps.Clone(given)
	s := load(t)
	for name, declared := range object(s.tree["Parameters"]) {
		byDefault := dig(declared, "Default")
		switch {
		case parameters[name] != nil:
		case byDefault == nil:
			parameters[name] = dig(s.tree, "Stages", "dev", name)
		case dig(declared, "Type") == "CommaDelimitedList": // moto doesn't make a list of a default
			parameters[name] = byDefault
		}
	}
	aws("s3", "mb", "s3://artifacts")
	aws("cloudformation", "package", "--template-file", filepath.Join(dir, "template.yaml"),
		"--s3-bucket", "artifacts", "--output-template-file", filepath.Join(dir, "packaged.yaml"))
	template := transformed(t, filepath.Join(dir, "packaged.yaml"), parameters)
	create := []string{
		"cloudformation", "create-stack", "--stack-name", "registrar-dev", "--template-body", "file://" + template,
		"--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameters",
	}
	for name, v := range parameters {
		v := strings.ReplaceAll(fmt.Sprint(v), ",", `\,`)
		create = append(create, "ParameterKey="+name+",ParameterValue="+v)
	}
	aws(create...)
	return names
}

// TestTheStackIsCreatedForEachWayToCredentials creates it without a secret, and with a key that
// only assumes an agency. Moto heeds neither the template's rules nor its roles: it keeps what
// functions are told and may do, and that is compared. Of a secret it says that it can't make one,
// so without that the stack wants none.
func TestTheStackIsCreatedForEachWayToCredentials(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]map[string]any{"a token": auditApart, "an agency": byAgency} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aws, _, unknown := startMoto(t)
			if given["OidcProviderUrn"] == nil {
				secret := aws("secretsmanager", "create-secret", "--name", "registrar", "--query", "ARN")
				given = with(given, "CredentialsSecretArn", secret)
			}
			names := createStack(t, aws, given)
			stacks := aws("cloudformation", "list-stacks", "--query", "StackSummaries[].StackStatus")
			assert.Equal(t, slices.Repeat([]string{"CREATE_COMPLETE"}, 1+len(names)), strings.Fields(stacks))

			var functions []struct {
				FunctionName, Role string
				Environment        struct{ Variables map[string]any }
			}
			listed := aws("lambda", "list-functions", "--query", "to_string(Functions)")
			require.NoError(t, json.Unmarshal([]byte(listed), &functions))
			assert.Len(t, functions, len(names))
			outputs := aws("cloudformation", "describe-stacks", "--stack-name", "registrar-dev",
				"--query", "Stacks[0].Outputs[].[OutputKey, OutputValue]")
			deployed := load(t).deploy(given)
			ids := map[string]string{}
			for id, name := range deployed.functions() {
				ids["registrar-dev-"+name] = id
			}
			for _, f := range functions {
				id := ids[f.FunctionName]
				assert.Equal(t, ways(deployed.environment(id)), ways(f.Environment.Variables), id)
				assert.Contains(t, outputs, id+"RoleArn\t"+f.Role)
				policy := aws("iam", "get-role-policy", "--role-name", path.Base(f.Role), "--policy-name", "function",
					"--query", "to_string(PolicyDocument)")
				var may, wanted []string
				for _, found := range regexp.MustCompile(`.Sid.: .(\w+)`).FindAllStringSubmatch(policy, -1) {
					may = append(may, found[1])
				}
				for _, st := range deployed.statements() {
					if sid, ok := strings.CutPrefix(st.Where, id+"Resources/Role "); ok {
						wanted = append(wanted, sid)
					}
				}
				assert.Equal(t, wanted, may, id)
			}
			isThere(t, aws, deployed)
			assert.Subset(t, unknownToMoto, unknown())
		})
	}
}

// pausesAndResumes runs make pause and make resume, which leave the stack's schedule as it was.
func pausesAndResumes(t *testing.T, aws func(args ...string) string, env []string, deployed *stack) {
	t.Helper()
	state := func() (schedule string, mappings []string) {
		for _, name := range deployed.onBus() {
			mappings = append(mappings, aws("lambda", "list-event-source-mappings",
				"--function-name", "registrar-dev-"+name, "--query", "EventSourceMappings[].State"))
		}
		schedule = aws("scheduler", "get-schedule", "--name", "registrar-dev-"+audit, "--query",
			"to_string([State, Name, GroupName, Description, ScheduleExpression, FlexibleTimeWindow, Target])")
		return schedule, mappings
	}
	begun, mappings := state()
	require.Contains(t, begun, "ENABLED")
	require.Equal(t, []string{"Enabled", "Enabled", "Enabled"}, mappings)
	for _, target := range []string{"pause", "resume"} {
		cmd := makeIn(root, target)
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		wanted, each := begun, "Enabled"
		if target == "pause" {
			wanted, each = strings.Replace(begun, "ENABLED", "DISABLED", 1), "Disabled"
		}
		schedule, mappings := state()
		assert.Equal(t, wanted, schedule, target)
		assert.Equal(t, []string{each, each, each}, mappings, target)
	}
}

// startMoto returns the aws client of a moto, which ends with the test, and the environment for
// other clients of it. unknown ends it before, and returns the types of resources that it left out.
func startMoto(t *testing.T) (aws func(args ...string) string, env []string, unknown func() []string) {
	t.Helper()
	needsTools(t, "the aws client, moto and aws-sam-translator")
	if exec.Command("python3", "-c", "import moto.server, samtranslator").Run() != nil {
		t.Skip("moto or aws-sam-translator isn't on this machine")
	}
	moto := exec.CommandContext(t.Context(), "python3", "testdata/serve.py", "0")
	stderr, err := moto.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, moto.Start())

	running := regexp.MustCompile(`Running on http://127\.0\.0\.1(:\d+)`)
	endpoint, lines := "", bufio.NewScanner(stderr)
	for endpoint == "" && lines.Scan() {
		if found := running.FindStringSubmatch(lines.Text()); found != nil {
			endpoint = "http://localhost" + found[1] // moto finds the bucket of a nested template by localhost only
		}
	}
	require.NotEmpty(t, endpoint)
	var said strings.Builder
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
			fmt.Fprintln(&said, lines.Text())
		}
	}()
	end := sync.OnceFunc(func() {
		_ = moto.Process.Kill()
		<-drained
		_ = moto.Wait()
	})
	t.Cleanup(end)

	env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		// for make and package, which don't heed the option; for SQS the variable isn't heeded
		"AWS_ENDPOINT_URL=" + endpoint,
		"AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing", "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_PAGER=",
	}
	aws = func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", append(args, "--output", "text", "--endpoint-url", endpoint)...)
		cmd.Env = env
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		require.NoError(t, err, "aws %s: %s", strings.Join(args, " "), said.String())
		return strings.TrimSpace(string(out))
	}
	unknown = func() []string {
		end()
		var found []string
		inVain := regexp.MustCompile(`No Moto CloudFormation support for (\S+)`)
		for _, missing := range inVain.FindAllStringSubmatch(said.String(), -1) {
			found = append(found, missing[1])
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	return aws, env, unknown
}

// transformed is a file with a packaged template after AWS's transform.
func transformed(t *testing.T, packaged string, parameters map[string]any) string {
	t.Helper()
	encoded, err := json.Marshal(parameters)
	require.NoError(t, err)
	transform := exec.CommandContext(t.Context(), "python3", "testdata/transform.py", packaged, string(encoded))
	transform.Env = append(os.Environ(), "AWS_DEFAULT_REGION=eu-central-1")
	var said strings.Builder
	transform.Stderr = &said
	out, err := transform.Output()
	require.NoError(t, err, said.String())
	var answer struct {
		Template json.RawMessage
		Adapted  map[string]string
	}
	require.NoError(t, json.Unmarshal(out, &answer))
	for id, why := range answer.Adapted {
		t.Logf("%s is changed for moto: %s", id, why)
	}
	file := packaged + ".json"
	require.NoError(t, os.WriteFile(file, answer.Template, 0o600))
	return file
}
