/**
 * `npm run database -- --directory DIR [--events 1000000] [--bytes 4GB] [--threads 200]`: a data directory with a
 * large database, made by the real engine. `turnkeeper serve --data DIR` works on it.
 */
// Works by being loaded before any schema is made, as in the server itself.
// oxlint-disable-next-line import/no-unassigned-import
import "effect/schema/SchemaJITCompiler/enable"
import { existsSync, mkdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"

const usage = "Usage: npm run database -- --directory DIR [--events 1000000] [--bytes 4GB] [--threads 200]"

const wrong = (message: string): never => {
  console.error(`${message}\n${usage}`)
  process.exit(2)
}

const units: Readonly<Record<string, number>> = { "": 1, KB: 1e3, MB: 1e6, GB: 1e9 }

/** `4GB`, `500MB`, `1000000`. */
const amount = (name: string, text: string): number => {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([KMG]B)?$/.exec(text) ?? []
  return digits === "" ? wrong(`--${name} cannot be ${text}.`) : Number(digits) * (units[unit] ?? 1)
}

const options = {
  directory: { type: "string" },
  events: { type: "string", default: "1000000" },
  bytes: { type: "string", default: "4GB" },
  threads: { type: "string", default: "200" }
} as const

const parsed = () => {
  try {
    return parseArgs({ options }).values
  } catch (cause) {
    return wrong(cause instanceof Error ? cause.message : String(cause))
  }
}

const { directory, events, bytes, threads } = parsed()
if (directory === undefined) wrong("--directory is missing.")
const file = join(directory ?? "", "turnkeeper.db")
if (existsSync(file)) wrong(`${file} is there already.`)
const plan = {
  events: amount("events", events),
  bytes: amount("bytes", bytes),
  threads: Math.round(amount("threads", threads))
}
if (plan.threads < 3 || plan.events < 10_000) wrong("It takes at least 3 threads and 10,000 events.")

mkdirSync(directory ?? "", { recursive: true, mode: 0o700 })
const { makeDatabase } = await import("../bench/database.ts")
const from = performance.now()
let percent = -1
await makeDatabase(file, plan, (items, of) => {
  const now = Math.floor((items / of) * 100)
  if (now === percent || process.stderr.isTTY !== true) return
  percent = now
  process.stderr.write(`\r${now} %  ${items} items`)
})
if (process.stderr.isTTY === true) process.stderr.write("\r\u001b[K")
console.log(
  JSON.stringify({
    file,
    bytes: statSync(file).size,
    seconds: Math.round((performance.now() - from) / 100) / 10
  })
)
