/** The wire of lines, over real processes and moved by hand. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { PeerRequest } from "../src/JsonRpc.ts"
import { codes } from "../src/JsonRpc.ts"
import { wire } from "../src/testing/wire.ts"
import { call, collector, connect, connectOver, noHandlers } from "./fixtures/program.ts"

describe("a connection", () => {
  it.live("matches answers to calls, in whatever order they come", () =>
    Effect.gen(function* () {
      const { connection } = yield* connect(`
        const held = []
        on((m) => { held.push(m); if (held.length === 2) for (const { id } of held.reverse()) say({ id, result: { data: [String(id)] } }) })
      `)
      const [one, two] = yield* Effect.all([call(connection), call(connection)], { concurrency: 2 })
      assert.deepEqual([one.data, two.data], [["1"], ["2"]])
    })
  )

  it.live("skips and counts what is not of the protocol, and goes on", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { connection } = yield* connect(
        `process.stdout.write("garbage\\n\\n[1]\\n{}\\n"); say({ id: 77, result: 1 }); say({ id: null, error: 1 }); say({ method: "end" }); on(() => {})`,
        { handlers: ear.handlers }
      )
      yield* ear.over
      assert.equal(connection.malformed(), 5)
      assert.equal(ear.heard.length, 1)
    })
  )

  it.live("skips a line that is too long, and reads the next", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { connection } = yield* connect(
        `say({ method: "long", params: "x".repeat(300000) }); say({ method: "end" }); on(() => {})`,
        { handlers: ear.handlers, lineBytesMax: 100_000 }
      )
      yield* ear.over
      assert.deepEqual(
        ear.heard.map(({ method }) => method),
        ["end"]
      )
      assert.equal(connection.malformed(), 1)
    })
  )

  it.live("keeps characters whole that arrive in pieces", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      yield* connect(
        `
        const bytes = Buffer.from(JSON.stringify({ method: "text", params: "\u00e4\u20ac\u{1f980}" }) + "\\n" + JSON.stringify({ method: "end" }) + "\\n")
        let at = 0
        const next = () => { if (at < bytes.length) process.stdout.write(bytes.subarray(at, ++at), () => setImmediate(next)) }
        next(); on(() => {})
        `,
        { handlers: ear.handlers }
      )
      yield* ear.over
      assert.equal(ear.heard[0]?.params, "\u00e4\u20ac\u{1f980}")
    })
  )

  it.live("hears a request whose id is 0, and can refuse it", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<PeerRequest>()
      const ear = yield* collector
      const { connection } = yield* connect(
        `say({ method: "may I", id: 0, params: {} }); on((m) => say({ method: "end", params: m }))`,
        {
          handlers: { ...ear.handlers, request: (request) => Effect.asVoid(Deferred.succeed(asked, request)) }
        }
      )
      const request = yield* Deferred.await(asked)
      yield* connection.refuse(request.id, codes.methodNotFound, "no")
      yield* ear.over
      assert.deepEqual(ear.heard[0]?.params, { id: 0, error: { code: -32601, message: "no" } })
    })
  )

  it.effect("a slow handler stops the reading: what is not handled stays with the program", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const gate = yield* Deferred.make<void>()
      const ear = yield* collector
      let heard = 0
      let pulled = 0
      const chunks = Stream.range(1, 10_000).pipe(
        Stream.rechunk(1),
        Stream.map((n) => {
          pulled++
          return Buffer.from(`${JSON.stringify({ method: n === 10_000 ? "end" : "tick" })}\n`)
        })
      )
      yield* connectOver(
        { ...ends.transport, input: chunks },
        {
          ...noHandlers,
          notification: (notification) => {
            heard++
            return Effect.andThen(Deferred.await(gate), ear.handlers.notification(notification))
          }
        }
      )
      for (let turn = 0; turn < 1_000; turn++) yield* Effect.yieldNow
      assert.deepEqual([heard, pulled], [1, 1])
      yield* Deferred.succeed(gate, undefined)
      yield* ear.over
      assert.equal(heard, 10_000)
    })
  )

  it.effect("a call that is not answered in time fails, and its late answer is still told", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const connection = yield* connectOver(ends.transport)
      const told = yield* Deferred.make<unknown>()
      const calling = yield* Effect.forkScoped(
        Effect.flip(
          connection.call(
            "list",
            {},
            {
              deadline: "10 seconds",
              onAnswer: (answer) =>
                Effect.asVoid(Deferred.succeed(told, Exit.isSuccess(answer) && answer.value.data))
            }
          )
        )
      )
      const { id } = yield* ends.heard
      yield* TestClock.adjust("10 seconds")
      assert.equal((yield* Fiber.join(calling))._tag, "NoAnswer")
      yield* ends.say({ id, result: { data: ["late"] } })
      assert.deepEqual(yield* Deferred.await(told), ["late"])
    })
  )

  it.effect("what comes behind an answer is handled after whoever waits for the answer was told", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const order: Array<string> = []
      const over = yield* Deferred.make<void>()
      const connection = yield* connectOver(ends.transport, {
        ...noHandlers,
        notification: ({ method }) => {
          order.push(method)
          return Effect.asVoid(Deferred.succeed(over, undefined))
        }
      })
      yield* Effect.forkScoped(
        connection.call(
          "list",
          {},
          {
            deadline: "1 second",
            onAnswer: () =>
              Effect.andThen(
                Effect.yieldNow,
                Effect.sync(() => order.push("answer"))
              )
          }
        )
      )
      const { id } = yield* ends.heard
      yield* ends.say({ id, result: {} }, { method: "behind" })
      yield* Deferred.await(over)
      assert.deepEqual(order, ["answer", "behind"])
    })
  )

  it.effect("an answer that is too long to be read fails its call, and the next is read", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const connection = yield* connectOver(ends.transport, noHandlers, { lineBytesMax: 1_000 })
      const calling = yield* Effect.forkScoped(Effect.flip(call(connection)))
      const { id } = yield* ends.heard
      yield* ends.say({ id, result: { data: ["x".repeat(2_000)] } })
      assert.deepInclude(yield* Fiber.join(calling), { _tag: "Refused", code: codes.internalError })
      const again = yield* Effect.forkScoped(call(connection))
      yield* ends.say({ id: (yield* ends.heard)["id"], result: { data: ["short"] } })
      assert.deepEqual(yield* Fiber.join(again), { data: ["short"] })
      assert.equal(connection.malformed(), 1)
    })
  )

  it.effect("takes no more calls than its bound, and says that nothing was delivered", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const connection = yield* connectOver(ends.transport, noHandlers, { callsMax: 1 })
      yield* Effect.forkScoped(call(connection))
      yield* ends.heard
      assert.deepInclude(yield* Effect.flip(call(connection)), { _tag: "TransportBroke", delivered: "no" })
    })
  )

  it.effect(
    "begins a request whose answer takes as long as it likes: its id is known before it is written",
    () =>
      Effect.gen(function* () {
        const ends = yield* wire
        const connection = yield* connectOver(ends.transport)
        const answered = yield* Deferred.make<unknown>()
        let known: number | null = null
        yield* connection.begin(
          "list",
          {},
          {
            deadline: "1 second",
            onId: (id) => void (known = id),
            onAnswer: (answer) =>
              Effect.asVoid(Deferred.succeed(answered, Exit.isSuccess(answer) && answer.value.data))
          }
        )
        yield* TestClock.adjust("1 hour")
        assert.equal((yield* ends.heard)["id"], known)
        yield* ends.say({ id: known, result: { data: ["at last"] } })
        assert.deepEqual(yield* Deferred.await(answered), ["at last"])
      })
  )
})

describe("a handler that breaks", () => {
  it.live("ends the program, and with it every waiting call", () =>
    Effect.gen(function* () {
      const { connection } = yield* connect(`on(() => say({ method: "odd" }))`, {
        handlers: { ...noHandlers, notification: () => Effect.die("broken on purpose") }
      })
      assert.equal((yield* Effect.flip(call(connection)))._tag, "TransportBroke")
      assert.equal((yield* connection.closed).how, "killed")
    })
  )
})
