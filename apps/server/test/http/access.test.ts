/** Signing in with a browser, tokens, scopes: over real sockets, on a clock that is turned by hand. */
import { NodeServices, NodeSocket } from "@effect/platform-node"
import { describe, expect, it, layer } from "@effect/vitest"
import { accessLimits, authPaths, ownHeader, scopeOfCall } from "@turnkeeper/contracts/Access"
import { Api } from "@turnkeeper/contracts/Api"
import { paths } from "@turnkeeper/contracts/Discovery"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Deferred, Effect, Exit, Layer, Queue, Redacted } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { TestClock } from "effect/testing"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Access } from "../../src/http/Access.ts"
import { failuresPerMinute } from "../../src/rpc/Guard.ts"
import * as Listen from "../../src/rpc/Listen.ts"
import { Token } from "../../src/rpc/Token.ts"
import { Reader } from "../../src/store/Sqlite.ts"
import { bearer, commandOf, server, token, until, upgradeHeaders } from "../rpc/harness.ts"
import { ask, cookieIn, json, newCode, ownOrigin, signedIn, ticketOf } from "./harness.ts"

const upgradeWith = (path: string, headers: Record<string, string> = {}) =>
  Effect.map(ask("GET", path, { headers: { ...upgradeHeaders, ...headers } }), ({ status }) => status)

const pairWith = (code: string, headers: Record<string, string>) =>
  ask("POST", authPaths.pair, { headers, body: { code } })

layer(server())("a browser", (it) => {
  it.effect("is signed in by a link, once, with a cookie that no script and no other site gets", () =>
    Effect.gen(function* () {
      const origin = yield* ownOrigin
      expect(json(yield* ask("GET", authPaths.session))).toEqual({
        signedIn: false,
        scopes: [],
        expiresAt: null
      })
      const code = yield* newCode()
      const first = yield* pairWith(code, origin)
      expect(first.status).toBe(200)
      expect(json(first)).toMatchObject({ signedIn: true, scopes: ["read", "operate"] })
      const [cookie = ""] = first.headers["set-cookie"] ?? []
      expect(cookie).toMatch(/; HttpOnly/)
      expect(cookie).toMatch(/; SameSite=Strict/)
      expect(cookie).toMatch(/; Path=\/auth/)
      const mine = { cookie: cookieIn(first) }
      expect(json(yield* ask("GET", authPaths.session, { headers: mine }))).toMatchObject({ signedIn: true })

      const second = yield* pairWith(code, origin)
      expect(second.status).toBe(401)
      expect(json(second)).toEqual({ _tag: "PairingCodeNotValid" })
      expect(second.headers["set-cookie"]).toBeUndefined()
    })
  )

  it.effect("gets in through a socket with a ticket, once", () =>
    Effect.gen(function* () {
      const browser = yield* signedIn()
      for (const path of [paths.rpc, paths.jsonRpc]) {
        const ticket = yield* ticketOf(browser)
        expect(yield* upgradeWith(`${path}?ticket=${ticket}`)).toBe(101)
        expect(yield* upgradeWith(`${path}?ticket=${ticket}`)).toBe(401)
      }
      // The cookie by itself opens no socket and no other route, and a ticket is for sockets alone.
      expect(yield* upgradeWith(paths.rpc, browser)).toBe(401)
      expect((yield* ask("GET", paths.ready, { headers: browser })).status).toBe(401)
      const ticket = yield* ticketOf(browser)
      expect((yield* ask("GET", `${paths.ready}?ticket=${ticket}`)).status).toBe(401)
      expect((yield* ask("POST", `${authPaths.links}?ticket=${ticket}`, { body: {} })).status).toBe(401)
    })
  )

  it.effect("may not make links or tokens, unless it was let in as the owner", () =>
    Effect.gen(function* () {
      const browser = yield* signedIn("operate")
      const owner = yield* signedIn("admin")
      const wishes = [
        ["POST", authPaths.links, {}],
        ["POST", authPaths.tokens, { name: "x", scope: "admin" }],
        ["POST", authPaths.revoke, { id: "x" }],
        ["GET", authPaths.credentials, undefined]
      ] as const
      for (const [method, path, body] of wishes) {
        const refused = yield* ask(method, path, { headers: browser, body })
        expect(refused.status).toBe(403)
        expect(json(refused)).toEqual({ _tag: "NotAllowed", needs: "admin" })
        expect((yield* ask(method, path, { headers: owner, body })).status).toBe(200)
      }
    })
  )

  it.effect("is not spoken for by another site: a change needs an Origin of ours or our own header", () =>
    Effect.gen(function* () {
      const { cookie } = yield* signedIn()
      const post = (headers: Record<string, string>) =>
        Effect.map(ask("POST", authPaths.ticket, { headers }), ({ status }) => status)
      expect(yield* post({ cookie })).toBe(403)
      expect(yield* post({ cookie, origin: "http://evil.example" })).toBe(403)
      expect(yield* post({ cookie, origin: "null" })).toBe(403)
      expect(yield* post({ cookie, [ownHeader]: "1" })).toBe(200)
      expect(yield* post({ cookie, ...(yield* ownOrigin) })).toBe(200)
      const code = yield* newCode()
      expect((yield* pairWith(code, {})).status).toBe(403)
      expect((yield* pairWith(code, { [ownHeader]: "1" })).status).toBe(200)
    })
  )

  it.effect("signs out: its cookie and the tickets it holds open nothing any more", () =>
    Effect.gen(function* () {
      const browser = yield* signedIn()
      const ticket = yield* ticketOf(browser)
      const answer = yield* ask("POST", authPaths.signOut, { headers: browser })
      expect(answer.status).toBe(200)
      expect(String(answer.headers["set-cookie"])).toMatch(/Max-Age=0|Expires=Thu, 01 Jan 1970/)
      expect(json(yield* ask("GET", authPaths.session, { headers: browser }))).toMatchObject({
        signedIn: false
      })
      expect((yield* ask("POST", authPaths.ticket, { headers: browser })).status).toBe(401)
      expect(yield* upgradeWith(`${paths.rpc}?ticket=${ticket}`)).toBe(401)
    })
  )
})

