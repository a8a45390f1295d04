package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

// play is a run whose every step a test chooses.
type play struct {
	*books
	a *account // the rules give it service.SecMaster and service.CTS
	e *event   // about the account, on its way; it names service.SecMaster
	d int      // how many deliveries there were
}

func newPlay() *play {
	b := newBooks(newWorld(huaweitest.New()))
	p := &play{books: b, a: b.world.plan("a", rules["security"])}
	b.world.join(p.a, "security", false)
	time.Sleep(time.Minute) // it has been a member for long
	p.e = &event{function: "register-admin", source: source, id: "1", account: p.a, services: services[:1]}
	return p
}

func (p *play) key() string { return key(p.e.function, p.e.source, p.e.id) }

func (p *play) name() string { return fmt.Sprint(p.d) }

// deliver begins a delivery of the event, which is sent if it wasn't.
func (p *play) deliver() {
	if p.d == 0 {
		p.sent(p.e)
	}
	p.d++
	p.begun(p.key(), p.name(), time.Now())
}

func (p *play) acknowledge() { p.ended(p.key(), p.name(), time.Now(), true, atSink) }

// write makes the account an administrator, as a function does it.
func (p *play) write(service string) {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	asked := map[string]string{"account_id": "a", "service_principal": service}
	wrong := p.world.wrote(time.Now(), registerAdmin, asked)
	if wrong != "" {
		p.accuse(untrue, wrong)
	}
}

// says is a result of the event with the one registration; more is laid over its data.
func (p *play) says(eventType string, more map[string]any) {
	data := map[string]any{
		"account_id": "a", "cause": map[string]string{"id": p.e.id, "source": p.e.source},
	}
	maps.Copy(data, more)
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(p.e.source+"\n"+p.e.id+"\n"+eventType)).String()
	if data["id"] != nil {
		id = "another"
	}
	payload, _ := json.Marshal(map[string]any{"id": id, "type": eventType, "data": data})
	p.result(p.e.function, atSink, payload, time.Now())
}

func one(outcome, reason string, attempts int) map[string]any {
	return map[string]any{"outcome": outcome, "registrations": []map[string]any{
		{"service_principal": services[0], "outcome": outcome, "reason": reason, "attempts": attempts},
	}}
}

func (p *play) registered() { p.says("account.admin.registered", one("registered", "", 1)) }
func (p *play) unchanged()  { p.says("account.admin.registered", one("unchanged", "", 0)) }

func (p *play) rejected(reason string) {
	p.says("account.admin.rejected", one("rejected", reason, 0))
}

// audited is the result of an audit that began a moment ago.
func (p *play) audited(outcome string, findings map[string]any) {
	p.e = &event{function: "audit-organization", source: source, id: "audit"}
	p.d = 0
	p.deliver()
	time.Sleep(time.Second)
	data := map[string]any{"outcome": outcome, "region": map[string]string{"observed": region}}
	maps.Copy(data, findings)
	p.says("org.audit."+outcome, data)
	p.acknowledge()
}

// perfect is an organization that is as it shall be.
func (p *play) perfect() {
	p.world.setRegion("", region)
	for _, service := range services {
		p.world.trust(service, true)
	}
	for _, service := range p.a.given {
		p.world.delegate(p.a, service, true)
	}
	time.Sleep(time.Minute)
}

