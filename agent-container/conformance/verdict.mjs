// Reads the results of one scenario: every check must have passed, but those that want a diagnostic tool which only the suite's
// own example server has. Arguments: RESULTS_DIR NAME.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [dir, name] = process.argv.slice(2);
const files = readdirSync(dir, { recursive: true }).filter((file) => file.endsWith("checks.json"));
const checks = files.flatMap((file) => JSON.parse(readFileSync(join(dir, file), "utf8")));
const passed = checks.filter(({ status }) => status === "SUCCESS");
const wanting = checks.filter(({ errorMessage }) => errorMessage?.startsWith("Not testable: server does not list the diagnostic tool"));
const failed = checks.filter((check) => ["FAILURE", "ERROR"].includes(check.status) && !wanting.includes(check));
for (const { id, errorMessage } of failed) console.log(`      ${id}: ${errorMessage}`);
const good = failed.length === 0 && passed.length > 0;
const left = wanting.length ? `, ${wanting.length} want a tool of the suite's example server` : "";
console.log(`${good ? "ok    " : "FAILED"} ${name}: ${passed.length} checks passed${left}`);
process.exit(good ? 0 : 1);
