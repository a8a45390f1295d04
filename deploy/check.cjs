// Checks templates and state machine definitions without a cloud: says what is wrong and ends with
// 1, or 0 if nothing is.
//
//   node check.cjs <file>...     templates are .yaml, definitions .json
"use strict";

// What the validator says and we don't follow, by its rule, and why. A rule that has nothing more
// to say must go from here: that fails too.
const exclusions = {
  W2509: "takes CredentialsSecretArn for a password: it is an ARN, and people must be able to see which",
  I9001: "names can't change without a replacement: they are fixed on purpose, so that commands and people find them",
  I9040: "resources without tags: the stack's tags, given at deployment, reach all of them",
};

const fs = require("node:fs");
const { CelEngine, TemplateFile } = require("@aws/cloudformation-validate");
const validate = require("asl-validator");

const files = process.argv.slice(2);
const problems = [];

const heard = new Set();
const engine = new CelEngine();
for (const file of files.filter((name) => name.endsWith(".yaml"))) {
  for (const d of engine.validateStandard(new TemplateFile(file)).diagnostics) {
    heard.add(d.ruleId);
    if (d.ruleId in exclusions) continue;
    const where = `${d.entity?.logicalId ?? ""} ${d.propertyPath ?? ""}`;
    problems.push(`${file}:${d.startLine ?? 1}: ${d.ruleId} ${where}: ${d.message}`);
  }
}
engine.free();
for (const rule of Object.keys(exclusions)) {
  if (!heard.has(rule)) problems.push(`${rule} has nothing more to say: take it from the exclusions in check.cjs`);
}

for (const file of files.filter((name) => name.endsWith(".json"))) {
  const { errors } = validate(JSON.parse(fs.readFileSync(file, "utf8")), { checkPaths: true, checkArn: true });
  for (const { "Error code": code, Message: message, ...rest } of errors) {
    problems.push(`${file}: ${code ?? ""} ${message ?? ""} ${JSON.stringify(rest)}`);
  }
}

for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