func TestTheJudge(t *testing.T) {
	t.Parallel()
	secMaster := []map[string]string{{"account_id": "a", "service_principal": services[0]}}
	for name, c := range map[string]struct {
		play func(*play)
		want string // the verdict, or "" for a run without fault
	}{
		"an honest run": {func(p *play) { p.deliver(); p.write(services[0]); p.registered(); p.acknowledge() }, ""},
		"done by an earlier delivery": {func(p *play) {
			p.deliver()
			p.write(services[0])
			p.ended(p.key(), p.name(), time.Now(), false)
			time.Sleep(time.Minute)
			p.deliver()
			p.unchanged()
			p.acknowledge()
		}, ""},
		"a list that lagged": {func(p *play) {
			p.world.delegate(p.a, services[0], true)
			p.world.delegate(p.a, services[0], false)
			time.Sleep(lag / 2)
			p.deliver()
			p.unchanged()
			p.acknowledge()
		}, ""},
		"poison among the dead letters": {func(p *play) {
			p.e.poison = true
			p.deliver()
			p.ended(p.key(), p.name(), time.Now(), false)
			p.close(map[string]int{p.key(): 1})
		}, ""},

		"acknowledged without a result": {func(p *play) { p.deliver(); p.write(services[0]); p.acknowledge() }, lost},
		"acknowledged with the result of an earlier delivery": {func(p *play) {
			p.deliver()
			p.write(services[0])
			p.registered()
			p.ended(p.key(), p.name(), time.Now(), false)
			time.Sleep(time.Minute)
			p.deliver()
			p.acknowledge()
		}, lost},
		"in no queue any more": {func(p *play) { p.deliver(); p.close(nil) }, lost},
		"one of two copies is gone": {func(p *play) {
			p.sent(p.e)
			p.deliver()
			p.close(map[string]int{p.key(): 1})
		}, lost},
		"poison that is acknowledged": {func(p *play) {
			p.e.poison = true
			p.deliver()
			p.ended(p.key(), p.name(), time.Now(), true)
		}, lost},
		"a delivery of what nobody sent": {func(p *play) {
			p.ended("x", "1", time.Now(), true)
		}, lost},
		"never done": {func(p *play) { p.deliver(); p.close(map[string]int{p.key(): 1}) }, stuck},

		"registered without a write": {func(p *play) { p.deliver(); p.registered(); p.acknowledge() }, untrue},
		"registered by another's hand": {func(p *play) {
			p.deliver()
			p.world.delegate(p.a, services[0], true)
			p.registered()
		}, untrue},
		"registered long before": {func(p *play) {
			p.write(services[0])
			time.Sleep(time.Minute)
			p.deliver()
			p.registered()
		}, untrue},
		"unchanged, and never so": {func(p *play) { p.deliver(); p.unchanged() }, untrue},
		"unchanged, and no longer so": {func(p *play) {
			p.world.delegate(p.a, services[0], true)
			p.world.delegate(p.a, services[0], false)
			time.Sleep(2 * lag)
			p.deliver()
			p.unchanged()
		}, untrue},
		"unknown, and a member":    {func(p *play) { p.deliver(); p.rejected("account_not_found") }, untrue},
		"not active, and active":   {func(p *play) { p.deliver(); p.rejected("account_not_active") }, untrue},
		"refused by nobody":        {func(p *play) { p.deliver(); p.rejected("refused") }, untrue},
		"not allowed, and allowed": {func(p *play) { p.deliver(); p.rejected("not_allowed") }, untrue},
		"registered, and not allowed": {func(p *play) {
			p.a.given = nil
			p.deliver()
			p.world.delegate(p.a, services[0], true)
			p.unchanged()
		}, untrue},
		"a write that no rule gives": {func(p *play) { p.write("service.RAM") }, untrue},
		"skipped, and asked for": {func(p *play) {
			p.deliver()
			p.says("account.admin.skipped", map[string]any{"outcome": "skipped"})
		}, untrue},
		"about another account": {func(p *play) {
			p.deliver()
			p.write(services[0])
			data := one("registered", "", 1)
			data["account_id"] = "b"
			p.says("account.admin.registered", data)
		}, untrue},
		"type and outcome differ": {func(p *play) {
			p.deliver()
			p.write(services[0])
			p.says("account.admin.rejected", one("registered", "", 1))
		}, untrue},
		"another id for the same cause": {func(p *play) {
			p.deliver()
			p.write(services[0])
			data := one("registered", "", 1)
			data["id"] = "another"
			p.says("account.admin.registered", data)
		}, untrue},
		"for an event that nobody sent": {func(p *play) { p.registered() }, untrue},
		"when nobody has the event": {func(p *play) {
			p.deliver()
			p.write(services[0])
			p.ended(p.key(), p.name(), time.Now(), false)
			time.Sleep(time.Minute)
			p.unchanged()
		}, untrue},
		"a dry run that wrote": {func(p *play) {
			p.e.dryRun = true
			p.deliver()
			p.write(services[0])
			p.registered()
		}, untrue},
		"bad data that is taken": {func(p *play) {
			p.e.invalid = true
			p.deliver()
			p.write(services[0])
			p.registered()
		}, untrue},
		"another region": {func(p *play) {
			p.e = &event{function: "register-region", source: source, id: "1"}
			p.world.setRegion("", otherRegion)
			p.deliver()
			p.says("org.region.registered", map[string]any{"outcome": "unchanged", "region_id": region})
		}, untrue},
		"a region without a write": {func(p *play) {
			p.e = &event{function: "register-region", source: source, id: "1"}
			p.world.setRegion("", region)
			p.deliver()
			p.says("org.region.registered", map[string]any{"outcome": "registered", "region_id": region})
		}, untrue},
		"a creation that fails, and is taken": {func(p *play) {
			p.e.fails = true
			p.deliver()
			p.write(services[0])
			p.registered()
		}, untrue},
		"a region in place of another": {func(p *play) {
			p.world.setRegion("", otherRegion)
			p.accuse(untrue, p.world.wrote(time.Now(), registerRegion, map[string]string{"region_id": region}))
		}, untrue},

		"an audit that passes": {func(p *play) { p.perfect(); p.audited("passed", nil) }, ""},
		"an audit that finds": {func(p *play) {
			p.perfect()
			p.world.delegate(p.a, services[0], false)
			p.audited("drifted", map[string]any{"missing": secMaster})
		}, ""},
		"an audit that passes in spite of what is missing": {func(p *play) {
			p.perfect()
			p.world.delegate(p.a, services[0], false)
			time.Sleep(time.Minute)
			p.audited("passed", nil)
		}, untrue},
		"an audit that passes in spite of what is unexpected": {func(p *play) {
			p.perfect()
			p.world.delegate(p.a, "service.RAM", true)
			time.Sleep(time.Minute)
			p.audited("passed", nil)
		}, untrue},
		"an audit that passes without trusted access": {func(p *play) {
			p.perfect()
			p.world.trust(services[0], false)
			time.Sleep(time.Minute)
			p.audited("passed", nil)
		}, untrue},
		"an audit that passes in spite of its findings": {func(p *play) {
			p.perfect()
			p.world.delegate(p.a, services[0], false)
			p.audited("passed", map[string]any{"missing": secMaster})
		}, untrue},
		"an audit that finds another region": {func(p *play) {
			p.perfect()
			p.audited("drifted", map[string]any{"region": map[string]string{"observed": otherRegion}})
		}, untrue},
		"an audit that finds trusted access missing": {func(p *play) {
			p.perfect()
			p.audited("drifted", map[string]any{"missing_services": services[:1]})
		}, untrue},
		"an audit that finds what isn't missing": {func(p *play) {
			p.perfect()
			p.audited("drifted", map[string]any{"missing": secMaster})
		}, untrue},
		"an audit that finds what isn't unexpected": {func(p *play) {
			p.perfect()
			p.audited("drifted", map[string]any{"unexpected": secMaster})
		}, untrue},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPlay()
				c.play(p)
				want := map[string]int{}
				if c.want != "" {
					want[c.want] = 1
				}
				require.Equal(t, want, p.wrong, p.examples)
				var out strings.Builder
				assert.Equal(t, c.want == "", (&report{books: p.books}).print(&out))
				if c.want != "" {
					assert.Contains(t, out.String(), c.want+": "+p.examples[c.want][0])
				}
			})
		})
	}
}

