// Package lambdalocal runs built Lambda binaries on this machine: a [Function] serves the Runtime
// API below, to the processes of one bootstrap binary, and an [InvokeAPI] serves Lambda's Invoke
// API above, to the aws client and the SDKs.
//
//	f, err := lambdalocal.New(lambdalocal.Config{Name: "echo", Bootstrap: "build/echo/bootstrap"})
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	answer, err := f.Invoke(ctx, []byte(`{"a":1}`))
//
// A function answers here what it would answer on Lambda: errors, panics, exits, timeouts and
// answers that are too large arrive as [Answer.FunctionError] with Lambda's own error types. A
// process serves one invocation at a time and is used again until it exits, is killed at its
// deadline, or its binary is rebuilt.
//
// A [Queue] and a [Mapping] deliver messages to a function as SQS and Lambda do, again and again
// until they are deleted or dead letters:
//
//	q, err := lambdalocal.NewQueue(lambdalocal.QueueConfig{Name: "events"})
//	if err != nil {
//		return err
//	}
//	m := lambdalocal.Mapping{Queue: q, Invoke: f.Invoke}
//	_, err = q.Send(`{"a":1}`, "")
//	n, err := m.Deliver(ctx)    // or Run, until ctx ends
//	q.Advance(30 * time.Second) // what failed is visible again
//
// A [Trigger] is both, with dead letters. Processes need a Unix: elsewhere [New] fails.
//
// Not imitated: memory and CPU limits, freezing between invocations, several invocations at once in
// one process (AWS_LAMBDA_MAX_CONCURRENCY), response streaming, versions and aliases, IAM. Of
// queues: deduplication, delays, retention, message attributes, size limits, groups in queues that
// aren't FIFO, changing a visibility timeout, long polling, the batching window, filters, and how
// Lambda scales its pollers.
package lambdalocal
