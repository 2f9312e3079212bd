/**
 * The benchmarks: `node bench/main.ts [NAME …] [--json]`.
 *
 * They print what they measured in this run and store nothing. Medians of several repetitions, and where a
 * comparison exists it is made in the same run: on a shared machine only ratios mean much.
 */
// Works by being loaded before any schema is made, as in the server itself.
// oxlint-disable-next-line import/no-unassigned-import
import "effect/schema/SchemaJITCompiler/enable"
import { command } from "./command.ts"
import { delta } from "./delta.ts"
import { disk } from "./disk.ts"
import { fanout } from "./fanout.ts"
import { growth } from "./growth.ts"
import { ingest } from "./ingest.ts"
import { large } from "./large.ts"
import { machine } from "./machine.ts"
import { neighbours } from "./neighbours.ts"
import { reconnect } from "./reconnect.ts"
import { table } from "./report.ts"
import type { Figure } from "./report.ts"
import { rest } from "./rest.ts"
import { shell } from "./shell.ts"

const benches: { readonly [name: string]: () => Promise<ReadonlyArray<Figure>> } = {
  ingest,
  growth,
  rest,
  command,
  delta,
  fanout,
  reconnect,
  shell,
  neighbours,
  large,
  disk
}

const args = process.argv.slice(2)
const names = args.filter((arg) => !arg.startsWith("-"))
const wrong = [
  ...names.filter((name) => !Object.hasOwn(benches, name)),
  ...args.filter((arg) => arg.startsWith("-") && arg !== "--json")
]
if (wrong.length > 0) {
  console.error(`No such benchmark or option: ${wrong.join(", ")}.`)
  console.error(`Usage: npm run bench -- [${Object.keys(benches).join(" | ")}] [--json]`)
  process.exit(2)
}

const found: Array<Figure> = [...(await machine())]
for (const [name, run] of Object.entries(benches)) {
  if (names.length > 0 && !names.includes(name)) continue
  console.error(`${name} …`)
  found.push(...(await run()))
}
console.log(args.includes("--json") ? JSON.stringify(found, null, 2) : table(found))
