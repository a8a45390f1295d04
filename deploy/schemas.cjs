// Compiles the schemas of events as ajv's strict mode does, which other people's programs use, and
// ends with 1 if it refuses one.
//
//   node schemas.cjs <folder>
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Ajv2020 } = require("ajv/dist/2020");
const { default: addFormats } = require("ajv-formats");

const folder = process.argv[2];
const schemas = fs
  .readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(fs.readFileSync(path.join(folder, name), "utf8")));
const ajv = new Ajv2020({ strict: true });
addFormats(ajv);
for (const schema of schemas) ajv.addSchema(schema);

const refused = new Set(); // one that others refer to is refused once for each
for (const { $id } of schemas) {
  try {
    ajv.getSchema($id);
  } catch (error) {
    refused.add(error.message);
  }
}
if (schemas.length === 0) refused.add(`no schemas in ${folder}`);
for (const message of refused) console.error(message);
process.exitCode = refused.size > 0 ? 1 : 0;