func TestKeysAreFoundInAllThatLeaves(t *testing.T) {
	t.Parallel()
	b := newBooks(newWorld(huaweitest.New()))
	l := &leaks{books: b}
	l.look("an answer", []byte(`{"detail":"nothing but `+accessKey+`"}`))
	l.flush()
	assert.Empty(t, b.wrong)
	l.look("an answer", []byte(`{"detail":"`+base64.StdEncoding.EncodeToString([]byte(secretKey))+`"}`))
	l.look("a result", []byte(`{}`))
	l.flush()
	assert.Equal(t, map[string]int{leaked: 1}, b.wrong)
	assert.Contains(t, b.examples[leaked][0], "an answer: ")
}

func TestAWriteNeedsALogLine(t *testing.T) {
	t.Parallel()
	b := newBooks(newWorld(huaweitest.New()))
	i := newInstance("Lambda register-admin", true, b, &leaks{books: b})
	i.wrote("1")
	i.wrote("2")
	_, _ = i.Write([]byte(`{"message":"event failed","error_type":"TransientError",` +
		`"registrations":[{"request_id":"2"}]}`))
	i.settle()
	assert.Equal(t, map[string]int{untraced: 1}, b.wrong)
	assert.Equal(t, map[string]int{"TransientError": 1}, b.counted(failures))

	_, _ = i.Write([]byte("panic: out of the blue"))
	assert.Equal(t, map[string]int{untraced: 1, noise: 1}, b.wrong)
	i.dumping = true
	_, _ = i.Write([]byte("goroutine 1 [running]:"))
	assert.Equal(t, 1, i.dumped)
	assert.Equal(t, map[string]int{untraced: 1, noise: 1}, b.wrong)
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	always := func(n int) func(int) int { return func(int) int { return n } }
	high := func(n int) func(int) int { return func(s int) int { return n << (s % 10 / 9) } }
	const memory = 20 << 10
	for name, c := range map[string]struct {
		memory, descriptors func(second int) int
		after               int // goroutines
		want                string
	}{
		"flat":         {always(memory), always(12), 20, ""},
		"high points":  {high(memory), high(12), 16, ""},
		"it warms up":  {func(s int) int { return min(s, 9) << 11 }, func(s int) int { return min(s, 9) }, 16, ""},
		"memory grows": {func(s int) int { return s << 10 }, always(12), 16, "memory in KiB grew from 20480 to 94208"},
		"connections":  {always(memory), func(s int) int { return s }, 16, "descriptors grew from 20 to 92"},
		"a few more":   {always(memory), func(s int) int { return 12 + s/15 }, 16, ""},
		"goroutines":   {always(memory), always(12), 21, "goroutines grew from 12 to 21"},
	} {
		var all []sample
		for s := range 100 {
			all = append(all, sample{time.Duration(s) * time.Second, c.memory(s), c.descriptors(s)})
		}
		n := summarize("x", all, 100*time.Second)
		n.goroutinesOnce, n.after = 12, c.after
		assert.Equal(t, c.want, strings.TrimPrefix(strings.Join(n.grown(), ", "), "x: "), name)
	}
}

func TestEventsThatAreDoneAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlay()
		p.deliver()
		p.write(services[0])
		p.registered()
		p.forgetDone(time.Now().Add(time.Hour))
		assert.Len(t, p.open, 1)
		p.acknowledge()
		p.forgetDone(time.Now())
		assert.Len(t, p.open, 1, "its result may come twice")
		p.forgetDone(time.Now().Add(closing + 1))
		assert.Empty(t, p.open)
	})
}
