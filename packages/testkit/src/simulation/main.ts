/**
 * Lets the real core live through many lives, each from a number:
 *
 *     node packages/testkit/src/simulation/main.ts --seeds 200 [--from 1] [--workers 2]
 *     node packages/testkit/src/simulation/main.ts --seed 7
 *     node packages/testkit/src/simulation/main.ts --plan FILE
 *
 * The same seed is the same run, to the last event. A run that breaks a promise is printed, after steps
 * that are not needed for it were left out; what is left is written to a file that can be replayed, and kept
 * beside a test. Many seeds are shared out among processes, one per core: a run
 * knows nothing of another one, so who does it changes nothing. Exit status 1: a promise was broken.
 */
import { fork } from "node:child_process"
import { writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { planOf } from "./plan.ts"
import type { Plan } from "./plan.ts"
import { planText, readPlan } from "./planFile.ts"
import { shrunk } from "./shrink.ts"
import { simulate } from "./simulate.ts"
import type { Outcome } from "./simulate.ts"

const usage = "simulate --seeds N [--from 1] [--workers 2] | --seed S [--trace] | --plan FILE [--trace]\n"

interface Arguments {
  readonly from: number
  readonly count: number
  /** Processes that share the seeds. */
  readonly workers: number
  /** Prints the whole run, also of one that held. */
  readonly trace: boolean
  /** This plan alone, instead of those of seeds. */
  readonly plan: Plan | null
}

const text = { type: "string" } as const

const readOptions = () => {
  try {
    return parseArgs({
      options: { seeds: text, seed: text, from: text, workers: text, plan: text, trace: { type: "boolean" } }
    }).values
  } catch {
    return null
  }
}

const readArguments = (): Arguments | null => {
  const values = readOptions()
  if (values === null) return null
  const given = [values.seeds, values.seed, values.plan].filter((value) => value !== undefined)
  if (given.length !== 1) return null
  const plan = values.plan === undefined ? null : readPlan(values.plan)
  if (plan !== null) return { from: plan.seed, count: 1, workers: 1, trace: values.trace === true, plan }
  const from = Number(values.seed ?? values.from ?? 1)
  const count = Number(values.seed === undefined ? values.seeds : 1)
  const most = Number(values.workers ?? availableParallelism())
  const areWhole = [from, count, most].every(Number.isInteger) && count > 0 && most > 0
  const trace = values.trace === true
  return areWhole ? { from, count, workers: Math.min(most, count), trace, plan } : null
}

const say = (line: string) => process.stdout.write(`${line}\n`)

/** One run in so many is done twice: only then is it known that its seed tells all of it. */
const twiceEvery = 10

const runOne = async (plan: Plan, twice: boolean): Promise<Outcome> => {
  const outcome = await simulate(plan)
  if (!twice || outcome.violations.length > 0) return outcome
  const again = await simulate(plan)
  if (again.hash === outcome.hash) return outcome
  const at = outcome.trace.findIndex((line, index) => line !== again.trace[index])
  const violation = `The same seed gave two runs; they part at ${outcome.trace[at]} | ${again.trace[at]}`
  return { ...outcome, violations: [violation] }
}

const report = async (plan: Plan, outcome: Outcome) => {
  const { seed } = plan
  const least = await shrunk(plan, outcome)
  for (const line of least.outcome.trace) say(line)
  for (const violation of least.outcome.violations) say(`VIOLATION of seed ${seed}: ${violation}`)
  const file = join(tmpdir(), `turnkeeper-plan-${seed}.jsonl`)
  writeFileSync(file, planText(least.plan))
  say(`Seed ${seed} fails with ${least.plan.steps.length} of ${plan.steps.length} steps.`)
  say(`  all of them: npm run simulate -- --seed ${seed}`)
  say(`  these alone: npm run simulate -- --plan ${file}`)
  say(`  to keep it: mv ${file} ${relative(process.cwd(), keptPlans)}`)
}

/** Each file here is run by `npm test`. */
const keptPlans = join(import.meta.dirname, "../../../../apps/server/test/mutants/plans")

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
    const plan = args.plan ?? planOf(seed)
    const outcome = await runOne(plan, args.count === 1 || seed % twiceEvery === 0)
    sum = added(sum, { ...outcome, violations: outcome.violations.length })
    if (outcome.violations.length > 0) await report(plan, outcome)
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
