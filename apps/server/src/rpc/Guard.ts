/**
 * Who may speak to the server at all, decided before any route sees the request.
 *
 * 1. `Host` has to name this server: a foreign name that resolves to us is DNS rebinding.
 * 2. `Origin`, which browsers send, has to be ours: no cross-site WebSocket. Programs send none.
 * 3. The files of the web client are answered here; the health check and signing in need no credential.
 * 4. Everything else needs a credential with the route's scope. A route that nobody has listed needs the most.
 *
 * Refusals say which header was wrong and never what was expected.
 */
import { accessLimits, authPaths, ownHeader, ticketParameter } from "@turnkeeper/contracts/Access"
import { paths } from "@turnkeeper/contracts/Discovery"
import { Forbidden, NotAllowed, Overloaded, Unauthorized } from "@turnkeeper/contracts/Errors"
import { allows } from "@turnkeeper/contracts/Scope"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { Clock, Effect } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { isIP } from "node:net"
import { Access, CurrentCaller } from "../http/Access.ts"
import type { Caller } from "../http/Access.ts"
import { CookieName } from "../http/AuthRoutes.ts"
import { refusal, secured } from "../http/headers.ts"
import type { Site } from "../http/Site.ts"

export interface GuardOptions {
  /** The address the server was told to listen on. */
  readonly host: string
  /** Origins beside our own, e.g. of a development server of the web client. */
  readonly origins?: ReadonlyArray<string>
}

/** Wrong credentials that are answered one by one; beyond, the answer is 429 until the minute is over. */
export const { failuresPerMinute } = accessLimits

/** What each route needs. */
const routes: Readonly<Record<string, Scope | "nothing">> = {
  [paths.health]: "nothing",
  [authPaths.pair]: "nothing",
  [authPaths.session]: "nothing",
  [paths.ready]: "read",
  [paths.metrics]: "read",
  [paths.rpc]: "read",
  [paths.jsonRpc]: "read",
  [authPaths.ticket]: "read",
  [authPaths.signOut]: "read",
  [authPaths.links]: "admin",
  [authPaths.credentials]: "admin",
  [authPaths.tokens]: "admin",
  [authPaths.revoke]: "admin"
}

const needOf = (path: string) => (Object.hasOwn(routes, path) ? (routes[path] ?? "admin") : "admin")

type Request = HttpServerRequest.HttpServerRequest

export const layer = (options: GuardOptions, site: Site) =>
  HttpRouter.middleware(
    Effect.gen(function* () {
      const access = yield* Access
      const cookieName = yield* CookieName
      const { address } = yield* HttpServer.HttpServer
      const port = "port" in address ? address.port : null

      return (app) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const { headers } = request
          if (!isOurHost(headers["host"], options.host, port))
            return refusal(403, new Forbidden({ header: "host" }))
          if (!isOurOrigin(headers["origin"], options, port))
            return refusal(403, new Forbidden({ header: "origin" }))
          const file = site.file(request)
          if (file !== null) return yield* file

          const path = pathOf(request.url)
          const need = needOf(path)
          const credential = presented(request, path, cookieName)
          if (isForged(request, need, credential)) return refusal(403, new Forbidden({ header: "origin" }))
          if (need === "nothing") return yield* app
          // Before anything is refused: a place inside the page is no secret.
          const page = Object.hasOwn(routes, path) ? null : site.page(request)
          if (page !== null) return yield* page

          const now = yield* Clock.currentTimeMillis
          const caller = identify(access, credential, now)
          if (caller !== null) {
            if (!allows(caller.scope, need)) return refusal(403, new NotAllowed({ needs: need }))
            return yield* Effect.provideService(app, CurrentCaller, caller)
          }
          // The right credential passes even while others are guessing: 256 bits are not found by guessing,
          // so the limit only keeps guessers cheap, and they must not lock out the owner.
          return credential !== null && access.tooManyFailures(now) ? overloaded : unauthorized
        }).pipe(Effect.map(secured))
    }),
    { global: true }
  )