layer(server())("time", (it) => {
  it.effect("ends a ticket and a code", () =>
    Effect.gen(function* () {
      const origin = yield* ownOrigin
      const code = yield* newCode()
      const ticket = yield* ticketOf(yield* signedIn())
      yield* TestClock.adjust(accessLimits.ticketMillis)
      expect(yield* upgradeWith(`${paths.rpc}?ticket=${ticket}`)).toBe(401)
      yield* TestClock.adjust(accessLimits.linkMillis - accessLimits.ticketMillis)
      expect((yield* pairWith(code, origin)).status).toBe(401)
    })
  )
})

describe("a session", () => {
  it.effect("outlives the server, goes on for who comes back in time, and ends for who does not", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        // The server is started anew each time: so the weeks go by without it.
        const served = Effect.provide(server({ dataDirectory: directory }))
        const { cookie } = yield* served(signedIn())
        yield* TestClock.adjust(accessLimits.sessionMillis / 2)
        const came = ask("POST", authPaths.ticket, { headers: { cookie, [ownHeader]: "1" } })
        expect(cookieIn(yield* served(came))).toBe(cookie)
        yield* TestClock.adjust(accessLimits.sessionMillis - 1)
        const session = ask("GET", authPaths.session, { headers: { cookie } })
        expect(json(yield* served(session))).toMatchObject({ signedIn: true })
        yield* TestClock.adjust(1)
        const over = yield* served(session)
        expect(json(over)).toMatchObject({ signedIn: false })
        // It is told to forget it.
        expect(String(over.headers["set-cookie"])).toMatch(/Max-Age=0|Expires=Thu, 01 Jan 1970/)
      })
    )
  )
})

/** A socket that is told when it was closed. */
const socketWith = (path: string, headers: Record<string, string>) =>
  Effect.gen(function* () {
    const url = (yield* Listen.url).replace(/^http/, "ws")
    const frames = yield* Queue.unbounded<string>()
    const closed = yield* Deferred.make<number>()
    const socket = yield* Effect.acquireRelease(
      Effect.callback<WebSocket>((resume) => {
        const socket = new WebSocket(`${url}${path}`, { headers } as never)
        socket.addEventListener("message", ({ data }) => Queue.offerUnsafe(frames, String(data)))
        socket.addEventListener("close", ({ code }) => Deferred.doneUnsafe(closed, Exit.succeed(code)))
        socket.addEventListener("open", () => resume(Effect.succeed(socket)))
      }),
      (socket) => Effect.sync(() => socket.close())
    )
    const call = (id: number, method: string, params: object) =>
      Effect.andThen(
        Effect.sync(() => socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }))),
        Effect.map(Queue.take(frames), (frame) => JSON.parse(frame))
      )
    return { call, closed: Deferred.await(closed) }
  })

