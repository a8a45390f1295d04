// Runs the workflow once on this machine: the states by a local interpreter, its functions by an
// Invoke API.
//
//   node run.cjs < order.json
//
// The order: {"definition": <file>, "substitutions": {...}, "invoke": <base URL of the Invoke API>,
// "context": {...}, "redriven": <the input of the state "NeedsAPerson", from which to go on;
// without it the execution begins at StartAt>}.
//
// The answer, on stdout: {"status", "error", "cause", "events": [<entry put on the bus>],
// "trace": [<state>], "asked": [{"function", "id", "type", "data", "answered": <outcome or error>}]}.
// Nothing is waited for; a wait is in "asked", as the function "wait" that answers how long.
"use strict";

// The interpreter wants Node 22 for this one function; it runs on 20 with it.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((ok, fail) => { resolve = ok; reject = fail; });
  return { promise, resolve, reject };
};

const fs = require("node:fs");
const { StateMachine } = require("aws-local-stepfunctions");

const order = JSON.parse(fs.readFileSync(0, "utf8"));
const text = fs.readFileSync(order.definition, "utf8").replace(/\$\{(\w+)\}/g, (_, name) => {
  if (!(name in order.substitutions)) throw new Error(`no substitution for ${name}`);
  return order.substitutions[name];
});
const definition = JSON.parse(text);
if (order.redriven) {
  definition.States.Redriven = { Type: "Pass", Result: order.redriven, Next: "NeedsAPerson" };
  definition.StartAt = "Redriven";
}
const events = [];
const asked = [];

// invoke does what the integration with Lambda does: an error of the function becomes an error by
// its errorType.
async function invoke({ FunctionName, Payload }) {
  const call = { function: FunctionName, id: Payload.id, type: Payload.type, data: Payload.data };
  asked.push(call);
  const url = `${order.invoke}/2015-03-31/functions/${FunctionName}/invocations`;
  const response = await fetch(url, { method: "POST", body: JSON.stringify(Payload) });
  const answer = await response.json();
  call.answered = answer.data?.outcome ?? answer.errorType;
  if (response.headers.get("X-Amz-Function-Error") || !response.ok) {
    const error = new Error(JSON.stringify(answer));
    error.name = answer.errorType ?? "Lambda.Unknown";
    throw error;
  }
  return { StatusCode: response.status, Payload: answer };
}

function putEvents({ Entries }) {
  events.push(...Entries);
  return { FailedEntryCount: 0, Entries: Entries.map((_, i) => ({ EventId: String(i) })) };
}

const handlers = {};
const noRetryWait = {};
const noWait = {};
(function prepare({ States }) {
  for (const [name, state] of Object.entries(States)) {
    if (state.Resource) handlers[name] = state.Resource.endsWith(":lambda:invoke") ? invoke : putEvents;
    if (state.Retry) noRetryWait[name] = state.Retry.map(() => 10);
    if (state.Type === "Wait") noWait[name] = 10;
    if (state.ItemProcessor) prepare(state.ItemProcessor);
  }
})(definition);

(async () => {
  const execution = new StateMachine(definition).run(order.context.Execution.Input, {
    overrides: {
      taskResourceLocalHandlers: handlers,
      retryIntervalOverrides: noRetryWait,
      waitTimeOverrides: noWait,
    },
    context: order.context,
  });
  const answer = { status: "SUCCEEDED", events, trace: [], asked };
  const log = (async () => {
    for await (const event of execution.eventLogs) {
      if (event.type === "StateEntered") {
        answer.trace.push(event.state.name);
        const { Type, Seconds } = definition.States[event.state.name] ?? {};
        if (Type === "Wait") asked.push({ function: "wait", answered: `${Seconds} s` });
      }
      if (event.type === "StateRetried") answer.trace.push(`${event.state.name} again`);
      if (event.type === "ExecutionFailed") {
        Object.assign(answer, { error: event.Error, cause: String(event.Cause) });
      }
    }
  })();
  try {
    await execution.result;
  } catch {
    answer.status = "FAILED"; // the log says why
  }
  await log;
  process.stdout.write(JSON.stringify(answer));
})();
