package deploy

import (
	"slices"
	"strings"
	"testing"
)

func TestEachEventReachesTheFunctionsThatTakeItsTypeAndNoResultComesBack(t *testing.T) {
	samples, err := samples()
	either := needed + "Rule/Properties/EventPattern/Fn::If/1/$or/"
	ownEvents, asked := either+"0/", either+"1/"
	requestType := "Resources/RegisterAdminResources/Properties/Parameters/RequestType"
	rule{
		func(s *stack, r *report) {
			r.want(err == nil && len(samples) >= 2, "samples: %v", err)
			for id, name := range s.onBus() {
				own := id + "Resources/"
				pattern, target := s.get(own+"Rule", "EventPattern"), s.get(own+"Rule", "Targets", 0)
				types := strings.Split(text(s.environment(id)["EVENT_TYPES"]), ",")
				taken := 0
				for sample, event := range samples {
					wanted := slices.Contains(types, text(dig(event, "detail-type")))
					r.want(matches(pattern, event) == wanted,
						"%s: takes %v, its rule and %s say %v", id, types, sample, !wanted)
					if wanted {
						taken++
					}
				}
				r.want(taken > 0, "%s: takes no sample", id)
				r.want(s.get(own+"Rule", "EventBusName") == "Bus.Name", "%s: isn't on the bus", id)
				r.want(len(list(s.get(own+"Rule", "Targets"))) == 1, "%s: its rule delivers elsewhere too", id)
				r.want(dig(target, "Arn") == own+"Queue.Arn", "%s: its rule delivers to %v", id, dig(target, "Arn"))
				unchanged := dig(target, "InputPath") == nil && dig(target, "InputTransformer") == nil
				r.want(unchanged, "%s: its rule changes events", id)
				for _, eventType := range append(types, s.resultTypes()...) {
					result := envelope("/registrar/"+name, eventType)
					r.want(!matches(pattern, result), "%s: takes our own %s", id, eventType)
				}
				for _, eventType := range s.resultTypes() {
					for _, source := range []string{"/elsewhere", "/registrar/" + audit} {
						result := envelope(source, eventType)
						r.want(!matches(pattern, result), "%s: takes the result %s from %s", id, eventType, source)
					}
				}
				for _, request := range requests {
					asked := matches(pattern, envelope("/registrar/"+audit, request))
					r.want(asked == (request == requests[name]), "%s: is asked for %s: %v", id, request, asked)
					for _, source := range []string{"/elsewhere", "/registrar/" + name, "/registrar/" + audit + "/x"} {
						forged := matches(pattern, envelope(source, request))
						r.want(!forged, "%s: takes %s from %s", id, request, source)
					}
				}
				result := matches(pattern, envelope("/registrar/"+audit, types[0]))
				r.want(!result, "%s: takes %s from the audit", id, types[0])
			}
			r.want(s.get("Archive", "SourceArn") == "Bus.Arn", "the bus has no archive")
			r.want(len(s.ofType("AWS::Events::EventBus")) == 1, "the bus isn't the stack's own")
		},
		map[string]func(any){
			"everything": func(tree any) {
				rule, _ := walk(tree, needed+"Rule/Properties/EventPattern")
				rule["EventPattern"] = map[string]any{"source": []any{map[string]any{"prefix": "/"}}}
			},
			"a misspelt type": set("Parameters/AccountEventTypes/Default", "accounts.created"),
			"a rule for results": set(
				"Parameters/BootstrapEventTypes/Default", "org.bootstrap,org.region.registered"),
			"results may come back":           drop(ownEvents + "source"),
			"results may come back, likewise": drop(needed + "Rule/Properties/EventPattern/Fn::If/2/source"),
			"requests of anybody":             drop(asked + "source"),
			"requests of all functions":       set(asked+"source", []any{map[string]any{"prefix": "/registrar/"}}),
			"anything of the audit":           drop(asked + "detail-type"),
			"requests that reach nobody":      drop(requestType),
			"requests of another":             set(requestType, "org.service.missing"),
			"a type of another": set(
				"Resources/RegisterAdminResources/Properties/Parameters/EventTypes", "org.bootstrap"),
			"the default bus": drop(needed + "Rule/Properties/EventBusName"),
			"another queue":   set(needed+"Rule/Properties/Targets/0/Arn", attribute("DeadLetters", "Arn")),
			"a changed event": set(needed+"Rule/Properties/Targets/0/InputPath", "$.detail.data"),
			"an unknown type": set(
				"Resources/RegisterRegion/Properties/Environment/Variables/EVENT_TYPES", "org.created"),
			"no archive":         drop("Resources/Archive"),
			"the bus of another": drop("Resources/Bus"),
		},
	}.test(t)
}
