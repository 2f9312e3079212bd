/**
 * What a session has said and the mailbox has not taken yet: it is read on while its last words are committed.
 *
 *     read ──▶ waiting ──▶ mailbox ──▶ commit
 *             (bounded)       ▲           │
 *                             └── sent ◀──┘   then all that waits is the next portion
 *
 * Only one portion at a time is in the mailbox. So nothing overtakes what the storage refuses for a while, and
 * the longer a commit takes, the larger and the fewer the portions become. Nothing waits while nothing is being
 * committed.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Deferred, Effect, Exit } from "effect"

export type Portion = ReadonlyArray<ProviderEvent>

export interface Ahead {
  /** Takes what was read, in order. Resolves when more may be read. */
  readonly add: (said: Portion) => Effect.Effect<void>
  /** Resolves when nothing waits and nothing is in the mailbox. */
  readonly settled: Effect.Effect<void>
  /** Fails with a portion that broke the rules' own code; what waited behind it is not said. Never resolves else. */
  readonly broken: Effect.Effect<void>
  /** What waits is not said any more. */
  readonly drop: () => void
}

/** Events that may wait: with so many no more are read. What is read at once begins to wait as a whole. */
export const aheadMax = 64

/** Tells once what became of a portion: that it is committed, or broke the rules' own code. */
type Send = (portion: Portion, sent: (exit: Exit.Exit<void>) => void) => void

/** For one reader: whoever waits is the one that adds. */
export const make = (send: Send): Ahead => {
  let waiting: Array<ProviderEvent> = []
  let isOut = false
  /** `sendAll` is under way. */
  let going = false
  let reader: Reader | null = null
  const broke = Deferred.makeUnsafe<void>()

  /** Not inside itself: portions that mean nothing are sent at once, and are a loop and no tower of calls. */
  const sendAll = () => {
    if (going) return
    going = true
    while (!isOut && waiting.length > 0) {
      const portion = waiting
      waiting = []
      isOut = true
      send(portion, sent)
    }
    going = false
  }

  const sent = (exit: Exit.Exit<void>) => {
    isOut = false
    if (Exit.isFailure(exit)) {
      drop()
      Deferred.doneUnsafe(broke, exit)
    }
    sendAll()
    wake()
  }

  const drop = () => void (waiting = [])

  const wake = () => {
    if (reader === null || !reader.mayGoOn()) return
    const { resume } = reader
    reader = null
    resume(Exit.void)
  }

  const until = (mayGoOn: () => boolean): Effect.Effect<void> =>
    Effect.callback((resume) => {
      reader = { mayGoOn, resume }
      wake()
    })

  const hasRoom = () => waiting.length < aheadMax
  const room = until(hasRoom)

  return {
    add: (said) =>
      Effect.suspend(() => {
        for (const event of said) waiting.push(event)
        sendAll()
        return hasRoom() ? Effect.void : room
      }),
    settled: until(() => !isOut && waiting.length === 0),
    broken: Deferred.await(broke),
    drop
  }
}

interface Reader {
  readonly mayGoOn: () => boolean
  readonly resume: (exit: Exit.Exit<void>) => void
}
