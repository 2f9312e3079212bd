/** Calls over JSON-RPC and over Effect RPC: the same handlers, the same typed answers, on real sockets. */
import { expect, layer } from "@effect/vitest"
import { limits } from "@turnkeeper/contracts/Limits"
import { Effect } from "effect"
import { Reader } from "../../src/store/Sqlite.ts"
import { client, commandOf, jsonRpc, openSocket, server } from "./harness.ts"

const project = { type: "project.create", commandId: "c-p", projectId: "p", title: "P", directory: "/tmp" }
const thread = (id: string) => ({
  type: "thread.create",
  commandId: `c-${id}`,
  threadId: id,
  projectId: "p",
  title: "T",
  provider: "scripted"
})

/** How many events are in the log. */
const events = Effect.flatMap(Reader, (sql) => sql<{ n: number }>`SELECT count(*) AS n FROM events`).pipe(
  Effect.map(([row]) => row?.n ?? 0)
)

layer(server(), { excludeTestServices: true })("calls", (it) => {
  it.effect("hello agrees on a version and tells the limits", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const { result } = yield* call("server.hello", { protocol: { min: 1, max: 9 }, somethingNew: true })
      expect(result.protocol).toBe(1)
      expect(result.limits.frameBytes).toBe(limits.frameBytes)
      expect(result.server.epoch).not.toBe("")
    })
  )

  it.effect("no common version is an error that names both ranges", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const { error } = yield* call("server.hello", { protocol: { min: 7, max: 9 } })
      expect(error?.code).toBe(-32000)
      expect(error?.data).toEqual({
        _tag: "UnsupportedProtocol",
        client: { min: 7, max: 9 },
        server: { min: 1, max: 1 }
      })
    })
  )

  it.effect("L11: a command is answered once, and its repetition with another body is refused", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      yield* call("orchestration.dispatch", { command: project })
      const first = yield* call("orchestration.dispatch", { command: thread("once") })
      expect(first.result).toMatchObject({ status: "accepted", version: 1 })
      const before = yield* events
      const again = yield* call("orchestration.dispatch", { command: thread("once") })
      expect(again.result).toEqual(first.result)
      const other = yield* call("orchestration.dispatch", { command: { ...thread("once"), title: "Other" } })
      expect(other.error).toMatchObject({
        code: -32000,
        data: { _tag: "CommandIdReused", commandId: "c-once" }
      })
      expect(yield* events).toBe(before)
    })
  )

  it.effect.each([
    ["an unknown type of command", { type: "thread.explode", commandId: "x", threadId: "t" }],
    ["a command without a type", { commandId: "x", threadId: "t" }],
    ["a command that is no object", 7],
    ["fields of the wrong type", { type: "thread.archive", commandId: 1, threadId: ["t"] }],
    [
      "an id with characters that are not allowed",
      { type: "thread.archive", commandId: "x", threadId: "../t" }
    ],
    [
      "a message that is too long",
      {
        type: "thread.turn.start",
        commandId: "x",
        threadId: "t",
        turnId: "u",
        messageId: "m",
        text: "a".repeat(1_000_001)
      }
    ]
  ] as const)("%s is an invalid request that says where, and stores nothing", ([, command]) =>
    Effect.gen(function* () {
      const before = yield* events
      const { call } = yield* jsonRpc
      const { error } = yield* call("orchestration.dispatch", { command })
      expect(error?.code).toBe(-32602)
      expect(error?.data._tag).toBe("InvalidRequest")
      expect(error?.data.issues.length).toBeGreaterThan(0)
      expect(error?.data.issues[0].path).toMatch(/^command/)
      expect(JSON.stringify(error).length).toBeLessThan(4_000)

      const rpc = yield* client
      const typed = yield* Effect.exit(rpc["orchestration.dispatch"]({ command: command as never }))
      expect(typed._tag).toBe("Failure")
      expect(yield* events).toBe(before)
      expect((yield* call("server.hello", { protocol: { min: 1, max: 1 } })).result.protocol).toBe(1)
    })
  )

  it.effect("a thread that does not exist is a typed rejection on both transports", () =>
    Effect.gen(function* () {
      const command = { type: "thread.archive", commandId: "c-none", threadId: "none" }
      const { call } = yield* jsonRpc
      const { error } = yield* call("orchestration.dispatch", { command })
      expect(error).toMatchObject({ code: -32000, data: { _tag: "ThreadNotFound", threadId: "none" } })
      const rpc = yield* client
      const typed = yield* Effect.flip(rpc["orchestration.dispatch"]({ command: commandOf(command) }))
      expect(typed._tag).toBe("ThreadNotFound")
    })
  )

  it.effect("history of a thread that does not exist is a typed error, not an empty page", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const { error } = yield* call("orchestration.history", { threadId: "none", before: 10, limit: 10 })
      expect(error?.data._tag).toBe("ThreadNotFound")
    })
  )

  it.effect("providers.list tells what each can do", () =>
    Effect.gen(function* () {
      const rpc = yield* client
      const [row] = yield* rpc["providers.list"]({})
      expect(row).toMatchObject({
        id: "scripted",
        capabilities: { steer: true },
        health: { status: "ready" }
      })
    })
  )
})