const hello = { protocol: { min: 1, max: 1 } }
const create = {
  type: "project.create",
  commandId: "c-scope",
  projectId: "p-scope",
  title: "T",
  directory: "/home/me"
}

const newToken = (scope: string, body: object = {}) =>
  Effect.map(
    ask("POST", authPaths.tokens, { headers: bearer, body: { name: "a program", scope, ...body } }),
    (answer) => json(answer) as { readonly token: string; readonly credential: { readonly id: string } }
  )
const bearerOf = (text: string) => ({ authorization: `Bearer ${text}` })

layer(server())("a token", (it) => {
  it.effect("that may read reads, and is told what it lacks when it wants more, on both protocols", () =>
    Effect.gen(function* () {
      const { token } = yield* newToken("read")
      const socket = yield* socketWith(paths.jsonRpc, bearerOf(token))
      expect(yield* socket.call(1, "server.hello", hello)).toMatchObject({ result: { protocol: 1 } })
      expect(yield* socket.call(2, "orchestration.dispatch", { command: create })).toEqual({
        jsonrpc: "2.0",
        id: 2,
        error: { code: -32000, message: "Not allowed", data: { _tag: "NotAllowed", needs: "operate" } }
      })
      const client = yield* typedClient(token)
      const refused = yield* Effect.flip(client["orchestration.dispatch"]({ command: commandOf(create) }))
      expect(refused).toMatchObject({ _tag: "NotAllowed", needs: "operate" })
      expect((yield* ask("GET", paths.ready, { headers: bearerOf(token) })).status).toBe(200)
      expect((yield* ask("POST", authPaths.tokens, { headers: bearerOf(token), body: {} })).status).toBe(403)
    })
  )

  it.effect("that may operate dispatches; nothing of the refused command was done before", () =>
    Effect.gen(function* () {
      const { token } = yield* newToken("operate")
      const client = yield* typedClient(token)
      expect(yield* client["orchestration.dispatch"]({ command: commandOf(create) })).toMatchObject({
        status: "accepted",
        version: 1
      })
    })
  )

  it.effect("that is revoked opens nothing, and what it had opened is closed", () =>
    Effect.gen(function* () {
      const { token, credential } = yield* newToken("operate")
      const other = yield* newToken("operate")
      const socket = yield* socketWith(paths.jsonRpc, bearerOf(token))
      const stays = yield* socketWith(paths.jsonRpc, bearerOf(other.token))
      expect(yield* socket.call(1, "server.hello", hello)).toHaveProperty("result")
      const revoked = yield* ask("POST", authPaths.revoke, {
        headers: bearer,
        body: { id: credential.id }
      })
      expect(json(revoked)).toEqual({ revoked: true })
      expect(yield* socket.closed).toBe(1008)
      expect(yield* upgradeWith(paths.rpc, bearerOf(token))).toBe(401)
      expect(yield* stays.call(1, "server.hello", hello)).toHaveProperty("result")
      const again = yield* ask("POST", authPaths.revoke, { headers: bearer, body: { id: credential.id } })
      expect(json(again)).toEqual({ revoked: false })
    })
  )

  it.effect("that ends takes its connections with it", () =>
    Effect.gen(function* () {
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const { token } = yield* newToken("read", { expiresAt: now + 90_000 })
      const socket = yield* socketWith(paths.jsonRpc, bearerOf(token))
      expect(yield* socket.call(1, "server.hello", hello)).toHaveProperty("result")
      yield* TestClock.adjust("3 minutes")
      expect(yield* socket.closed).toBe(1008)
      expect(yield* upgradeWith(paths.rpc, bearerOf(token))).toBe(401)
    })
  )
})

