/** One connection of many, for as long as the program lives. */
import { assert, it } from "@effect/vitest"
import type { Attached, Gone } from "@turnkeeper/provider-kit/Outliving"
import { Deferred, Effect, Fiber, Queue } from "effect"
import { TestClock } from "effect/testing"
import { TransportBroke } from "@turnkeeper/provider-kit/Transport"
import * as Connection from "../src/Connection.ts"
import * as Lasting from "../src/Lasting.ts"
import type { Wire } from "./player.ts"
import { wire } from "./player.ts"

/** A program whose connections are moved by hand. */
const lasting = Effect.gen(function* () {
  const gone = yield* Deferred.make<Gone>()
  const wires = yield* Queue.unbounded<Wire>()
  const joined = yield* Queue.unbounded<void>()
  let killed = false
  let refuses = false
  const kill = Effect.suspend(() => {
    killed = true
    return Effect.asVoid(Deferred.succeed<Gone, never>(gone, { how: "killed", printed: "the last line" }))
  })
  const program: Attached = {
    pid: 1,
    address: "ws://127.0.0.1:1",
    secret: "",
    sessionsFile: "",
    gone: Deferred.await(gone),
    isGone: () => Deferred.isDoneUnsafe(gone),
    close: kill,
    kill
  }
  const connect = Effect.gen(function* () {
    if (refuses) return yield* new TransportBroke({ delivered: "no", text: "refused" })
    const ends = yield* wire
    yield* Queue.offer(wires, ends)
    return yield* Connection.make(ends.transport, {
      notification: () => Effect.void,
      request: () => Effect.void
    })
  })
  const connection = yield* Lasting.make({
    program,
    connect,
    again: Effect.asVoid(Queue.offer(joined, undefined))
  })
  return {
    connection,
    end: (printed: string) => Deferred.succeed(gone, { how: "by itself", printed } as const),
    joined: Queue.take(joined),
    killed: () => killed,
    refuse: () => void (refuses = true),
    wire: Queue.take(wires)
  }
})

const list = (connection: Connection.Connection) =>
  connection.call("thread/loaded/list", {}, { deadline: "1 second" })

it.effect("a connection that breaks is made anew, and what was said meanwhile is asked for", () =>
  Effect.gen(function* () {
    const { connection, joined, wire } = yield* lasting
    const first = yield* wire
    const waiting = yield* Effect.forkScoped(Effect.flip(list(connection)))
    yield* first.heard
    yield* first.die()
    // It may have been read: who waits for the answer is told so.
    assert.deepInclude(yield* Fiber.join(waiting), { _tag: "TransportBroke", delivered: "unknown" })
    yield* joined
    const second = yield* wire
    const asking = yield* Effect.forkScoped(list(connection))
    const { id } = yield* second.heard
    yield* second.say({ id, result: { data: ["T1"], nextCursor: null } })
    assert.deepEqual((yield* Fiber.join(asking)).data, ["T1"])
    assert.isFalse(connection.isClosed())
  })
)

it.effect("it is closed when the program has ended, with the last that it printed", () =>
  Effect.gen(function* () {
    const { connection, end, killed, wire } = yield* lasting
    const first = yield* wire
    yield* end("out of memory")
    yield* first.die()
    assert.deepEqual(yield* connection.closed, { how: "by itself", message: "Codex ended: out of memory" })
    assert.isTrue(connection.isClosed())
    assert.isFalse(killed())
    assert.deepInclude(yield* Effect.flip(list(connection)), { _tag: "TransportBroke", delivered: "no" })
  })
)

it.effect("a program that lives and takes no connection any more is ended", () =>
  Effect.gen(function* () {
    const { connection, killed, refuse, wire } = yield* lasting
    const first = yield* wire
    refuse()
    yield* first.die()
    const closed = yield* Effect.forkScoped(connection.closed)
    yield* Effect.raceFirst(
      Fiber.join(closed),
      Effect.forever(Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow))
    )
    assert.isTrue(killed())
  })
)
