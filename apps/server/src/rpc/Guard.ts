/**
 * Who may speak to the server at all, decided before any route sees the request.
 *
 * 1. `Host` has to name this server: a foreign name that resolves to us is DNS rebinding.
 * 2. `Origin`, which browsers send, has to be ours: no cross-site WebSocket. Programs send none.
 * 3. A bearer token, on every route but the health check.
 *
 * Refusals say which header was wrong and never what was expected.
 */
import { paths } from "@turnkeeper/contracts/Discovery"
import { Clock, Effect } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { isIP } from "node:net"
import { Token } from "./Token.ts"

export interface GuardOptions {
  /** The address the server was told to listen on. */
  readonly host: string
  /** Origins beside our own, e.g. of a development server of the web client. */
  readonly origins?: ReadonlyArray<string>
}

/** Wrong tokens that are answered one by one; beyond, the answer is 429 until the minute is over. */
export const failuresPerMinute = 30

export const layer = (options: GuardOptions) =>
  HttpRouter.middleware(
    Effect.gen(function* () {
      const token = yield* Token
      const { address } = yield* HttpServer.HttpServer
      const port = "port" in address ? address.port : null
      const failures = makeFailures()

      return (app) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const { headers } = request
          if (!isOurHost(headers["host"], options.host, port))
            return refusal(403, "Forbidden", { header: "host" })
          if (!isOurOrigin(headers["origin"], options, port))
            return refusal(403, "Forbidden", { header: "origin" })
          if (pathOf(request.url) === paths.health) return yield* app
          // The right token passes even while others are guessing: a token of 256 bits is not found by
          // guessing, so the limit only keeps guessers cheap, and they must not lock out the owner.
          if (token.matches(bearerOf(headers["authorization"]))) return yield* app
          const tooMany = failures.add(yield* Clock.currentTimeMillis)
          return tooMany
            ? refusal(429, "Overloaded", { what: "failed attempts", limit: failuresPerMinute })
            : unauthorized
        })
    }),
    { global: true }
  )

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

const pathOf = (url: string) => url.split("?", 1)[0]

const bearerOf = (header: string | undefined) => /^Bearer ([^\s]+)$/i.exec(header ?? "")?.[1] ?? ""

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
      return count > failuresPerMinute
    }
  }
}

const refusal = (status: number, tag: string, fields: object) =>
  HttpServerResponse.jsonUnsafe({ _tag: tag, ...fields }, { status })

const unauthorized = HttpServerResponse.jsonUnsafe(
  { _tag: "Unauthorized" },
  { status: 401, headers: { "www-authenticate": "Bearer" } }
)