layer(server())("what somebody does", (it) => {
  it.effect("is told and kept with the name of their credential; the owner's own has none", () =>
    Effect.gen(function* () {
      const owner = yield* typedClient(token)
      const program = yield* typedClient((yield* newToken("operate")).token)
      const ticket = yield* ticketOf(yield* signedIn())
      const browser = yield* socketWith(`${paths.jsonRpc}?ticket=${ticket}`, {})
      const command = (commandId: string, body: object) => commandOf({ commandId, threadId: "t", ...body })
      const titled = (title: string) => command(title, { type: "thread.update", title })
      const made = { type: "thread.create", projectId: "p-scope", title: "T", provider: "scripted" }
      yield* owner["orchestration.dispatch"]({ command: commandOf(create) })
      yield* owner["orchestration.dispatch"]({ command: command("made", made) })
      yield* program["orchestration.dispatch"]({ command: titled("by-a-program") })
      const answer = yield* browser.call(1, "orchestration.dispatch", { command: titled("by-a-browser") })
      expect(answer).toHaveProperty("result")
      yield* owner["orchestration.dispatch"]({ command: titled("by-the-owner") })

      const { server } = yield* owner["server.hello"](hello)
      const missed = owner["orchestration.subscribeThread"]({
        threadId: "t" as ThreadId,
        after: { epoch: server.epoch, version: 1 }
      })
      const items = yield* until((item) => item.type === "synchronized")(missed)
      const events = items.filter((item) => item.type === "event")
      expect(events.map((item) => ("actor" in item ? item.actor : "nobody"))).toEqual([
        "a program",
        "A browser",
        "nobody"
      ])
      const kept = yield* Effect.flatMap(
        Reader,
        (sql) => sql<{ actor: string }>`SELECT cause ->> 'actor' AS actor FROM events ORDER BY sequence`
      )
      expect(kept.map(({ actor }) => actor)).toEqual(["user", "user", "a program", "A browser", "user"])
    })
  )
})

layer(server())("a token's end", (it) => {
  it.effect("is what its maker said, however often it comes back", () =>
    Effect.gen(function* () {
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const { token, credential } = yield* newToken("operate", { expiresAt: now + 90_000 })
      expect((yield* ask("POST", authPaths.ticket, { headers: bearerOf(token) })).status).toBe(200)
      const list = yield* ask("GET", authPaths.credentials, { headers: bearer })
      expect(json(list).credentials).toEqual([credential])
    })
  )
})

layer(server())("the list of credentials", (it) => {
  it.effect("holds no secret, and none beyond the bound is made", () =>
    Effect.gen(function* () {
      const { token, credential } = yield* newToken("read")
      const list = yield* ask("GET", authPaths.credentials, { headers: bearer })
      const rows: ReadonlyArray<{ readonly id: string }> = json(list).credentials
      expect(rows.find(({ id }) => id === credential.id)).toEqual(credential)
      expect(list.text).not.toContain(token.split(".")[1])
      const post = ask("POST", authPaths.tokens, { headers: bearer, body: { name: "n", scope: "read" } })
      for (let count = rows.length; count < accessLimits.credentials; count++) {
        expect((yield* post).status).toBe(200)
      }
      const refused = yield* post
      expect(refused.status).toBe(429)
      expect(json(refused)).toMatchObject({ _tag: "Overloaded", what: "credentials" })
    })
  )
})

const typedClient = Effect.fnUntraced(function* (credential: string) {
  const url = (yield* Listen.url).replace(/^http/, "ws")
  const protocol = RpcClient.layerProtocolSocket({ retryTransientErrors: false }).pipe(
    Layer.provide([
      NodeSocket.layerWebSocket(`${url}${paths.rpc}`, { headers: bearerOf(credential) }),
      RpcSerialization.layerJson
    ])
  )
  return yield* Effect.provideContext(RpcClient.make(Api), yield* Layer.build(protocol))
})

