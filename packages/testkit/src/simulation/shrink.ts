/** Leaves out of a failing run what it does not need to fail. */
import type { Plan, Step } from "./plan.ts"
import { simulate } from "./simulate.ts"
import type { Outcome } from "./simulate.ts"

export interface Shrunk {
  readonly plan: Plan
  readonly outcome: Outcome
}

const triesMax = 120

/**
 * First large pieces, then smaller ones, then single steps. A run counts as the same failure when it
 * breaks the same law; another one would be another find.
 */
export const shrunk = async (
  plan: Plan,
  outcome: Outcome,
  run: (plan: Plan) => Promise<Outcome> = simulate
): Promise<Shrunk> => {
  const law = lawOf(outcome)
  let least: Shrunk = { plan, outcome }
  let tries = 0
  for (let size = Math.ceil(plan.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < least.plan.steps.length && tries < triesMax; tries++) {
      const tried = { ...plan, steps: without(least.plan.steps, at, size) }
      const found = await run(tried)
      if (lawOf(found) === law) least = { plan: tried, outcome: found }
      else at += size
    }
  }
  return least
}

const without = (steps: ReadonlyArray<Step>, at: number, count: number) => [
  ...steps.slice(0, at),
  ...steps.slice(at + count)
]

/** What stands before the colon: the law, or the kind of breach. */
const lawOf = ({ violations: [first] }: Outcome): string | null => first?.split(/[:\d]/)[0] ?? null
