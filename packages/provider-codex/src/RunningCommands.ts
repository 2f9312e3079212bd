/** The commands that Codex runs, also beyond their turn: the end of each can be waited for. No I/O. */
import { Deferred, Effect } from "effect"

export interface RunningCommands {
  readonly began: (itemId: string) => void
  readonly ended: (itemId: string) => void
  /** Resolves when Codex says that this command has ended. Null: it has, or never ran. */
  readonly endOf: (itemId: string) => Deferred.Deferred<void> | null
}

const commandsMax = 1_000

export const make = (): RunningCommands => {
  const ends = new Map<string, Deferred.Deferred<void>>()
  return {
    began: (itemId) => {
      if (ends.size < commandsMax) ends.set(itemId, Deferred.makeUnsafe<void>())
    },
    ended: (itemId) => {
      const end = ends.get(itemId)
      if (end !== undefined) Deferred.doneUnsafe(end, Effect.void)
      ends.delete(itemId)
    },
    endOf: (itemId) => ends.get(itemId) ?? null
  }
}
