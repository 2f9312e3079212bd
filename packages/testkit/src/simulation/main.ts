/**
 * Lets the real core live through many lives, each from a number:
 *
 *     node packages/testkit/src/simulation/main.ts --seeds 200 [--from 1] [--workers 2]
 *     node packages/testkit/src/simulation/main.ts --seed 7
 *
 * The same seed is the same run, to the last event. A run that breaks a promise is printed, after steps
 * that are not needed for it were left out. Many seeds are shared out among processes, one per core: a run
 * knows nothing of another one, so who does it changes nothing. Exit status 1: a promise was broken.
 */
import { fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { planOf } from "./plan.ts"
import { shrunk } from "./shrink.ts"
import { simulate } from "./simulate.ts"
import type { Outcome } from "./simulate.ts"

const usage = "simulate --seeds N [--from 1] [--workers 2] | --seed S [--trace]\n"

interface Arguments {
  readonly from: number
  readonly count: number
  /** Processes that share the seeds. */
  readonly workers: number
  /** Prints the whole run, also of one that held. */
  readonly trace: boolean
}

const text = { type: "string" } as const

const readOptions = () => {
  try {
    return parseArgs({
      options: { seeds: text, seed: text, from: text, workers: text, trace: { type: "boolean" } }
    }).values
  } catch {
    return null
  }
}

const readArguments = (): Arguments | null => {
  const values = readOptions()
  if (values === null || (values.seeds === undefined) === (values.seed === undefined)) return null
  const from = Number(values.seed ?? values.from ?? 1)
  const count = Number(values.seed === undefined ? values.seeds : 1)
  const most = Number(values.workers ?? availableParallelism())
  const areWhole = [from, count, most].every(Number.isInteger) && count > 0 && most > 0
  return areWhole ? { from, count, workers: Math.min(most, count), trace: values.trace === true } : null
}

const say = (line: string) => process.stdout.write(`${line}\n`)

/** One run in so many is done twice: only then is it known that its seed tells all of it. */
const twiceEvery = 10

const runOne = async (seed: number, twice: boolean): Promise<Outcome> => {
  const outcome = await simulate(planOf(seed))
  if (!twice || outcome.violations.length > 0) return outcome
  const again = await simulate(planOf(seed))
  if (again.hash === outcome.hash) return outcome
  const at = outcome.trace.findIndex((line, index) => line !== again.trace[index])
  const violation = `The same seed gave two runs; they part at ${outcome.trace[at]} | ${again.trace[at]}`
  return { ...outcome, violations: [violation] }
}

const report = async (seed: number, outcome: Outcome) => {
  const least = await shrunk(planOf(seed), outcome)
  for (const line of least.outcome.trace) say(line)
  for (const violation of least.outcome.violations) say(`VIOLATION of seed ${seed}: ${violation}`)
  say(
    `Seed ${seed} fails with ${least.plan.steps.length} of ${planOf(seed).steps.length} steps; --seed ${seed} replays it.`
  )
}

interface Sum {
  readonly steps: number
  readonly crashes: number
  readonly diskFailures: number
  readonly turns: number
  readonly violations: number
}

const nothing: Sum = { steps: 0, crashes: 0, diskFailures: 0, turns: 0, violations: 0 }

const added = (one: Sum, other: Sum): Sum => ({
  steps: one.steps + other.steps,
  crashes: one.crashes + other.crashes,
  diskFailures: one.diskFailures + other.diskFailures,
  turns: one.turns + other.turns,
  violations: one.violations + other.violations
})

/** Every `stride`th seed from `from` on, up to `end`. */
const runEach = async (from: number, end: number, stride: number, args: Arguments): Promise<Sum> => {
  let sum = nothing
  for (let seed = from; seed < end; seed += stride) {
    const outcome = await runOne(seed, args.count === 1 || seed % twiceEvery === 0)
    sum = added(sum, { ...outcome, violations: outcome.violations.length })
    if (outcome.violations.length > 0) await report(seed, outcome)
    else if (args.trace) for (const line of outcome.trace) say(line)
  }
  return sum
}

/** What the parent tells a worker, and the worker answers with its sum. */
const isShare = (value: unknown): value is readonly [from: number, end: number, stride: number] =>
  Array.isArray(value) && value.length === 3 && value.every(Number.isInteger)

/** A worker that ends without its sum has failed, whatever it ended with. */
const runShare = (share: readonly [number, number, number], args: Arguments): Promise<Sum> =>
  new Promise((resolve, reject) => {
    const file = fileURLToPath(import.meta.url)
    const flags = ["--seeds", String(args.count), "--workers", "1", ...(args.trace ? ["--trace"] : [])]
    const worker = fork(file, flags, { env: { ...process.env, [shareVariable]: JSON.stringify(share) } })
    let sum: Sum | null = null
    worker.on("message", (told) => {
      sum = told as Sum
    })
    worker.on("error", reject)
    worker.on("exit", (code, signal) =>
      sum === null
        ? reject(new Error(`The seeds from ${share[0]} ended with ${signal ?? code}`))
        : resolve(sum)
    )
  })

const shareVariable = "TURNKEEPER_SIMULATION_SHARE"

const shareOf = (variable: string | undefined) => {
  const share: unknown = variable === undefined ? null : JSON.parse(variable)
  return isShare(share) ? share : null
}

const main = async (): Promise<number> => {
  const args = readArguments()
  if (args === null) {
    process.stderr.write(usage)
    return 2
  }
  const share = shareOf(process.env[shareVariable])
  if (share !== null) {
    process.send?.(await runEach(...share, args))
    process.disconnect?.()
    return 0
  }
  const { from, count, workers } = args
  const shares = Array.from({ length: workers }, (_, n) => [from + n, from + count, workers] as const)
  const sums =
    workers === 1
      ? [await runEach(...shares[0]!, args)]
      : await Promise.all(shares.map((one) => runShare(one, args)))
  const { crashes, diskFailures, steps, turns, violations } = sums.reduce(added, nothing)
  const trouble = `${crashes} crashes, ${diskFailures} disk failures`
  say(`${count} seeds, ${steps} steps, ${trouble}, ${turns} turns, ${violations} violations`)
  return violations > 0 ? 1 : 0
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
})
