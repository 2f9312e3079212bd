/**
 * Carries the letters of one mailbox, one at a time: rule, commit, answer, and the next one.
 *
 * It has no fiber of its own. Whoever posts a letter to a mailbox at rest carries it as far as the commit, and
 * the commit's answer carries on from there: of the many pieces of a streamed text each wakes its author alone.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect, Exit } from "effect"
import * as Lanes from "./Lanes.ts"
import { nothing, ruled, storageTrouble } from "./Letter.ts"
import type { Letter, Settled } from "./Letter.ts"
import type { Holder, Surroundings } from "./standing.ts"

export interface Carrier {
  readonly post: (letter: Letter) => void
  readonly isIdle: () => boolean
}

export const carrying = (
  threadId: ThreadId,
  { compare, current, write }: Holder,
  { run }: Pick<Surroundings, "run">
): Carrier => {
  const lanes = Lanes.make()
  /** A letter is being carried out. */
  let working = false
  /** `takeNext` is under way. */
  let going = false
  let lastDelayMs = 0

  /**
   * Takes letters until one has to wait for its end, which takes the next one. Not inside itself: letters that
   * end at once are a loop, however many wait, and no tower of calls.
   */
  const takeNext = (): void => {
    if (going) return
    going = true
    for (let letter = next(); letter !== undefined; letter = next()) {
      working = true
      carryOut(letter)
    }
    going = false
  }

  const next = () => (working ? undefined : lanes.take())

  const carryOut = (letter: Letter) =>
    known(ruled(letter.rule, current()), (ruling) => {
      if (Exit.isFailure(ruling)) return concluded(letter, Exit.failCause(ruling.cause))
      const verdict = ruling.value
      if (verdict === null || (verdict.events.length === 0 && verdict.receipt === null))
        return concluded(letter, nothing)
      write(verdict, (ended) => (ended === "stale" ? carryOut(letter) : concluded(letter, ended)))
    })

  /** Goes on at once with what is known already: an effect that is an exit needs no fiber. */
  const known = <A, E>(effect: Effect.Effect<A, E>, then: (exit: Exit.Exit<A, E>) => void) =>
    isKnown(effect) ? then(effect) : run(effect, then)

  /** What became of a letter: it is settled, or takes its place again until the storage may be better. */
  const concluded = (letter: Letter, exit: Settled): void => {
    const trouble = letter.patient ? storageTrouble(exit) : null
    if (trouble === null) {
      if (Exit.isSuccess(exit)) lastDelayMs = 0
      else if (storageTrouble(exit) !== null) lookLater()
      settle(letter, exit)
    } else if (trouble.retryable) {
      lanes.putBack([letter])
      stall()
    } else if (letter.parts !== null) {
      lanes.putBack(letter.parts())
      working = false
      takeNext()
    } else {
      run(Effect.logError(`The tables refused what happened to thread ${threadId}; it was left out`), () =>
        settle(letter, nothing)
      )
    }
  }

  const settle = (letter: Letter, exit: Settled) => {
    working = false
    letter.done(exit)
    takeNext()
  }

  const stall = () => {
    working = false
    lanes.stall()
    lastDelayMs = Math.min(Math.max(20, lastDelayMs * 2), 1_000)
    run(Effect.sleep(lastDelayMs), (slept) => {
      // Interrupted: the server ends, and what waits is still owed by whoever wrote it.
      if (Exit.isFailure(slept)) return
      lanes.goOn()
      takeNext()
    })
    // Those that may be refused do not wait for that.
    takeNext()
  }

  /** A look is waiting or being carried out. */
  let looking = false

  /**
   * What the storage refused may be there all the same (its commit was denied, not undone). Its author may never
   * ask again, so the thread looks by itself: else what was committed is owed and nobody does it (L14).
   */
  const lookLater = () => {
    if (looking) return
    looking = true
    const done = () => void (looking = false)
    lanes.add({ rule: () => compare, patient: true, parts: null, lane: "control", done })
  }

  return {
    post: (letter) => {
      lanes.add(letter)
      takeNext()
    },
    isIdle: () => !working && lanes.isEmpty()
  }
}

const isKnown = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)
