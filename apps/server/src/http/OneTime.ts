/**
 * Secrets that open something once, soon: pairing codes and tickets. Kept in memory alone: after a restart
 * one asks for another.
 */
import { isRight, issue, parse } from "./secret.ts"

export interface OneTime<A> {
  /** The newest take the place of the oldest. */
  readonly give: (value: A, now: number) => { readonly text: string; readonly expiresAt: number }
  /** What the secret stands for, once; null: never given, used before, or too late. */
  readonly take: (text: string, now: number) => A | null
}

interface Waiting<A> {
  readonly hash: string
  readonly value: A
  readonly expiresAt: number
}

export const makeOneTime = <A>(bounds: { readonly lifeMillis: number; readonly max: number }): OneTime<A> => {
  /** In the order in which they were given, so also in that of their end. */
  const waiting = new Map<string, Waiting<A>>()

  const makeRoom = (now: number) => {
    for (const [id, { expiresAt }] of waiting) {
      if (expiresAt > now && waiting.size < bounds.max) return
      waiting.delete(id)
    }
  }

  return {
    give: (value, now) => {
      makeRoom(now)
      const { id, text, hash } = issue()
      const expiresAt = now + bounds.lifeMillis
      waiting.set(id, { hash, value, expiresAt })
      return { text, expiresAt }
    },
    take: (text, now) => {
      const presented = parse(text)
      const found = presented === null ? undefined : waiting.get(presented.id)
      if (presented === null || found === undefined || !isRight(presented, found.hash)) return null
      waiting.delete(presented.id)
      return found.expiresAt > now ? found.value : null
    }
  }
}
