/** A process that has nothing to do for long is ended: the conversation is kept, and the next message opens it again. */
import { Effect } from "effect"
import type { SessionContext } from "./SessionContext.ts"

export interface Idle {
  /** Something made it busy. */
  readonly stir: () => void
  /** Its process is being ended. */
  readonly isLeaving: () => boolean
  /** Runs as long as the process. */
  readonly leaveWhenIdle: Effect.Effect<void>
}

export const make = ({ child, conversation, deadlines, life }: SessionContext): Idle => {
  let leaving = false
  /** Counts what makes it busy, so that an idle wait knows whether something came between. */
  let stirred = 0

  const leaveWhenIdle = Effect.gen(function* () {
    while (!child.isGone()) {
      const before = stirred
      yield* Effect.raceFirst(Effect.sleep(deadlines.idle), Effect.exit(child.gone))
      const isBusy = life.isStopping() || stirred !== before || !conversation.rests()
      if (child.isGone() || life.isOver() || leaving || isBusy) continue
      leaving = true
      yield* child.close
      life.exit(true, null)
    }
  })

  return {
    stir: () => {
      stirred += 1
    },
    isLeaving: () => leaving,
    leaveWhenIdle
  }
}
