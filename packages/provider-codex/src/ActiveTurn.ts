/**
 * Which turn of a thread Codex works on, and whose message it carries. No I/O.
 *
 *     send began ──▶ (unanswered) ──answer names the turn──▶ starting ──turn/started──▶ running ──▶ over
 *                         └─ turn/started first: held until the answer, or the turn's own copy of the
 *                            user's message, says whose turn it is
 *
 * Promise: the events of a turn that carries our message begin with a `turn.started` that names it.
 */
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { recentNames } from "@turnkeeper/provider-kit/recent"
import { Deferred, Effect } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import { turnStarted } from "./translate.ts"
import * as Turn from "./Turn.ts"

export interface ActiveTurn {
  readonly turn: () => Turn.Turn | null
  /** A prompt is about to be written. At most one at a time. */
  readonly sendBegan: (turnId: TurnId) => void
  /** Codex answered with the turn that takes the prompt, or refused it, or was never asked: null. */
  readonly sendAnswered: (id: string | null) => ReadonlyArray<ProviderEvent>
  /** Present while it is not known what became of a prompt. */
  readonly unanswered: () => Deferred.Deferred<void> | null
  /** This turn runs, and it is known whose it is. */
  readonly begin: (id: string, turnId: TurnId | null) => ReadonlyArray<ProviderEvent>
  readonly heardStarted: (id: string) => ReadonlyArray<ProviderEvent>
  /** Something is said inside this turn, in this item: if nobody knew yet whose it is, it is known now. */
  readonly heardInside: (id: string | null, item: Protocol.ThreadItem | null) => ReadonlyArray<ProviderEvent>
  /** Codex has ended it. What is known of it, where it was the active one. */
  readonly over: (id: string) => Turn.Turn | null
  readonly isOver: (id: string) => boolean
  /** Nothing more will be heard: whoever waits for a turn or for an answer is told. */
  readonly end: () => void
}

interface Sending {
  readonly turnId: TurnId
  readonly settled: Deferred.Deferred<void>
  /** A turn that started meanwhile: nobody knows yet whose it is. */
  undecided: string | null
}

const endedKept = 256

export const make = (): ActiveTurn => {
  let active: Turn.Turn | null = null
  let sending: Sending | null = null
  const ended = recentNames(endedKept)

  const begin: ActiveTurn["begin"] = (id, turnId) => {
    if (sending !== null) sending.undecided = null
    active = Turn.make(id, turnId)
    Turn.start(active)
    return [turnStarted(id, turnId)]
  }

  const heardStarted: ActiveTurn["heardStarted"] = (id) => {
    if (active?.id === id) return Turn.start(active) ? [turnStarted(id, active.turnId)] : []
    if (sending === null) return begin(id, null)
    sending.undecided = id
    return []
  }

  /** The first thing said inside an undecided turn decides it: a message of ours begins with its copy. */
  const heardInside: ActiveTurn["heardInside"] = (id, item) => {
    if (id === null || sending === null || sending.undecided !== id) return []
    const isOurs = item?.type === "userMessage" && item.clientId === sending.turnId
    return begin(id, isOurs ? sending.turnId : null)
  }

  const sendAnswered: ActiveTurn["sendAnswered"] = (id) => {
    if (sending === null) return []
    const { settled, turnId, undecided } = sending
    sending = null
    Deferred.doneUnsafe(settled, Effect.void)
    if (undecided !== null) return begin(undecided, undecided === id ? turnId : null)
    // It was put into the turn that runs, or its turn has come and gone: either is told already.
    if (id !== null && active?.id !== id && !ended.has(id)) active = Turn.make(id, turnId)
    return []
  }

  return {
    turn: () => active,
    sendBegan: (turnId) => {
      sending = { turnId, settled: Deferred.makeUnsafe<void>(), undecided: null }
    },
    sendAnswered,
    unanswered: () => sending?.settled ?? null,
    begin,
    heardStarted,
    heardInside,
    over: (id) => {
      ended.add(id)
      const turn = active?.id === id ? active : null
      if (turn !== null) active = null
      return turn
    },
    isOver: ended.has,
    end: () => {
      const turn = active
      active = null
      if (turn !== null) Turn.end(turn)
      sendAnswered(null)
    }
  }
}