layer(server(), { excludeTestServices: true })("frames that are none of ours", (it) => {
  it.effect.each([
    ["text that is not JSON", "{", -32700],
    ["a batch", "[]", -32600],
    ["a number", "7", -32600],
    ["no version", JSON.stringify({ id: 1, method: "server.hello" }), -32600],
    ["an id that is an object", JSON.stringify({ jsonrpc: "2.0", id: {}, method: "server.hello" }), -32600],
    ["an unknown method", JSON.stringify({ jsonrpc: "2.0", id: 1, method: "toString" }), -32601],
    ["nesting beyond the limit", `${"[".repeat(limits.nesting + 1)}`, -32600]
  ] as const)("%s is answered with its code and the connection goes on", ([, frame, code]) =>
    Effect.gen(function* () {
      const { exchange, call } = yield* jsonRpc
      expect((yield* exchange(frame)).error?.code).toBe(code)
      expect((yield* call("server.hello", { protocol: { min: 1, max: 1 } })).result.protocol).toBe(1)
    })
  )

  it.effect("brackets inside a text are no nesting", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const name = `"\\${"[{".repeat(40)}`
      const { result } = yield* call("server.hello", {
        protocol: { min: 1, max: 1 },
        client: { name, version: "1" }
      })
      expect(result.protocol).toBe(1)
    })
  )

  it.effect("a message without an id is neither answered nor run", () =>
    Effect.gen(function* () {
      const before = yield* events
      const { send, call } = yield* jsonRpc
      yield* send({ jsonrpc: "2.0", method: "orchestration.dispatch", params: { command: project } })
      expect((yield* call("server.hello", { protocol: { min: 1, max: 1 } })).id).toBe(1)
      expect(yield* events).toBe(before)
    })
  )

  it.effect.each([
    ["/jsonrpc", 1003],
    ["/rpc", 1003]
  ] as const)("a binary frame on %s closes its connection and no other", ([path, code]) =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const bad = yield* openSocket(path)
      yield* bad.send(new Uint8Array([0, 159, 146, 150]))
      expect(yield* bad.closed).toBe(code)
      expect((yield* call("server.hello", { protocol: { min: 1, max: 1 } })).result.protocol).toBe(1)
    })
  )

  it.effect.each([
    ["text that is not JSON", "{", 1007],
    ["nesting beyond the limit", "[".repeat(100), 1007],
    ["null", "null", 1002],
    ["a message without a tag", "{}", 1002],
    ["a request without an id", JSON.stringify({ _tag: "Request", tag: "server.hello" }), 1002],
    ["a request of the wrong shape", JSON.stringify({ _tag: "Request", id: {}, tag: 7, headers: 3 }), 1002]
  ] as const)("%s on /rpc closes its connection and no other", ([, frame, code]) =>
    Effect.gen(function* () {
      const rpc = yield* client
      const bad = yield* openSocket("/rpc")
      yield* bad.send(frame)
      expect(yield* bad.closed).toBe(code)
      expect((yield* rpc["server.hello"]({ protocol: { min: 1, max: 1 } })).protocol).toBe(1)
    })
  )

  it.effect("an unknown method on /rpc fails that call alone", () =>
    Effect.gen(function* () {
      const raw = yield* openSocket("/rpc")
      yield* raw.send(JSON.stringify({ _tag: "Request", id: 1, tag: "nope", payload: {}, headers: [] }))
      expect(JSON.parse(yield* raw.next)).toMatchObject({
        _tag: "Exit",
        requestId: 1,
        exit: { _tag: "Failure" }
      })
      const hello = { _tag: "Request", id: 2, tag: "server.hello", payload: { protocol: { min: 1, max: 1 } } }
      yield* raw.send(JSON.stringify(hello))
      expect(JSON.parse(yield* raw.next)).toMatchObject({ requestId: 2, exit: { _tag: "Success" } })
    })
  )

  it.effect.each(["/rpc", "/jsonrpc"])(
    "a frame above the limit on %s closes its connection and no other",
    (path) =>
      Effect.gen(function* () {
        const { call } = yield* jsonRpc
        const bad = yield* openSocket(path)
        yield* bad.send("a".repeat(limits.frameBytes + 1))
        expect(yield* bad.closed).toBe(1009)
        expect((yield* call("server.hello", { protocol: { min: 1, max: 1 } })).result.protocol).toBe(1)
      })
  )
})

layer(server(), { excludeTestServices: true })("what is stored", (it) => {
  it.effect("a command of the socket is in the log with who gave it", () =>
    Effect.gen(function* () {
      const rpc = yield* client
      yield* rpc["orchestration.dispatch"]({ command: commandOf(project) })
      const [row] = yield* Effect.flatMap(
        Reader,
        (sql) => sql<{ cause: string }>`SELECT cause FROM events WHERE command_id = 'c-p'`
      )
      expect(JSON.parse(row?.cause ?? "null")).toEqual({ type: "command", commandId: "c-p", actor: "user" })
    })
  )
})
