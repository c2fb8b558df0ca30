// An AsyncAPI document, as its specification's own parser sees it: validate.mjs FILE
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const source = readFileSync(process.argv[2], "utf8");
const { document, diagnostics } = await new Parser().parse(source);
// 0 is an error and 1 a warning; what is below is advice.
const problems = diagnostics.filter(({ severity }) => severity <= 1);
for (const { message, path, severity } of problems) console.error(severity, path.join("."), message);
if (!document || problems.length > 0) process.exit(1);
const [channel] = document.channels().all();
const operations = document.operations().all();
const sent = operations.filter((operation) => operation.action() === "send");
const received = operations.filter((operation) => operation.action() === "receive");
console.log(`${channel.address()}: ${sent.length} sent, ${received.length} received`);
