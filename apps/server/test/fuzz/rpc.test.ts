/**
 * Calls as no client should make them, over both protocols, on a real socket. Each is answered with a result or
 * a typed error, or its connection is closed by the protocol's own code; none breaks a call, and behind every
 * one the server still answers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Api } from "@turnkeeper/contracts/Api"
import { paths } from "@turnkeeper/contracts/Discovery"
import { broken, brokenText } from "@turnkeeper/testkit/broken"
import { Effect, Exit, Option } from "effect"
import type { Scope } from "effect"
import * as fc from "fast-check"
import { connect } from "node:net"
import * as Listen from "../../src/rpc/Listen.ts"
import { Reader } from "../../src/store/Sqlite.ts"
import { heldLaws } from "../lifecycle/laws.ts"
import { bearer, commandOf, jsonRpc, openSocket, server, upgradeHeaders } from "../rpc/harness.ts"
import type { Reply } from "../rpc/harness.ts"
import { calls, deep, seed } from "./payloads.ts"

const runs = deep ? 5_000 : 250

/** 1002 protocol, 1003 binary, 1007 not JSON, 1009 too large; 1006 where the peer itself cut the line. */
const closings = new Set([1002, 1003, 1007, 1009])

/** Runs one drawn value after the other in this very server; what fails is shrunk, and named with its seed. */
const forEach = <A, R>(
  values: fc.Arbitrary<A>,
  check: (value: A) => Effect.Effect<void, unknown, R | Scope.Scope>,
  numRuns = runs
) =>
  Effect.flatMap(Effect.context<R>(), (context) =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(values, (value) =>
          Effect.runPromise(
            Effect.provideContext(Effect.scoped(check(value)), context) as Effect.Effect<void>
          )
        ),
        { numRuns, seed, endOnFailure: numRuns > 1_000 }
      )
    )
  )

interface Line {
  readonly send: (frame: string | Uint8Array) => Effect.Effect<void>
  readonly next: Effect.Effect<string>
  readonly closed: Effect.Effect<number>
}

const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string) =>
  Effect.timeoutOrElse(effect, {
    duration: "10 seconds",
    orElse: () => Effect.die(new Error(`No answer: ${what}`))
  })

/** Sends a frame and then a good call; gives what was answered until the good call's answer, or the close code. */
const sent = (line: Line, frame: string | Uint8Array, good: string, isGood: (reply: Reply) => boolean) =>
  inTime(
    Effect.raceFirst(
      Effect.gen(function* () {
        yield* line.send(frame)
        yield* line.send(good)
        const replies: Array<Reply> = []
        for (;;) {
          const reply = JSON.parse(yield* line.next) as Reply
          if (isGood(reply)) return replies
          replies.push(reply)
        }
      }),
      line.closed
    ),
    String(frame).slice(0, 500)
  )

const hello = { protocol: { min: 1, max: 1 } }

const json = {
  path: paths.jsonRpc,
  encode: ({ method, params }: { method: unknown; params: unknown }) => ({
    jsonrpc: "2.0",
    id: 1,
    method,
    params
  }),
  good: JSON.stringify({ jsonrpc: "2.0", id: "good", method: "server.hello", params: hello }),
  isGood: (reply: Reply) => reply.id === "good",
  /** -32603 would say that a call broke. */
  breaks: (reply: Reply, _frame: string) => reply.error?.code === -32_603
}
const effect = {
  path: paths.rpc,
  encode: ({ method, params }: { method: unknown; params: unknown }) => ({
    _tag: "Request",
    id: "1",
    tag: method,
    payload: params,
    headers: []
  }),
  good: JSON.stringify({ _tag: "Request", id: "good", tag: "server.hello", payload: hello, headers: [] }),
  isGood: (reply: Reply) => (reply as { requestId?: unknown }).requestId === "good",
  /** To a method that is not there Effect's own protocol answers with a defect. */
  breaks: (reply: Reply, frame: string) => isDefect(reply) && Api.requests.has(tagOf(frame))
}

const tagOf = (frame: string): string => {
  const { tag } = JSON.parse(frame) as { readonly tag?: unknown }
  return typeof tag === "string" ? tag : ""
}

const isDefect = (reply: Reply): boolean => {
  const { _tag, exit } = reply as { _tag?: string; exit?: { cause?: ReadonlyArray<{ _tag: string }> } }
  return _tag === "Defect" || (exit?.cause ?? []).some((reason) => reason._tag === "Die")
}

/** The frame is answered or refused, and nothing broke by it. */
const harmless = (protocol: typeof json | typeof effect, frame: string | Uint8Array) =>
  Effect.gen(function* () {
    const line = yield* openSocket(protocol.path)
    const answer = yield* sent(line, frame, protocol.good, protocol.isGood)
    if (typeof answer === "number") return assert.include([...closings], answer, String(frame).slice(0, 500))
    for (const reply of answer)
      assert.isFalse(
        protocol.breaks(reply, String(frame)),
        `${String(frame).slice(0, 500)}: ${JSON.stringify(reply)}`
      )
  })

