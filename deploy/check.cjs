// Checks a template and state machine definitions without a cloud.
//
//   node check.cjs <template> <definition>...
"use strict";

// What the validator says and we don't follow, by rule, each with its reason. A rule that no longer speaks must go from here.
const exclusions = {};

const fs = require("node:fs");
const { CelEngine, TemplateFile } = require("@aws/cloudformation-validate");
const validate = require("asl-validator");

const [template, ...definitions] = process.argv.slice(2);
let failed = false;
const silent = new Set(Object.keys(exclusions));

const engine = new CelEngine();
for (const d of engine.validateStandard(new TemplateFile(template)).diagnostics) {
  if (d.ruleId in exclusions) { silent.delete(d.ruleId); continue; }
  failed = true;
  console.error(`${template}: ${d.ruleId} ${d.severity} ${JSON.stringify(d.resourceId ?? d.logicalId ?? "")} ${d.message}`);
  if (process.env.DEBUG_CHECK) console.error(JSON.stringify(d));
}
engine.free();

for (const file of definitions) {
  const { isValid, errors } = validate(JSON.parse(fs.readFileSync(file, "utf8")), { checkPaths: true, checkArn: true });
  if (!isValid) {
    failed = true;
    for (const e of errors) console.error(`${file}: ${e["Error code"]} ${e.Message ?? ""} ${e.path ?? ""}`);
  }
}
for (const rule of silent) console.error(`${template}: ${rule} doesn't speak any more: take it out of the exclusions`);
process.exitCode = failed ? 1 : 0;