layer(server())("who guesses", (it) => {
  it.effect("codes, cookies, tickets or tokens is slowed down, and those who know still get in", () =>
    Effect.gen(function* () {
      const origin = yield* ownOrigin
      const code = yield* newCode()
      const ticket = yield* ticketOf(yield* signedIn())
      const wrong = "0123456789ab.0123456789012345678901234567890123456789abc"
      const guesses = [
        pairWith(wrong, origin),
        ask("POST", authPaths.ticket, { headers: { ...origin, cookie: `x=${wrong}` } }),
        ask("GET", `${paths.rpc}?ticket=${wrong}`, { headers: upgradeHeaders }),
        ask("GET", paths.ready, { headers: bearerOf(`turnkeeper_${wrong}`) })
      ]
      for (let round = 0; round < failuresPerMinute; round++) {
        expect((yield* guesses[round % 2 === 0 ? 0 : 3]!).status).toBe(401)
      }
      for (const guess of [guesses[0]!, guesses[2]!, guesses[3]!]) expect((yield* guess).status).toBe(429)
      // Who presents nothing has not guessed.
      expect((yield* ask("GET", paths.ready)).status).toBe(401)
      expect((yield* guesses[1]!).status).toBe(401)
      expect((yield* pairWith(code, origin)).status).toBe(200)
      expect(yield* upgradeWith(`${paths.rpc}?ticket=${ticket}`)).toBe(101)
      expect((yield* ask("GET", paths.ready, { headers: bearer })).status).toBe(200)
    })
  )

  it.effect("a body that is too large or makes no sense is refused without being repeated", () =>
    Effect.gen(function* () {
      const origin = yield* ownOrigin
      for (const body of ["{", '{"code":7}', "[]", JSON.stringify({ code: "hunter2".repeat(9_000) })]) {
        const answer = yield* ask("POST", authPaths.pair, { headers: origin, body })
        expect(answer.status).toBe(400)
        expect(json(answer)._tag).toBe("InvalidRequest")
        expect(answer.text).not.toContain("hunter2")
      }
    })
  )
})

describe("the table of scopes", () => {
  it("lets a reader read and nothing else", () => {
    const readable = [...Api.requests.keys()].filter((method) => scopeOfCall(method) === "read")
    expect(readable).toContain("orchestration.subscribeThread")
    expect(readable).not.toContain("orchestration.dispatch")
    expect(readable).not.toContain("workspace.browse")
    expect(scopeOfCall("constructor")).toBe("admin")
    expect(scopeOfCall("no.such.call")).toBe("admin")
  })
})

const inDirectory = <A, E>(use: (directory: string) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-access-"))),
    use,
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  )

const accessOn = <A, E>(file: string, use: (access: Access["Service"]) => Effect.Effect<A, E>) =>
  Access.use(use).pipe(
    Effect.provide(
      Access.layer(file).pipe(Layer.provide([Token.layerFrom(Redacted.make(token)), NodeServices.layer]))
    )
  )

describe("the file of credentials", () => {
  it.effect("holds hashes for its owner only, and what was told outlives the server", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        const file = join(directory, "credentials.json")
        const made = yield* accessOn(file, (access) => access.newToken("a program", "operate", null))
        expect(statSync(file).mode & 0o777).toBe(0o600)
        expect(readFileSync(file, "utf8")).not.toContain(made.token.split(".")[1])
        yield* accessOn(file, (access) =>
          Effect.gen(function* () {
            expect(access.ofBearer(made.token, 0)).toMatchObject({ scope: "operate" })
            expect(access.ofBearer(`${made.token}x`, 0)).toBeNull()
            expect(access.ofCookie(made.token.replace("turnkeeper_", ""), 0)).toBeNull()
            expect(yield* access.revoke(made.row.id)).toBe(true)
          })
        )
        yield* accessOn(file, (access) =>
          Effect.sync(() => expect(access.ofBearer(made.token, 0)).toBeNull())
        )
      })
    )
  )

  it.effect("that cannot be written to acknowledges nothing", () =>
    inDirectory((directory) =>
      accessOn(join(directory, "gone", "credentials.json"), (access) =>
        Effect.gen(function* () {
          const refused = yield* Effect.flip(access.newToken("a program", "read", null))
          expect(refused).toMatchObject({ _tag: "StorageUnavailable" })
          expect(yield* access.list).toEqual([])
        })
      )
    )
  )

  it.effect("that is damaged lets nobody in but the owner", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        const file = join(directory, "credentials.json")
        writeFileSync(file, '{"credentials":[{"id":')
        yield* accessOn(file, (access) =>
          Effect.gen(function* () {
            expect(yield* access.list).toEqual([])
            expect(access.ofBearer(token, 0)).toMatchObject({ scope: "admin" })
            yield* access.newToken("a program", "read", null)
          })
        )
        expect(existsSync(file)).toBe(true)
        expect(JSON.parse(readFileSync(file, "utf8")).credentials).toHaveLength(1)
      })
    )
  )
})