/** A good client is served as ever, and the database is as it should be. */
const unharmed = Effect.gen(function* () {
  const good = yield* jsonRpc
  const directory = "/tmp"
  const project = { type: "project.create", commandId: "good-1", projectId: "good", title: "P", directory }
  const thread = {
    type: "thread.create",
    commandId: "good-2",
    threadId: "good",
    projectId: "good",
    title: "T",
    provider: "scripted"
  }
  for (const command of [project, thread]) {
    const { result } = yield* inTime(
      good.call("orchestration.dispatch", { command: commandOf(command) }),
      command.type
    )
    assert.strictEqual(result?.status, "accepted")
  }
  assert.isUndefined((Object.prototype as { polluted?: unknown }).polluted)
  const sql = yield* Reader
  const [file] = yield* sql.unsafe("PRAGMA database_list")
  yield* heldLaws((file as { readonly file: string }).file)
})

for (const [name, protocol] of [
  ["/jsonrpc", json],
  ["/rpc", effect]
] as const) {
  describe(`calls on ${name} that no client should make`, () => {
    it.live(
      "valid ones, in any order: each is answered, none breaks",
      () =>
        Effect.gen(function* () {
          const valid = yield* calls
          yield* forEach(valid, (call) => harmless(protocol, JSON.stringify(protocol.encode(call))))
          yield* unharmed
        }).pipe(Effect.provide(server()), Effect.scoped),
      120_000
    )

    it.live(
      "fields that are missing, doubled, of another type, huge, deep or poisonous",
      () =>
        Effect.gen(function* () {
          const valid = yield* calls
          const frames = broken(valid.map((call) => protocol.encode(call)))
          yield* forEach(frames, (frame) => harmless(protocol, JSON.stringify(frame)))
          yield* unharmed
        }).pipe(Effect.provide(server()), Effect.scoped),
      120_000
    )

    it.live(
      "texts that are cut, doubled or strewn with other characters",
      () =>
        Effect.gen(function* () {
          const valid = yield* calls
          const texts = brokenText(valid.map((call) => protocol.encode(call)))
          yield* forEach(texts, (text) => harmless(protocol, text))
          yield* unharmed
        }).pipe(Effect.provide(server()), Effect.scoped),
      120_000
    )

    it.live(
      "bytes: frames that are binary, not UTF-8, cut, unmasked, reserved or no frames",
      () =>
        Effect.gen(function* () {
          yield* harmless(protocol, new Uint8Array([1, 2, 3]))
          yield* forEach(rawFrames, (bytes) => wrongFrames(protocol.path, bytes), deep ? 2_000 : 100)
          yield* unharmed
        }).pipe(Effect.provide(server()), Effect.scoped),
      120_000
    )
  })
}

// Below the messages

const masked = (opcode: number, payload: Uint8Array, declared = payload.length) => {
  const mask = [1, 2, 3, 4]
  const size = declared < 126 ? [0x80 | declared] : [0x80 | 126, (declared >> 8) & 0xff, declared & 0xff]
  return Uint8Array.from([opcode, ...size, ...mask, ...payload.map((byte, at) => byte ^ mask[at % 4]!)])
}

const rawFrames: fc.Arbitrary<Uint8Array> = fc.oneof(
  // A text frame whose bytes are not UTF-8, or whose length is not what it says.
  fc
    .tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(60_000))
    .map(([bytes, declared]) => masked(0x81, bytes, declared)),
  fc
    .uint8Array({ minLength: 1, maxLength: 100 })
    .map((bytes) => masked(0x81, Uint8Array.from([0xc3, 0x28, ...bytes]))),
  // Any opcode and any reserved bits.
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 125 })).map(([opcode, bytes]) => masked(opcode, bytes)),
  // No frame at all.
  fc.uint8Array({ minLength: 1, maxLength: 400 })
)

/** Writes these bytes behind the upgrade, and ends its side; the server has to end the connection, whatever it thinks. */
const wrongFrames = (path: string, bytes: Uint8Array) =>
  Effect.gen(function* () {
    const { hostname, port } = new URL(yield* Listen.url)
    const head = Object.entries({ host: `${hostname}:${port}`, ...bearer, ...upgradeHeaders })
      .map(([name, value]) => `${name}: ${value}`)
      .join("\r\n")
    const ended = Effect.callback<void>((resume) => {
      const socket = connect(Number(port), hostname)
      socket.on("error", () => {})
      socket.on("close", () => resume(Effect.void))
      socket.once("data", () => {
        socket.end(bytes)
        socket.resume()
      })
      socket.write(`GET ${path} HTTP/1.1\r\n${head}\r\n\r\n`)
      return Effect.sync(() => socket.destroy())
    })
    const exit = yield* Effect.exit(Effect.timeoutOption(ended, "10 seconds"))
    assert.isTrue(
      Exit.isSuccess(exit) && Option.isSome(exit.value),
      `The connection stays open behind ${Buffer.from(bytes).toString("hex")}`
    )
  })
