/**
 * `npm run test:deep`: the long runs, one after the other. Thousands of simulated lives, a thousand kills of
 * the real server and its providers, and the kernel's states with larger bounds. For a machine that has a few
 * hours; less by `-- --seeds 1000 --kills 100 --no-explore`.
 *
 * A run that is not over after its bound is ended and has failed. The last line counts what was really done.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"
import { codex, install, opencode } from "./providers.ts"

interface Step {
  readonly name: string
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly env?: NodeJS.ProcessEnv
  readonly minutesMax: number
}

interface Done {
  readonly name: string
  readonly passed: boolean
  readonly seconds: number
  /** Its own counts. */
  readonly lastLine: string
}

const usage = "deep [--seeds 10000] [--from 100000] [--kills 1000] [--crash-seed 1] [--no-explore]\n"

const root = join(import.meta.dirname, "..")
const simulation = "packages/testkit/src/simulation/main.ts"
const crash = "packages/testkit/src/crash/main.ts"
const explorer = "packages/domain/scripts/explore.ts"

/** Of all kills: the scripted provider's are quick, and each real one has to be among them. */
const shares = [
  { provider: "scripted", part: 0.6, secondsPerKill: 10 },
  { provider: "codex", part: 0.25, secondsPerKill: 20 },
  { provider: "opencode", part: 0.15, secondsPerKill: 40 }
] as const

const readOptions = () => {
  const text = { type: "string" } as const
  const options = {
    seeds: text,
    from: text,
    kills: text,
    "crash-seed": text,
    "no-explore": { type: "boolean" }
  } as const
  try {
    const { values } = parseArgs({ options })
    const [seeds, from, kills, seed] = [
      values.seeds ?? "10000",
      values.from ?? "100000",
      values.kills ?? "1000",
      values["crash-seed"] ?? "1"
    ].map(Number)
    const numbers = { seeds: seeds!, from: from!, kills: kills!, seed: seed! }
    const areWhole = Object.values(numbers).every((one) => Number.isInteger(one) && one >= 0)
    return areWhole ? { ...numbers, explores: values["no-explore"] !== true } : null
  } catch {
    return null
  }
}

type Options = NonNullable<ReturnType<typeof readOptions>>

const stepsOf = ({ seeds, from, kills, seed, explores }: Options): ReadonlyArray<Step> => [
  ...(seeds === 0
    ? []
    : [
        {
          name: "simulation",
          file: simulation,
          args: ["--seeds", String(seeds), "--from", String(from)],
          minutesMax: 5 + Math.ceil(seeds / 20)
        }
      ]),
  ...shares.flatMap(({ provider, part, secondsPerKill }) => {
    const count = Math.round(kills * part)
    return count === 0
      ? []
      : [
          {
            name: `crashes, ${provider}`,
            file: crash,
            args: ["--kills", String(count), "--provider", provider, "--seed", String(seed)],
            env: programOf(provider),
            minutesMax: 5 + Math.ceil((count * secondsPerKill) / 60)
          }
        ]
  }),
  ...(explores ? [{ name: "kernel explorer", file: explorer, args: ["--deep"], minutesMax: 60 }] : [])
]

/** Installed where it is missing. */
const programOf = (provider: (typeof shares)[number]["provider"]): NodeJS.ProcessEnv => {
  if (provider === "codex") return { TURNKEEPER_CODEX_BIN: install(codex) }
  return provider === "opencode" ? { TURNKEEPER_OPENCODE_BIN: install(opencode) } : {}
}

const run = ({ name, file, args, env = {}, minutesMax }: Step): Promise<Done> =>
  new Promise((resolve) => {
    process.stdout.write(`\n==> ${name}: ${file} ${args.join(" ")}\n`)
    const began = performance.now()
    const child = spawn(process.execPath, [join(root, file), ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
      // In a group of its own, so that a run that is ended takes its workers and servers with it.
      detached: true
    })
    const late = setTimeout(() => endGroup(child), minutesMax * 60_000)
    let lastLine = "it said nothing"
    const lines = createInterface({ input: child.stdout })
    lines.on("line", (line) => {
      if (line.trim() !== "") lastLine = line
      process.stdout.write(`${line}\n`)
    })
    const end = (passed: boolean) => {
      clearTimeout(late)
      resolve({ name, passed, seconds: Math.round((performance.now() - began) / 1000), lastLine })
    }
    child.once("error", () => end(false))
    child.once("close", (code) => end(code === 0))
  })

const endGroup = ({ pid }: ChildProcess) => {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL")
  } catch {
    // It ended between the two lines.
  }
}

const main = async (): Promise<number> => {
  const options = readOptions()
  if (options === null) {
    process.stderr.write(usage)
    return 2
  }
  const all: Array<Done> = []
  for (const step of stepsOf(options)) all.push(await run(step))
  process.stdout.write("\n")
  for (const { name, passed, seconds, lastLine } of all)
    process.stdout.write(`${passed ? "passed" : "FAILED"} after ${seconds} s, ${name}: ${lastLine}\n`)
  const failed = all.filter(({ passed }) => !passed).length
  process.stdout.write(`${all.length - failed} passed, ${failed} failed\n`)
  return failed === 0 ? 0 : 1
}

process.exitCode = await main()
