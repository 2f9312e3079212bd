/**
 * Who somebody is, by what they present: the owner's token, a program's token, a browser's cookie, or a
 * ticket for a socket.
 *
 * Promise: a credential that was revoked or whose time is over opens nothing any more, and what it had opened
 * is closed.
 */
import { accessLimits } from "@turnkeeper/contracts/Access"
import type { CredentialRow } from "@turnkeeper/contracts/Access"
import { PairingCodeNotValid } from "@turnkeeper/contracts/Errors"
import type { Overloaded, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { Clock, Context, Deferred, Effect, Layer } from "effect"
import type { Scope as Lifetime } from "effect"
import { Token } from "../rpc/Token.ts"
import * as Credentials from "./Credentials.ts"
import { makeOneTime } from "./OneTime.ts"

/** Who calls. `id` is that of a stored credential, `name` what people call it; the owner has neither. */
export interface Caller {
  readonly kind: "owner" | CredentialRow["kind"]
  readonly id: string | null
  readonly name: string | null
  readonly scope: Scope
  /** Milliseconds since 1970; null: has no end. */
  readonly expiresAt: number | null
}

/** Of the request that is being answered; null: nobody has been asked for. */
export const CurrentCaller: Context.Reference<Caller | null> = Context.Reference<Caller | null>(
  "server/http/Caller",
  { defaultValue: () => null }
)

export class Access extends Context.Service<
  Access,
  {
    /** The holder of a bearer token. */
    readonly ofBearer: (token: string, now: number) => Caller | null
    /** The browser with this cookie. */
    readonly ofCookie: (cookie: string, now: number) => Caller | null
    /** The one who asked for this ticket. It is used up. */
    readonly ofTicket: (ticket: string, now: number) => Caller | null
    /** A code that signs one browser in, with this scope. */
    readonly newCode: (scope: Scope) => Effect.Effect<{ readonly text: string; readonly expiresAt: number }>
    /** Signs a browser in; `cookie` is its secret. The code is used up. */
    readonly pair: (
      code: string,
      name: string
    ) => Effect.Effect<
      { readonly cookie: string; readonly caller: Caller },
      PairingCodeNotValid | StorageUnavailable | Overloaded
    >
    /** A ticket for one socket. */
    readonly newTicket: (
      caller: Caller
    ) => Effect.Effect<{ readonly text: string; readonly expiresAt: number }>
    /** A browser that comes stays signed in: its session ends later, where its end was near. No other does. */
    readonly renew: (caller: Caller) => Effect.Effect<Caller, StorageUnavailable>
    readonly newToken: (
      name: string,
      scope: Scope,
      expiresAt: number | null
    ) => Effect.Effect<
      { readonly token: string; readonly row: CredentialRow },
      StorageUnavailable | Overloaded
    >
    readonly list: Effect.Effect<ReadonlyArray<CredentialRow>>
    /** False: there is no such credential. What it had opened is closed. */
    readonly revoke: (id: string) => Effect.Effect<boolean, StorageUnavailable>
    /** Resolves when the caller's credential has ended, at most a minute later, as long as the scope is open. */
    readonly ended: (caller: Caller) => Effect.Effect<Effect.Effect<void>, never, Lifetime.Scope>
    /** To be asked for each wrong credential: whether there were too many of them in this minute. */
    readonly tooManyFailures: (now: number) => boolean
  }
>()("server/http/Access") {
  /** `file`: where credentials are kept; null: in memory. */
  static readonly layer = (file: string | null) => Layer.effect(Access, make(file))
}

const make = Effect.fnUntraced(function* (file: string | null) {
  const owner = yield* Token
  const stored = yield* Credentials.open(file)
  const codes = makeOneTime<Scope>({ lifeMillis: accessLimits.linkMillis, max: accessLimits.links })
  const tickets = makeOneTime<Caller>({ lifeMillis: accessLimits.ticketMillis, max: accessLimits.tickets })
  const open = makeOpenings()
  const failures = makeFailures()

  const ofStored = (text: string, kind: CredentialRow["kind"], now: number) => {
    const row = stored.matching(text, now)
    return row === null || row.kind !== kind ? null : callerOf(row)
  }
  /** It may have been revoked since. */
  const stillStands = (caller: Caller, now: number): Caller | null => {
    if (caller.id === null) return caller
    const row = stored.find(caller.id)
    return row === null || (row.expiresAt !== null && row.expiresAt <= now) ? null : callerOf(row)
  }

  /**
   * Its end is looked for, rather than waited for: a session that is used gets a later one, and a credential
   * may have to make room for another.
   */
  const untilOver = (caller: Caller): Effect.Effect<void> =>
    caller.id === null
      ? Effect.never
      : Clock.currentTimeMillis.pipe(
          Effect.delay("1 minute"),
          Effect.repeat({ while: (now) => stillStands(caller, now) !== null }),
          Effect.asVoid
        )

  return Access.of({
    ofBearer: (text, now) =>
      owner.matches(text) ? ownerCaller : ofStored(text.replace(tokenPrefix, ""), "token", now),
    ofCookie: (text, now) => ofStored(text, "browser", now),
    ofTicket: (text, now) => {
      const caller = tickets.take(text, now)
      return caller === null ? null : stillStands(caller, now)
    },
    newCode: (scope) => Effect.map(Clock.currentTimeMillis, (now) => codes.give(scope, now)),
    newTicket: (caller) => Effect.map(Clock.currentTimeMillis, (now) => tickets.give(caller, now)),
    pair: Effect.fnUntraced(function* (code, name) {
      const now = yield* Clock.currentTimeMillis
      const scope = codes.take(code, now)
      if (scope === null) return yield* new PairingCodeNotValid()
      const expiresAt = now + accessLimits.sessionMillis
      const added = yield* stored.add({ kind: "browser", name, scope, createdAt: now, expiresAt })
      return { cookie: added.text, caller: callerOf(added.row) }
    }),
    renew: Effect.fnUntraced(function* (caller) {
      const { kind, id, expiresAt } = caller
      if (kind !== "browser" || id === null || expiresAt === null) return caller
      const now = yield* Clock.currentTimeMillis
      if (expiresAt - now > accessLimits.sessionMillis / 2) return caller
      const later = now + accessLimits.sessionMillis
      yield* stored.extend(id, later)
      return { ...caller, expiresAt: later }
    }),
    newToken: Effect.fnUntraced(function* (name, scope, expiresAt) {
      const createdAt = yield* Clock.currentTimeMillis
      const { row, text } = yield* stored.add({ kind: "token", name, scope, createdAt, expiresAt })
      return { token: `${tokenPrefix}${text}`, row }
    }),
    list: Effect.sync(stored.list),
    // Also when the one who asks hangs up in between.
    revoke: (id) =>
      Effect.uninterruptible(Effect.tap(stored.remove(id), () => Effect.sync(() => open.end(id)))),
    ended: Effect.fnUntraced(function* (caller) {
      const { ended } = yield* Effect.acquireRelease(
        Effect.sync(() => open.add(caller)),
        (opening) => Effect.sync(() => open.remove(opening))
      )
      // It may have ended between the guard's look and this one.
      const now = yield* Clock.currentTimeMillis
      return stillStands(caller, now) === null
        ? Effect.void
        : Effect.raceFirst(Deferred.await(ended), untilOver(caller))
    }),
    tooManyFailures: failures.add
  })
})

/** So that a token is recognised where it was left by mistake. */
const tokenPrefix = "turnkeeper_"

const ownerCaller: Caller = { kind: "owner", id: null, name: null, scope: "admin", expiresAt: null }

const callerOf = ({ kind, id, name, scope, expiresAt }: CredentialRow): Caller => ({
  kind,
  id,
  name,
  scope,
  expiresAt
})

interface Opening {
  readonly caller: Caller
  readonly ended: Deferred.Deferred<void>
}

/** What is open by a credential right now. */
const makeOpenings = () => {
  const all = new Set<Opening>()
  return {
    add: (caller: Caller): Opening => {
      const opening = { caller, ended: Deferred.makeUnsafe<void>() }
      all.add(opening)
      return opening
    },
    remove: (opening: Opening) => void all.delete(opening),
    end: (id: string) => {
      for (const { caller, ended } of all) {
        if (caller.id === id) Deferred.doneUnsafe(ended, Effect.void)
      }
    }
  }
}

/** Failures of the minute that runs, for all clients together: constant memory whoever knocks. */
const makeFailures = () => {
  let minute = 0
  let count = 0
  return {
    add: (now: number) => {
      const current = Math.floor(now / 60_000)
      if (current !== minute) {
        minute = current
        count = 0
      }
      count += 1
      return count > accessLimits.failuresPerMinute
    }
  }
}
