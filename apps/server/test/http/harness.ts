/** Plain requests of any kind, and what a browser would keep of the answers. */
import { authPaths } from "@turnkeeper/contracts/Access"
import { Effect } from "effect"
import { request } from "node:http"
import * as Listen from "../../src/rpc/Listen.ts"
import type { Body } from "../rpc/harness.ts"
import { bearer } from "../rpc/harness.ts"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly bytes: Buffer
  readonly text: string
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** `path` goes out as it is written, dots and all. */
export const ask = Effect.fnUntraced(function* (method: string, path: string, { headers, body }: Ask = {}) {
  const { hostname, port } = new URL(yield* Listen.url)
  return yield* Effect.callback<Answer>((resume) => {
    const sent = request({ agent: false, host: hostname, port, path, method, headers }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () => {
        const bytes = Buffer.concat(chunks)
        const { statusCode: status = 0, headers } = response
        resume(Effect.succeed({ status, headers, bytes, text: bytes.toString() }))
      })
    })
    sent.on("upgrade", (response, socket) => {
      socket.destroy()
      const { statusCode: status = 0, headers } = response
      resume(Effect.succeed({ status, headers, bytes: Buffer.alloc(0), text: "" }))
    })
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end(body === undefined || typeof body === "string" ? body : JSON.stringify(body))
  })
})

export const json = ({ text }: Answer): Body => JSON.parse(text)

/** As a page of ours sends it. */
export const ownOrigin = Effect.map(Listen.url, (origin) => ({ origin }))

/** The owner makes a link; its code. */
export const newCode = Effect.fnUntraced(function* (scope?: string) {
  const answer = yield* ask("POST", authPaths.links, {
    headers: bearer,
    body: scope === undefined ? {} : { scope }
  })
  const { url } = json(answer)
  return String(new URL(url).hash.slice(1))
})

/** A browser that has opened a link: the headers that its page sends. */
export const signedIn = Effect.fnUntraced(function* (scope?: string) {
  const origin = yield* ownOrigin
  const answer = yield* ask("POST", authPaths.pair, {
    headers: origin,
    body: { code: yield* newCode(scope), name: "A browser" }
  })
  return { ...origin, cookie: cookieIn(answer) }
})

/** What the browser sends back: the name and value of the cookie that came. */
export const cookieIn = ({ headers }: Answer): string => {
  const [cookie = ""] = headers["set-cookie"] ?? []
  return cookie.split(";", 1)[0] ?? ""
}

export const ticketOf = (headers: Readonly<Record<string, string>>) =>
  Effect.map(ask("POST", authPaths.ticket, { headers }), (answer) => String(json(answer).ticket))
