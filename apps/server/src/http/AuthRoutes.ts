/**
 * How a browser signs in and out, and how the owner keeps tokens. Who may call each is the guard's business;
 * here is what they do.
 */
import {
  accessLimits,
  authPaths,
  LinkInput,
  PairInput,
  pairPage,
  RevokeInput,
  TokenInput
} from "@turnkeeper/contracts/Access"
import type { SessionState } from "@turnkeeper/contracts/Access"
import { issuesOf } from "@turnkeeper/contracts/Checked"
import { InvalidRequest, Overloaded, Unauthorized } from "@turnkeeper/contracts/Errors"
import type { PairingCodeNotValid } from "@turnkeeper/contracts/Errors"
import { scopesUpTo } from "@turnkeeper/contracts/Scope"
import { ByteSize, Clock, Context, Effect, Layer } from "effect"
import type { Schema } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"
import { Access, CurrentCaller } from "./Access.ts"
import type { Caller } from "./Access.ts"
import * as Address from "./address.ts"
import { json, refusal } from "./headers.ts"

/**
 * The name of the cookie. Cookies do not know ports: servers of one machine would take each other's if each
 * had not its own name for it.
 */
export class CookieName extends Context.Service<CookieName, string>()("server/http/CookieName") {
  static readonly layer = (dataDirectory: string) =>
    Layer.succeed(
      CookieName,
      `turnkeeper_${createHash("sha256").update(dataDirectory).digest("hex").slice(0, 12)}`
    )
}

/** The cookie's text; empty where there is none. */
const cookieOf = (request: HttpServerRequest.HttpServerRequest, name: string): string =>
  request.cookies[name] ?? ""

/** A link that signs one browser in. The code stands behind `#`: it reaches no server's log and no referrer. */
export const newLink = Effect.fnUntraced(function* (scope: Caller["scope"]) {
  const access = yield* Access
  const { text, expiresAt } = yield* access.newCode(scope)
  return { url: `${yield* Address.url}${pairPage}#${text}`, scope, expiresAt }
})

const pair = Effect.gen(function* () {
  const access = yield* Access
  const { code, name = "Browser" } = yield* bodyOf(PairInput)
  const { cookie, caller } = yield* access
    .pair(code, name)
    .pipe(Effect.catchTag("PairingCodeNotValid", (error) => wrongCode(access, error)))
  const request = yield* HttpServerRequest.HttpServerRequest
  return signedIn(json(stateOf(caller)), request, yield* CookieName, cookie)
})

/** A cookie that opens nothing any more is taken back, so that it is not sent again and again. */
const session = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const name = yield* CookieName
  const cookie = cookieOf(request, name)
  const caller = (yield* Access).ofCookie(cookie, yield* Clock.currentTimeMillis)
  if (caller !== null) return json(stateOf(caller))
  return cookie === "" ? json(signedOut) : withoutCookie(json(signedOut), name)
})

const ticket = Effect.gen(function* () {
  const access = yield* Access
  const request = yield* HttpServerRequest.HttpServerRequest
  const name = yield* CookieName
  const caller = yield* currentCaller
  const given = yield* access.newTicket(caller)
  const response = json({ ticket: given.text, expiresAt: given.expiresAt })
  // With a full disk one still gets in, only not for longer.
  const renewed = yield* Effect.orElseSucceed(access.renew(caller), () => caller)
  const cookie = cookieOf(request, name)
  return renewed.expiresAt === caller.expiresAt || cookie === ""
    ? response
    : signedIn(response, request, name, cookie)
})

const signOut = Effect.gen(function* () {
  const access = yield* Access
  const { id } = yield* currentCaller
  if (id !== null) yield* access.revoke(id)
  return withoutCookie(json(signedOut), yield* CookieName)
})

const link = Effect.gen(function* () {
  const { scope = "operate" } = yield* bodyOf(LinkInput)
  return json(yield* newLink(scope))
})

const list = Effect.gen(function* () {
  return json({ credentials: yield* (yield* Access).list })
})

const create = Effect.gen(function* () {
  const { name, scope, expiresAt = null } = yield* bodyOf(TokenInput)
  const { token, row } = yield* (yield* Access).newToken(name, scope, expiresAt)
  return json({ token, credential: row })
})

const revoke = Effect.gen(function* () {
  const { id } = yield* bodyOf(RevokeInput)
  return json({ revoked: yield* (yield* Access).revoke(id) })
})

const stateOf = ({ scope, expiresAt }: Caller): SessionState => ({
  signedIn: true,
  scopes: scopesUpTo(scope),
  expiresAt
})

const signedOut: SessionState = { signedIn: false, scopes: [], expiresAt: null }

/**
 * No script reads it, no other site has it sent, and of our own routes only these see it. Other servers of
 * the same machine could: a browser does not tell ports apart.
 */
const cookieOptions = { httpOnly: true, sameSite: "strict", path: "/auth" } as const

const signedIn = (
  response: HttpServerResponse.HttpServerResponse,
  { headers }: HttpServerRequest.HttpServerRequest,
  name: string,
  cookie: string
) =>
  HttpServerResponse.setCookieUnsafe(response, name, cookie, {
    ...cookieOptions,
    // Behind a proxy that speaks TLS it never goes out without.
    secure: headers["origin"]?.startsWith("https:") === true,
    maxAge: accessLimits.sessionMillis
  })

const withoutCookie = (response: HttpServerResponse.HttpServerResponse, name: string) =>
  HttpServerResponse.expireCookieUnsafe(response, name, cookieOptions)

/** The guard lets nobody in without; a route that is reached otherwise refuses by itself. */
const currentCaller = Effect.flatMap(CurrentCaller, (caller) =>
  caller === null ? Effect.fail(new Unauthorized()) : Effect.succeed(caller)
)

const wrongCode = Effect.fnUntraced(function* (access: Access["Service"], error: PairingCodeNotValid) {
  const isTooMany = access.tooManyFailures(yield* Clock.currentTimeMillis)
  return yield* isTooMany
    ? new Overloaded({ what: "failed attempts", limit: accessLimits.failuresPerMinute })
    : error
})

const bodyOf = <A>(schema: Schema.Codec<A, unknown>) =>
  HttpServerRequest.schemaBodyJson(schema).pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(accessLimits.bodyBytes)),
    // What was sent may be a secret: it is never repeated.
    Effect.mapError(
      (error) => new InvalidRequest({ issues: error._tag === "SchemaError" ? issuesOf(error.issue) : [] })
    )
  )

const statuses: Readonly<Record<string, number>> = {
  InvalidRequest: 400,
  Unauthorized: 401,
  PairingCodeNotValid: 401,
  Overloaded: 429,
  StorageUnavailable: 503
}

/** Whatever refuses is answered with its type. */
const answered = <E extends { readonly _tag: string }, R>(
  effect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) => effect.pipe(Effect.catch((error) => Effect.succeed(refusal(statuses[error._tag] ?? 500, error))))

export const layer = Layer.mergeAll(
  HttpRouter.add("POST", authPaths.pair, answered(pair)),
  HttpRouter.add("GET", authPaths.session, session),
  HttpRouter.add("POST", authPaths.ticket, answered(ticket)),
  HttpRouter.add("POST", authPaths.signOut, answered(signOut)),
  HttpRouter.add("POST", authPaths.links, answered(link)),
  HttpRouter.add("GET", authPaths.credentials, list),
  HttpRouter.add("POST", authPaths.tokens, answered(create)),
  HttpRouter.add("POST", authPaths.revoke, answered(revoke))
)
