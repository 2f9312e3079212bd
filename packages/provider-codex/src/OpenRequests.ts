/**
 * What Codex asks the user, until it is resolved. No I/O.
 *
 *     open ──handed over to be answered──▶ answered ──Codex says that it is resolved──▶ forgotten
 *       └──Codex says so first, or its turn is over: also of an answered one──────────────▲
 *
 * Promises: a request is handed over once; it is said to be resolved once, and never after its turn.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Held } from "./requests.ts"

export interface OpenRequests {
  /** No more of them can be held. */
  readonly isFull: () => boolean
  readonly open: (held: Held) => ProviderEvent
  readonly isOpen: (requestKey: string) => boolean
  /** Hands the request over to be answered. Null: nobody waits for it any more. */
  readonly release: (requestKey: string) => Held | null
  /** Codex says that it is resolved. Whether that is news. */
  readonly resolved: (requestKey: string) => boolean
  /** All that are not resolved. */
  readonly keys: () => ReadonlyArray<string>
  readonly forgetTurn: (id: string) => void
  readonly forgetAll: () => void
}

const requestsMax = 256

export const make = (): OpenRequests => {
  const open = new Map<string, Held>()
  /** Answered, not yet confirmed: request key to turn. */
  const answered = new Map<string, string | null>()
  return {
    isFull: () => open.size >= requestsMax,
    open: (held) => {
      const requestKey = String(held.id)
      open.set(requestKey, held)
      return opened(requestKey, held)
    },
    isOpen: (requestKey) => open.has(requestKey),
    release: (requestKey) => {
      const held = open.get(requestKey) ?? null
      if (held !== null) {
        open.delete(requestKey)
        answered.set(requestKey, held.turnId)
      }
      return held
    },
    resolved: (requestKey) => {
      const wasOpen = open.delete(requestKey)
      return answered.delete(requestKey) || wasOpen
    },
    keys: () => [...open.keys(), ...answered.keys()],
    forgetTurn: (id) => {
      for (const [key, { turnId }] of open) if (turnId === id) open.delete(key)
      for (const [key, turnId] of answered) if (turnId === id) answered.delete(key)
    },
    forgetAll: () => {
      open.clear()
      answered.clear()
    }
  }
}

const opened = (requestKey: string, { ask, kind, turnId }: Held): ProviderEvent => ({
  type: "request.opened",
  providerTurnId: turnId === null ? null : ProviderTurnId.make(turnId),
  requestKey,
  kind,
  ask
})
