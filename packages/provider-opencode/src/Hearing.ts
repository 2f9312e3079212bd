/** What OpenCode says of a session and of those that work for it, as long as somebody listens. */
import { Effect } from "effect"
import type { Looking } from "./Looking.ts"
import type { Native } from "./protocol.ts"
import type { SessionContext } from "./SessionContext.ts"
import type { Telling } from "./Telling.ts"

export interface Hearing {
  readonly hear: (native: Native) => Effect.Effect<void>
  readonly hearChild: (native: Native) => Effect.Effect<void>
  /** The number of an event of this session's record: a gap is an event that was missed. */
  readonly count: (sequence: number) => Effect.Effect<void>
}

export const make = (
  { conversation, life }: SessionContext,
  { isDeaf, tell }: Telling,
  { catchUp, lookIfInDoubt }: Looking
): Hearing => {
  let sequence: number | null = null
  return {
    hear: (native) =>
      Effect.suspend(() => {
        if (life.isOver()) return Effect.void
        if (native.type === "session.deleted") {
          return Effect.sync(() => life.exit(life.isStopping(), "This conversation was deleted in OpenCode."))
        }
        // Its record is read when the listener reads again.
        if (isDeaf()) return Effect.void
        return Effect.andThen(tell(conversation.hear(native)), lookIfInDoubt)
      }),
    hearChild: (native) =>
      Effect.suspend(() => (life.isOver() || isDeaf() ? Effect.void : tell(conversation.hearChild(native)))),
    count: (next) =>
      Effect.suspend(() => {
        const missed = sequence !== null && next > sequence + 1
        sequence = Math.max(sequence ?? 0, next)
        return missed && !isDeaf() ? catchUp : Effect.void
      })
  }
}
