// Package functiongraphlocal runs built functions on this machine as FunctionGraph does with the
// runtime Custom: a [Function] serves the runtime API below, to the processes of one bootstrap
// binary, and an [InvokeAPI] serves FunctionGraph's invocation API above.
//
//	cfg := functiongraphlocal.Config{Name: "echo", Bootstrap: "build/echo/bootstrap"}
//	f, err := functiongraphlocal.New(cfg)
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	answer, err := f.Invoke(ctx, []byte(`{"a":1}`))
//
// It is constructed from the documents of FunctionGraph, and was compared with no FunctionGraph
// that runs. Documented are the three calls of the runtime API and their status 200, the headers of
// an event, the variables RUNTIME_*, the invocation API with its headers and its codes FSS.*, and
// the record that a destination of an asynchronous invocation gets.
//
// Assumed, since nothing says it:
//
//   - A poll is kept open until there is an event. [Config.Refuse] makes the first polls fail.
//   - What is refused, such as a second answer, gets a status between 400 and 499 and error_msg.
//     An answer above RUNTIME_MAX_RESP_BODY_SIZE makes the invocation fail.
//   - RUNTIME_TIMEOUT is in whole seconds, as the setting that it shows; RUNTIME_HANDLER is
//     bootstrap.handler, RUNTIME_CPU 300, RUNTIME_PACKAGE default. There is no initializer.
//   - A function that fails otherwise than by its own words has the errorType FunctionNotStarted,
//     FunctionExited, FunctionTimeout or FunctionResponseTooLarge; only the last is a word of the
//     vendor's, from its runtime for Go.
//   - A function that fails is answered 200 with X-Is-Func-Err true and X-Func-Err-Code 500.
//   - An asynchronous invocation that fails is tried again after a minute.
//   - In a record the payloads are strings, the condition of a failure is its errorType, and its
//     function_error the errorMessage.
//
// Not imitated: memory and CPU limits, freezing between invocations, initializers, versions but
// latest, aliases, logs, summaries and billing in answers, the size of the user's variables, the
// age at which asynchronous events are dropped, signatures and tokens of the invocation API.
package functiongraphlocal
