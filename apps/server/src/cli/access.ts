/** `turnkeeper pair` and `turnkeeper tokens`: who else may come in, asked of the running server. */
import { authPaths, Credentials, PairingLink, Revoked, TokenCreated } from "@turnkeeper/contracts/Access"
import type { CredentialRow } from "@turnkeeper/contracts/Access"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { durationWords, refusalWords } from "@turnkeeper/contracts/Words"
import { Clock, Effect, Schema } from "effect"
import { authorization, discover } from "./connect.ts"
import type { Endpoint } from "./connect.ts"
import { cannotConnect, failed, notAllowed } from "./Outcome.ts"
import { printJson, terminal } from "./print.ts"
import { linkWords } from "./serve.ts"

export interface AccessOptions {
  readonly data: string
  readonly json: boolean
}

export const pair = Effect.fn("cli.pair")(function* ({ data, json }: AccessOptions, scope: Scope) {
  const endpoint = yield* discover(data)
  const link = yield* ask(endpoint, authPaths.links, PairingLink, { scope })
  if (json) return printJson(link)
  terminal.text(`${link.url}\n`)
  terminal.note(linkWords)
})

export const listTokens = Effect.fn("cli.tokens.list")(function* ({ data, json }: AccessOptions) {
  const endpoint = yield* discover(data)
  const { credentials } = yield* ask(endpoint, authPaths.credentials, Credentials)
  if (json) return credentials.forEach(printJson)
  if (credentials.length === 0)
    return terminal.note("There are none. Make one with: turnkeeper tokens create NAME")
  const now = yield* Clock.currentTimeMillis
  terminal.text(credentials.map((row) => `${lineOf(row, now)}\n`).join(""))
})

const lineOf = ({ id, kind, name, scope, createdAt, expiresAt }: CredentialRow, now: number) => {
  const ends =
    expiresAt === null ? "no end" : expiresAt <= now ? "over" : `ends in ${durationWords(expiresAt - now)}`
  return `${id}  ${kind}  ${scope}  made ${durationWords(now - createdAt)} ago, ${ends}  ${name}`
}

const dayMillis = 86_400_000

/** `days`: null: until it is revoked. */
export const createToken = Effect.fn("cli.tokens.create")(function* (
  { data, json }: AccessOptions,
  name: string,
  scope: Scope,
  days: number | null
) {
  const endpoint = yield* discover(data)
  const expiresAt = days === null ? null : (yield* Clock.currentTimeMillis) + days * dayMillis
  const created = yield* ask(endpoint, authPaths.tokens, TokenCreated, { name, scope, expiresAt })
  if (json) return printJson(created)
  terminal.text(`${created.token}\n`)
  terminal.note(
    `Keep it: it is not shown again. Take it back with: turnkeeper tokens revoke ${created.credential.id}`
  )
})

export const revokeToken = Effect.fn("cli.tokens.revoke")(function* (
  { data, json }: AccessOptions,
  id: string
) {
  const endpoint = yield* discover(data)
  const { revoked } = yield* ask(endpoint, authPaths.revoke, Revoked, { id })
  if (!revoked)
    return yield* failed(`There is no token or browser ${JSON.stringify(id)}. See: turnkeeper tokens list`)
  if (json) return printJson({ revoked: id })
  terminal.note("It opens nothing any more, and what was connected by it is closed.")
})

const askTimeout = "10 seconds"

const Refused = Schema.Struct({ _tag: Schema.String })
const decodeRefused = Schema.decodeUnknownOption(Refused)

/** One request to a route; with a body it is a POST. */
const ask = <A>(endpoint: Endpoint, path: string, schema: Schema.Codec<A, unknown>, body?: object) =>
  Effect.gen(function* () {
    const silent = cannotConnect(`The server at ${endpoint.url} does not answer.`)
    const { status, answer } = yield* Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(`${endpoint.url}${path}`, {
          headers: authorization(endpoint),
          signal,
          ...(body !== undefined && { method: "POST", body: JSON.stringify(body) })
        })
        return { status: response.status, answer: (await response.json()) as unknown }
      },
      catch: () => silent
    }).pipe(Effect.timeoutOrElse({ duration: askTimeout, orElse: () => Effect.fail(silent) }))
    if (status === 200)
      return yield* Effect.mapError(Schema.decodeUnknownEffect(schema)(answer), () => silent)
    if (status === 401 || status === 403)
      return yield* notAllowed(`The server at ${endpoint.url} does not accept this token.`)
    const refused = decodeRefused(answer)
    return yield* failed(
      refused._tag === "Some" ? refusalWords(refused.value) : `The server answered ${status}.`
    )
  })
