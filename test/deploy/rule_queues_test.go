package deploy

import (
	"slices"
	"strings"
	"testing"
)

func TestQueuesTakeFromTheRuleThatDeliversToThemFromNoOtherAndOnlyEncrypted(t *testing.T) {
	queueRights := needed + "QueuePolicy/Properties/PolicyDocument/Statement/"
	lettersRights := needed + "DeadLettersPolicy/Properties/PolicyDocument/Statement/"
	rule{
		func(s *stack, r *report) {
			for _, id := range s.ofType("AWS::Events::Rule") {
				for _, target := range list(s.get(id, "Targets")) {
					for _, arn := range []any{dig(target, "Arn"), dig(target, "DeadLetterConfig", "Arn")} {
						queue := strings.TrimSuffix(text(arn), ".Arn")
						queues := list(s.get(queue+"Policy", "Queues"))
						r.want(slices.Contains(queues, any(queue)), "%s: has no policy", queue)
						allowed := s.may(queue+"Policy", "sqs:SendMessage")
						r.want(len(allowed) == 1, "%s: lets %d senders in", queue, len(allowed))
						for _, st := range allowed {
							bus := st.Service == "events.amazonaws.com" && slices.Contains(st.Resources, arn)
							r.want(bus, "%s: doesn't let the bus in", queue)
							source := dig(st.Condition, "ArnEquals", "aws:SourceArn")
							r.want(source == id+".Arn", "%s: lets in more than %s", queue, id)
						}
					}
				}
			}
			for _, id := range s.ofType("AWS::SQS::Queue") {
				r.want(s.get(id, "SqsManagedSseEnabled") == true, "%s: isn't encrypted", id)
				r.want(slices.ContainsFunc(s.statements(), func(st statement) bool {
					clear := dig(st.Condition, "Bool", "aws:SecureTransport") == "false"
					return st.Where == id+"Policy OnlyEncrypted" && st.Effect == "Deny" && clear
				}), "%s: takes what isn't encrypted", id)
			}
		},
		map[string]func(any){
			"a queue without a policy":      drop(needed + "QueuePolicy"),
			"dead letters without a policy": drop(needed + "DeadLettersPolicy"),
			"a policy of another queue": set(needed+"DeadLettersPolicy/Properties/Queues",
				[]any{map[string]any{"Ref": "Queue"}}),
			"any rule":                         drop(queueRights + "0/Condition"),
			"a rule of another":                set(lettersRights+"0/Condition/ArnEquals/aws:SourceArn", "arn"),
			"a queue that isn't encrypted":     set(needed+"Queue/Properties/SqsManagedSseEnabled", false),
			"messages that aren't encrypted":   set(lettersRights+"1/Effect", "Allow"),
			"another service than EventBridge": set(queueRights+"0/Principal/Service", "sns.amazonaws.com"),
		},
	}.test(t)
}
