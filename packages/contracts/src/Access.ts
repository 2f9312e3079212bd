/**
 * Who may do what: the scopes, the scope that each call needs, and the HTTP routes by which a browser signs
 * in and a program's tokens are kept.
 *
 * A program carries a bearer token. A browser is paired once by a link, which gives it a cookie that only
 * the `/auth` routes see; for a socket it asks for a ticket that is good for one upgrade.
 */
import { Schema } from "effect"
import type { RpcGroup } from "effect/rpc"
import type { Api } from "./Api.ts"
import { Scope } from "./Scope.ts"

type Call = RpcGroup.Rpcs<typeof Api>["_tag"]

/** The one table of what each call needs. A call without a line here does not compile. */
const callScopes: Readonly<Record<Call, Scope>> = {
  "server.hello": "read",
  "orchestration.dispatch": "operate",
  "orchestration.subscribeShell": "read",
  "orchestration.subscribeThread": "read",
  "orchestration.history": "read",
  "orchestration.itemText": "read",
  "orchestration.search": "read",
  "providers.list": "read",
  "providers.subscribe": "read",
  "providers.refresh": "operate",
  "workspace.browse": "operate",
  "maintenance.rebuild": "admin"
}

/** What a call needs; for a name that is no call, the most. */
export const scopeOfCall = (method: string): Scope => {
  const scopes: Readonly<Record<string, Scope>> = callScopes
  return Object.hasOwn(scopes, method) ? (scopes[method] ?? "admin") : "admin"
}

export const authPaths = {
  /** POST `PairInput` → `SessionState` and the cookie. Needs no credential: the code is one. */
  pair: "/auth/pair",
  /** GET → `SessionState`. Needs no credential. */
  session: "/auth/session",
  /** POST → `Ticket`. */
  ticket: "/auth/ticket",
  /** POST. Ends the browser's own session and everything that is connected by it. */
  signOut: "/auth/sign-out",
  /** POST `LinkInput` → `PairingLink`. Admin. */
  links: "/auth/links",
  /** GET → `Credentials`. Admin. */
  credentials: "/auth/credentials",
  /** POST `TokenInput` → `TokenCreated`. Admin. */
  tokens: "/auth/tokens",
  /** POST `RevokeInput` → `Revoked`. Admin. */
  revoke: "/auth/revoke"
} as const

/** The page that a pairing link opens; the code stands behind `#`, which no browser sends to a server. */
export const pairPage = "/pair"

/** A request with a body needs an `Origin` of ours, as browsers send it, or this header, which no form can. */
export const ownHeader = "x-turnkeeper"

/** Behind the path of a socket: `/rpc?ticket=…`. */
export const ticketParameter = "ticket"

export const accessLimits = {
  /** A pairing link is good for this long, once. */
  linkMillis: 10 * 60_000,
  links: 32,
  ticketMillis: 30_000,
  tickets: 256,
  /** A browser that comes back within this time stays signed in. */
  sessionMillis: 30 * 86_400_000,
  /** Tokens and browsers together. A browser more takes the place of the one that would end first. */
  credentials: 200,
  /** Wrong credentials that are answered one by one in a minute, of all clients together. */
  failuresPerMinute: 30,
  /** Bytes of a request's body. */
  bodyBytes: 16 * 1024
} as const

const name = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(128))
/** Milliseconds since 1970. */
const Time = Schema.Number

export const PairInput = Schema.Struct({
  code: Schema.String.check(Schema.isMaxLength(256)),
  /** What the browser calls itself, for the list of those that are signed in. */
  name: Schema.optionalKey(name)
})

export const SessionState = Schema.Struct({
  signedIn: Schema.Boolean,
  scopes: Schema.Array(Scope),
  /** Null: not signed in. */
  expiresAt: Schema.NullOr(Time)
})
export type SessionState = typeof SessionState.Type

export const Ticket = Schema.Struct({ ticket: Schema.String, expiresAt: Time })
export type Ticket = typeof Ticket.Type

export const LinkInput = Schema.Struct({ scope: Schema.optionalKey(Scope) })

export const PairingLink = Schema.Struct({ url: Schema.String, scope: Scope, expiresAt: Time })
export type PairingLink = typeof PairingLink.Type

/** A token or a signed-in browser, without its secret. */
export const CredentialRow = Schema.Struct({
  id: Schema.String,
  kind: Schema.Literals(["token", "browser"]),
  name: Schema.String,
  scope: Scope,
  createdAt: Time,
  /** Null: until it is revoked. */
  expiresAt: Schema.NullOr(Time)
})
export type CredentialRow = typeof CredentialRow.Type

export const Credentials = Schema.Struct({ credentials: Schema.Array(CredentialRow) })

export const TokenInput = Schema.Struct({
  name,
  scope: Scope,
  expiresAt: Schema.optionalKey(Schema.NullOr(Time))
})

/** The only time that the token itself is told. */
export const TokenCreated = Schema.Struct({ token: Schema.String, credential: CredentialRow })
export type TokenCreated = typeof TokenCreated.Type

export const RevokeInput = Schema.Struct({ id: Schema.String.check(Schema.isMaxLength(128)) })
export const Revoked = Schema.Struct({ revoked: Schema.Boolean })
