/**
 * Lets the real core live through many lives, each from a number:
 *
 *     node packages/testkit/src/simulation/main.ts --seeds 200 [--from 1]
 *     node packages/testkit/src/simulation/main.ts --seed 7
 *
 * The same seed is the same run, to the last event. A run that breaks a promise is printed, after steps
 * that are not needed for it were left out. Exit status 1: a promise was broken.
 */
import { parseArgs } from "node:util"
import { planOf } from "./plan.ts"
import { shrunk } from "./shrink.ts"
import { simulate } from "./simulate.ts"
import type { Outcome } from "./simulate.ts"

const usage = "simulate --seeds N [--from 1] | --seed S [--trace]\n"

interface Arguments {
  readonly from: number
  readonly count: number
  /** Prints the whole run, also of one that held. */
  readonly trace: boolean
}

const text = { type: "string" } as const

const readOptions = () => {
  try {
    return parseArgs({ options: { seeds: text, seed: text, from: text, trace: { type: "boolean" } } }).values
  } catch {
    return null
  }
}

const readArguments = (): Arguments | null => {
  const values = readOptions()
  if (values === null || (values.seeds === undefined) === (values.seed === undefined)) return null
  const from = Number(values.seed ?? values.from ?? 1)
  const count = Number(values.seed === undefined ? values.seeds : 1)
  const areWhole = Number.isInteger(from) && Number.isInteger(count) && count > 0
  return areWhole ? { from, count, trace: values.trace === true } : null
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

const main = async (): Promise<number> => {
  const args = readArguments()
  if (args === null) {
    process.stderr.write(usage)
    return 2
  }
  const sum = { steps: 0, crashes: 0, turns: 0, violations: 0 }
  for (let seed = args.from; seed < args.from + args.count; seed++) {
    const outcome = await runOne(seed, args.count === 1 || seed % twiceEvery === 0)
    sum.steps += outcome.steps
    sum.crashes += outcome.crashes
    sum.turns += outcome.turns
    sum.violations += outcome.violations.length
    if (outcome.violations.length > 0) await report(seed, outcome)
    else if (args.trace) for (const line of outcome.trace) say(line)
  }
  const { crashes, steps, turns, violations } = sum
  say(`${args.count} seeds, ${steps} steps, ${crashes} crashes, ${turns} turns, ${violations} violations`)
  return violations > 0 ? 1 : 0
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
})
