/**
 * The machine room of a simulation: Effect's scheduler and clock, in the hand of one driver.
 *
 * Nothing runs unless the driver says so and no time passes by itself, so that the same choices give the
 * same run. Which of the ready fibers goes on is a choice, too. It is not `TestClock`, which can neither
 * say when the next sleeper wakes nor cut off the sleepers of a killed process.
 */
import { Clock, Context, Duration, Effect, Scheduler } from "effect"
import type { Fiber } from "effect"
import { setImmediate } from "node:timers/promises"
import type { Random } from "../crash/random.ts"

/** A run went on and on although no time passed, or would never have ended. */
export class Endless extends Error {}

export interface Loop {
  /** Milliseconds of virtual time. */
  readonly now: () => number
  /** Everything that is done so far, for bounds and for telling runs apart. */
  readonly steps: () => number
  /** Runs at most so many steps of whoever is ready. */
  readonly run: (steps: number) => Promise<void>
  /** Runs until nobody can go on before time passes. */
  readonly settle: () => Promise<void>
  /** Lets time pass; whoever sleeps wakes in order, and everything settles before the next one does. */
  readonly pass: (ms: number) => Promise<void>
  /** Starts an effect on this loop and its clock. A clock whose `alive` is false wakes nobody any more. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>, alive?: () => boolean) => Fiber.Fiber<A, E>
  readonly clock: Clock.Clock
}

export interface LoopOptions {
  readonly random: Random
  /** How often somebody else than the first in line goes on. */
  readonly disorder: number
  /** Operations that a fiber may do in one go. */
  readonly opsMax: number
  readonly startAt: number
}

const limits = { stepsOfOneMoment: 500_000, wakings: 200_000 } as const

/** Promises are continued between two turns of the real event loop; they may make somebody ready. */
const promises = () => setImmediate()

const always = () => true

const nanosOf = (ms: number) => BigInt(Math.round(ms)) * 1_000_000n

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export const makeLoop = ({ random, disorder, opsMax, startAt }: LoopOptions): Loop => {
  let now = startAt
  let steps = 0
  const ready: Array<() => void> = []
  /** In the order of waking; who came first wakes first. */
  const sleepers: Array<Sleeper> = []

  const scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
    makeDispatcher: () => ({ scheduleTask: (task) => void ready.push(task), flush: () => {} })
  }

  const step = () => {
    const at = ready.length > 1 && random.chance(disorder) ? random.between(0, ready.length - 1) : 0
    const [task] = ready.splice(at, 1)
    steps += 1
    task?.()
  }

  const run = async (count: number) => {
    await promises()
    for (let done = 0; done < count && ready.length > 0; done++) step()
    await promises()
  }

  const settle = async () => {
    const begun = steps
    await promises()
    while (ready.length > 0) {
      while (ready.length > 0) {
        step()
        if (steps - begun > limits.stepsOfOneMoment) throw new Endless("Nobody comes to rest")
      }
      await promises()
    }
  }

  const pass = async (ms: number) => {
    const until = now + ms
    let wakings = 0
    await settle()
    for (let next = sleepers[0]; next !== undefined && next.at <= until; next = sleepers[0]) {
      sleepers.shift()
      now = Math.max(now, next.at)
      next.wake()
      await settle()
      if (++wakings > limits.wakings) throw new Endless("Somebody sleeps and wakes for ever")
    }
    now = until
  }

  const sleep = (ms: number, alive: () => boolean) =>
    Effect.callback<void>((resume) => {
      const sleeper = { at: now + ms, wake: () => alive() && resume(Effect.void) }
      const place = sleepers.findIndex(({ at }) => at > sleeper.at)
      sleepers.splice(place === -1 ? sleepers.length : place, 0, sleeper)
      return Effect.sync(() => {
        const index = sleepers.indexOf(sleeper)
        if (index !== -1) sleepers.splice(index, 1)
      })
    })

  const clockOf = (alive: () => boolean): Clock.Clock => {
    return {
      currentTimeMillisUnsafe: () => now,
      currentTimeMillis: Effect.sync(() => now),
      currentTimeNanosUnsafe: () => nanosOf(now),
      currentTimeNanos: Effect.sync(() => nanosOf(now)),
      monotonicTimeNanosUnsafe: () => nanosOf(now),
      monotonicTimeNanos: Effect.sync(() => nanosOf(now)),
      sleep: (duration) => sleep(Duration.toMillis(duration), alive)
    }
  }

  const contextOf = (alive: () => boolean) =>
    Context.make(Scheduler.Scheduler, scheduler).pipe(
      Context.add(Clock.Clock, clockOf(alive)),
      Context.add(Scheduler.MaxOpsBeforeYield, opsMax)
    )
  return {
    now: () => now,
    steps: () => steps,
    run,
    settle,
    pass,
    clock: clockOf(always),
    fork: (effect, alive = always) => Effect.runForkWith(contextOf(alive))(effect)
  }
}