/** What a request carries to say who it is from. */
type Credential =
  | { readonly type: "bearer"; readonly text: string }
  | { readonly type: "ticket"; readonly text: string }
  | { readonly type: "cookie"; readonly text: string }

/** A ticket counts for a socket only, a cookie on the routes that are there for browsers only. */
const presented = (
  { headers, url, cookies }: Request,
  path: string,
  cookieName: string
): Credential | null => {
  if (headers["authorization"] !== undefined)
    return { type: "bearer", text: bearerOf(headers["authorization"]) }
  const ticket = isSocket(path) ? ticketOf(url) : null
  if (ticket !== null) return { type: "ticket", text: ticket }
  const cookie = path.startsWith("/auth/") ? (cookies[cookieName] ?? "") : ""
  return cookie === "" ? null : { type: "cookie", text: cookie }
}

const identify = (access: Access["Service"], credential: Credential | null, now: number): Caller | null => {
  switch (credential?.type) {
    case "bearer":
      return access.ofBearer(credential.text, now)
    case "ticket":
      return access.ofTicket(credential.text, now)
    case "cookie":
      return access.ofCookie(credential.text, now)
    case undefined:
      return null
  }
}

/**
 * Browsers send a cookie along with what another page makes them do. So a change by cookie, or on a route
 * that needs none, has to come with an `Origin`, which was looked at, or with a header that no form has.
 */
const isForged = ({ method, headers }: Request, need: string, credential: Credential | null) =>
  method !== "GET" &&
  method !== "HEAD" &&
  (need === "nothing" || credential?.type === "cookie") &&
  headers["origin"] === undefined &&
  headers[ownHeader] === undefined

const isSocket = (path: string) => path === paths.rpc || path === paths.jsonRpc

const ticketOf = (url: string): string | null => {
  const query = url.indexOf("?")
  return query === -1 ? null : new URLSearchParams(url.slice(query + 1)).get(ticketParameter)
}

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"])
const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"])

/**
 * The loopback names and the name we were told to listen on, with our own port. When listening on every
 * address, an IP literal is ours too: only names can be rebound.
 */
export const isOurHost = (header: string | undefined, bound: string, port: number | null): boolean => {
  const host = hostOf(`http://${header ?? ""}`)
  if (host === null || host.port !== port) return false
  return (
    isOurName(host.name, bound) || (wildcards.has(bound) && isIP(host.name.replace(/^\[|\]$/g, "")) !== 0)
  )
}

export const isOurOrigin = (
  header: string | undefined,
  options: GuardOptions,
  port: number | null
): boolean => {
  if (header === undefined) return true
  if (options.origins?.includes(header) === true) return true
  const origin = hostOf(header)
  return origin !== null && origin.port === port && isOurName(origin.name, options.host)
}

const isOurName = (name: string, bound: string) =>
  loopback.has(name) ||
  (!wildcards.has(bound) && name === (isIP(bound) === 6 ? `[${bound}]` : bound.toLowerCase()))

/** Name and port of an address without anything else in it; null for whatever is not one. */
const hostOf = (address: string): { readonly name: string; readonly port: number } | null => {
  const match = /^(https?):\/\/([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$/.exec(address)
  if (match === null) return null
  const [, scheme, name = "", port] = match
  return {
    name: name.toLowerCase(),
    port: port === undefined ? (scheme === "https" ? 443 : 80) : Number(port)
  }
}

const pathOf = (url: string) => url.split("?", 1)[0] ?? ""

const bearerOf = (header: string) => /^Bearer ([^\s]+)$/i.exec(header)?.[1] ?? ""

const overloaded = refusal(429, new Overloaded({ what: "failed attempts", limit: failuresPerMinute }))

const unauthorized = HttpServerResponse.setHeader(
  refusal(401, new Unauthorized()),
  "www-authenticate",
  "Bearer"
)
