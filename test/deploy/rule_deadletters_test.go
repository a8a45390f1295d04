package deploy

import (
	"slices"
	"testing"
)

func TestWhateverFailsWaitsInTheDeadLetterQueueOfTheFunctionWhicheverWayItCame(t *testing.T) {
	onFailure := "Resources/RegisterAdmin/Properties/EventInvokeConfig/DestinationConfig/OnFailure/"
	rule{
		func(s *stack, r *report) {
			for id := range s.onBus() {
				own := id + "Resources/"
				dead := own + "DeadLetters.Arn"
				target := s.get(own+"Queue", "RedrivePolicy", "deadLetterTargetArn")
				r.want(target == dead, "%s: its queue has no dead letters", id)
				for _, target := range list(s.get(own+"Rule", "Targets")) {
					r.want(dig(target, "DeadLetterConfig", "Arn") == dead,
						"%s: what its rule can't deliver is lost", id)
				}
				failed := s.get(id, "EventInvokeConfig", "DestinationConfig", "OnFailure")
				kept := dig(failed, "Type") == "SQS" && dig(failed, "Destination") == dead
				r.want(kept, "%s: failed asynchronous events are lost", id)
				r.want(slices.ContainsFunc(s.may(own+"Role", "sqs:SendMessage"), func(st statement) bool {
					return slices.Contains(st.Resources, any(dead))
				}), "%s: its role may not keep failed asynchronous events", id)
				seconds := number(s.get(own+"DeadLetters", "MessageRetentionPeriod"))
				r.want(seconds == 14*24*3600, "%s: dead letters go before 14 days", id)
			}
		},
		map[string]func(any){
			"a queue without":                 drop(needed + "Queue/Properties/RedrivePolicy"),
			"a rule without":                  drop(needed + "Rule/Properties/Targets/0/DeadLetterConfig"),
			"asynchronous events without":     drop("Resources/RegisterAdmin/Properties/EventInvokeConfig"),
			"asynchronous events elsewhere":   set(onFailure+"Destination", theOthers("DeadLettersArn")),
			"asynchronous events of no queue": set(onFailure+"Type", "SNS"),
			"no right to keep them":           drop(roleRights + "1/Action"),
			"letters that go after 4 days":    drop(needed + "DeadLetters/Properties/MessageRetentionPeriod"),
		},
	}.test(t)
}
