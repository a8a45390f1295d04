package deploy

import (
	"testing"
	"time"
)

func TestAnEventAboutAYoungAccountIsTriedForLongerThanTheAccountMayTake(t *testing.T) {
	seconds := func(v any) time.Duration { return time.Duration(number(v)) * time.Second }
	waiting := "Nested/function.yaml/Mappings/Waiting/"
	rule{
		func(s *stack, r *report) {
			for _, within := range allowedWithin(s) {
				ready, err := time.ParseDuration(text(within))
				r.want(err == nil, "%v", err)
				deployed := s.deploy(map[string]any{"AccountReadyWithin": within})
				for id := range deployed.onBus() {
					own := id + "Resources/"
					visible := seconds(deployed.get(own+"Queue", "VisibilityTimeout"))
					receives := number(deployed.get(own+"Queue", "RedrivePolicy", "maxReceiveCount"))
					timeout := seconds(deployed.function(id, "Timeout"))
					tried := visible * time.Duration(receives-1)
					r.want(tried > ready+5*time.Minute, "%s, %s: is tried for %s", id, within, tried)
					r.want(visible >= 6*timeout, "%s, %s: is visible again after %s", id, within, visible)
					oldest := seconds(deployed.get(own+"OldestMessageAlarm", "Threshold"))
					r.want(oldest > visible*time.Duration(receives),
						"%s, %s: the alarm fires at %s", id, within, oldest)
				}
				for name, task := range s.functionTasks() {
					tried := retriesFor(task, "TransientError")
					r.want(tried > ready, "%s, %s: is tried for %s", name, within, tried)
				}
			}
			parameter := dig(s.tree["Parameters"], "AccountReadyWithin")
			r.want(accepts(parameter, dig(parameter, "Default")) == "", "the default isn't allowed")
			mapped := object(dig(s.tree["Nested"], "function.yaml", "Mappings", "Waiting"))
			r.want(len(mapped) == len(allowedWithin(s)), "the mapping has others than %v", allowedWithin(s))
		},
		map[string]func(any){
			"a short visibility timeout":      set(waiting+"15m/VisibilityTimeout", 300),
			"few receives":                    set(waiting+"30m/MaxReceiveCount", 4),
			"an alarm that fires early":       set(waiting+"60m/OldestMessage", 3600),
			"a fixed visibility timeout":      set(needed+"Queue/Properties/VisibilityTimeout", 30),
			"a fixed receive count":           set(needed+"Queue/Properties/RedrivePolicy/maxReceiveCount", 3),
			"a value the mapping hasn't":      set("Parameters/AccountReadyWithin/AllowedValues", []any{"15m", "9m"}),
			"a longer timeout":                set("Globals/Function/Timeout", 90),
			"a workflow that gives up early":  set(adminTask+"Retry/0/MaxAttempts", 10.0),
			"a workflow that waits by chance": set(adminTask+"Retry/0/JitterStrategy", "FULL"),
			"a workflow that doesn't retry":   drop("Workflow/States/RegisterRegion/Retry"),
		},
	}.test(t)
}

func allowedWithin(s *stack) []any {
	return list(dig(s.tree["Parameters"], "AccountReadyWithin", "AllowedValues"))
}
