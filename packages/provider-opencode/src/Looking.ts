/**
 * Where what OpenCode says is not enough, its record is looked at: until the turn is no longer in doubt, or
 * is given up.
 */
import { Effect } from "effect"
import { openRequests } from "./asked.ts"
import type { WorksForUs } from "./asked.ts"
import * as History from "./history.ts"
import type { SessionContext } from "./SessionContext.ts"
import type { Telling } from "./Telling.ts"

export interface Looking {
  /** Nothing was heard for a while: what happened meanwhile is read. */
  readonly catchUp: Effect.Effect<void>
  readonly lookIfInDoubt: Effect.Effect<void>
  /** One look at a time; not waited for, because what runs this is what has to be heard meanwhile. */
  readonly look: Effect.Effect<void>
}

export interface LookingOptions {
  readonly tell: Telling["tell"]
  readonly worksForUs: WorksForUs
}

/** A look at the record that still leaves the turn in doubt is repeated so often before it is given up. */
const looksMax = 4
const betweenLooks = "500 millis"

export const make = (context: SessionContext, { tell, worksForUs }: LookingOptions): Looking => {
  const { asking, conversation, life, scope, sessionID } = context
  let looking = false
  let lookAgain = false

  const look = Effect.suspend(() => {
    if (looking) return Effect.void
    looking = true
    return lookUntilSettled.pipe(
      Effect.ensuring(Effect.sync(() => void (looking = false))),
      Effect.forkIn(scope),
      Effect.asVoid
    )
  })

  const lookUntilSettled: Effect.Effect<void> = Effect.gen(function* () {
    let turn = conversation.active()
    for (let looks = 0; !life.isOver() && (lookAgain || conversation.inDoubt());) {
      if (!lookAgain) yield* Effect.sleep(betweenLooks)
      if (!lookAgain && !conversation.inDoubt()) return
      lookAgain = false
      const seen = yield* Effect.option(History.seen(asking, sessionID))
      // It cannot be asked: its end, or the next connection, says what there is to say.
      if (seen._tag === "None") {
        looks += 1
        if (looks >= looksMax) return
        yield* Effect.sleep(betweenLooks)
        continue
      }
      if (life.isOver()) return
      yield* tell(conversation.read(seen.value.messages, seen.value.status))
      yield* readRequests
      looks = conversation.active() === turn ? looks + 1 : 1
      turn = conversation.active()
      if (conversation.inDoubt() && looks >= looksMax) {
        yield* tell(conversation.giveUp())
        return
      }
    }
  })

  const readRequests = Effect.suspend(() => {
    const turn = conversation.active()
    // What was asked in a turn that was aborted stays in OpenCode's list for ever.
    if (turn === null || turn.idle || turn.interruptAsked) return Effect.void
    return openRequests(context, worksForUs).pipe(
      Effect.flatMap((held) => tell(conversation.readRequests(held))),
      Effect.ignore
    )
  })

  return {
    catchUp: Effect.suspend(() => {
      if (life.isOver()) return Effect.void
      conversation.missed()
      lookAgain = true
      return look
    }),
    lookIfInDoubt: Effect.suspend(() => (conversation.inDoubt() ? look : Effect.void)),
    look
  }
}
