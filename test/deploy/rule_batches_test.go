package deploy

import (
	"slices"
	"testing"
)

func TestEachFunctionTakesBatchesFromItsQueueAnswersThemInPartAndIsBounded(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			for id := range s.onBus() {
				queues := 0
				for name, event := range object(s.get(id, "Events")) {
					queues++
					r.want(dig(event, "Type") == "SQS", "%s: takes from %v", id, dig(event, "Type"))
					event := dig(event, "Properties")
					queue := dig(event, "Queue")
					r.want(queue == id+"Resources/Queue.Arn", "%s: takes from %v", id, queue)
					answers := list(dig(event, "FunctionResponseTypes"))
					r.want(slices.Equal(answers, []any{"ReportBatchItemFailures"}), "%s: loses failed events", id)
					r.want(number(dig(event, "BatchSize")) == 5, "%s: batch size", id)
					declared := dig(s.tree["Resources"], id, "Properties", "Events", name, "Properties")
					most := dig(declared, "ScalingConfig", "MaximumConcurrency", "Ref")
					r.want(most == "MaximumConcurrency", "%s: maximum concurrency isn't a parameter", id)
				}
				r.want(queues == 1, "%s: takes from %d queues", id, queues)
			}
		},
		map[string]func(any){
			"no partial answers":     drop(queueEvent + "FunctionResponseTypes"),
			"a misspelt answer":      set(queueEvent+"FunctionResponseTypes", []any{"ReportBatchItemFailure"}),
			"the queue of another":   set(queueEvent+"Queue", theOthers("QueueArn")),
			"large batches":          set(queueEvent+"BatchSize", 10),
			"no maximum concurrency": drop(queueEvent + "ScalingConfig"),
			"no queue":               drop("Resources/RegisterAdmin/Properties/Events"),
		},
	}.test(t)
}
