// Counts the tokens of the tool list on standard input as a model reads it. Argument: the most there may be.
import { readFileSync } from "node:fs";
import { encode } from "gpt-tokenizer/encoding/o200k_base";

const most = Number(process.argv[2]);
const { tools } = JSON.parse(readFileSync(0, "utf8"));
const shown = tools.map(({ name, description, inputSchema }) => JSON.stringify({ name, description, inputSchema }));
const tokens = shown.reduce((sum, text) => sum + encode(text).length, 0);
console.log(`${tools.length} tools, ${tokens} tokens (at most ${most})`);
process.exit(tokens <= most ? 0 : 1);
