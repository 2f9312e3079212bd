/** The tables, those who follow them, and the one server that writes them. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { deliverAndHang, lose } from "@turnkeeper/provider-kit/testing/control"
import { Effect, FileSystem, Layer } from "effect"
import { join } from "node:path"
import { Feed } from "../../src/engine/Feed.ts"
import { Threads } from "../../src/projection/Threads.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { serve } from "../../src/server.ts"
import { DataDirectory } from "../../src/store/DataDirectory.ts"
import type { App } from "./harness.ts"
import { answers, isIn, isSettled, scenario, thread } from "./harness.ts"
import { end, manual, tell } from "./speech.ts"

const ids = ["a", "b", "c"].map((id) => `thread-${id}` as ThreadId)

/** Everything at once, in several threads: the scenario's end holds it against the laws. */
const variedRun = (app: App) =>
  Effect.gen(function* () {
    const [a, b, c] = ids as [ThreadId, ThreadId, ThreadId]
    yield* Effect.all(
      [
        app.say("a1", "[[think]][[drop:2]][[shell:make]]", { to: a }),
        app.say("b1", "[[ask:rm -r build]]", { to: b }),
        app.say("c1", "[[fail:no]]", { to: c })
      ],
      { concurrency: "unbounded" }
    )
    yield* app.until(isSettled("a1"), a)
    const { requests } = yield* app.until((view) => view.requests.length === 1, b)
    yield* app.until(isSettled("c1"), c)
    yield* app.say("b2", "afterwards", { to: b })
    yield* app.dispatch(
      { type: "thread.request.answer", requestId: requests[0]!.requestId, decision: "decline" },
      b
    )
    yield* app.until(isSettled("b2"), b)
    app.control().next("send", lose(), c)
    yield* app.say("c2", "[[stall]]", { to: c })
    app.control().next("send", deliverAndHang, a)
    yield* app.say("a2", "[[manual]]", { to: a })
    yield* app.until(isIn("c2", "running"), c)
    yield* app.say("c3", "waits", { to: c })
    yield* app.dispatch({ type: "thread.turn.edit", turnId: "c3" as never, text: "waits, edited" }, c)
    yield* app.say("b3", "[[aux]][[own]][[question:Which?|This|That]]", { to: b })
    yield* app.until((view) => view.requests.length === 1, b)
  })

describe("L15: the tables are the fold of the log", () => {
  scenario("L15: byte for byte, after a varied run with a crash in its middle", (app) =>
    Effect.gen(function* () {
      yield* variedRun(app)
      yield* app.crash("dies")
      for (const [index, id] of ids.entries()) {
        yield* app.say(`last-${index}`, "and on", { to: id })
        const view = yield* app.until(isSettled(`last-${index}`), id)
        assert.strictEqual(view.turn(`last-${index}`).state, "completed")
        assert.deepStrictEqual(
          view.turns.filter(({ settledAt }) => settledAt === null),
          []
        )
      }
    })
  )

  scenario(
    "L15: byte for byte, while much is open",
    (app) =>
      Effect.gen(function* () {
        yield* variedRun(app)
        yield* app.crash("lives")
        const open = yield* Effect.forEach(ids, (id) => app.view(id))
        assert.isNotEmpty(open.flatMap(({ turns }) => turns.filter(({ settledAt }) => settledAt === null)))
      }),
    { providers: [{ id: "scripted", capabilities: { outlivesServer: true, reasksRequests: true } }] }
  )
})

describe("the order of the threads", () => {
  const order = (app: App) =>
    app.use(
      Effect.map(
        Effect.flatMap(Threads, ({ all }) => all),
        (rows) => rows.map(({ threadId }) => threadId)
      )
    )

  scenario("is that of what was said and done in them: no restart and no tidying up moves one", (app) =>
    Effect.gen(function* () {
      const [a, b, c] = ids as [ThreadId, ThreadId, ThreadId]
      for (const id of [c, a, b]) {
        yield* app.say(`first-${id}`, "Hello", { to: id })
        yield* app.until(isSettled(`first-${id}`), id)
        yield* app.sleepThrough("1 second")
      }
      assert.deepStrictEqual(yield* order(app), [b, a, c])

      const before = yield* Effect.forEach(ids, (id) => app.view(id))
      yield* app.crash("dies")
      const after = yield* Effect.forEach(ids, (id) =>
        app.until(({ session }) => session.status === "stopped", id)
      )
      for (const [index, { version }] of after.entries()) assert.isAbove(version, before[index]!.version)
      assert.deepStrictEqual(yield* order(app), [b, a, c])

      yield* app.sleepThrough("1 second")
      yield* app.dispatch({ type: "thread.update", title: "Another title" }, c)
      yield* app.dispatch({ type: "thread.archive" }, a)
      yield* app.dispatch({ type: "thread.unarchive" }, a)
      assert.deepStrictEqual(yield* order(app), [b, a, c])

      yield* app.say("second", "Hello again", { to: c })
      yield* app.until(isSettled("second"), c)
      assert.deepStrictEqual(yield* order(app), [c, b, a])
    })
  )
})

describe("E1: attach, then read", () => {
  scenario(
    "E1: who attaches in the middle of a flood and reads then has every event and every word once",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[flood:2000]][[text:The end]]")
        const seen = yield* app.use(
          Effect.gen(function* () {
            const news = yield* Effect.flatMap(Feed, (feed) => feed.thread(thread))
            const tables = yield* ThreadView
            const snapshot = (yield* tables.snapshot(thread, 500))!
            const texts = new Map(snapshot.entries.map(({ id, text }) => [id, text]))
            let { version } = snapshot
            let overflows = 0
            for (;;) {
              for (const one of yield* news.take) {
                if (one.type === "overflowed") overflows += 1
                else if (one.type === "delta") {
                  const { itemId, offset, text } = one.delta.event
                  const have = texts.get(itemId) ?? ""
                  assert.isAtMost(offset, have.length, "no words are missing in between")
                  texts.set(itemId, have.slice(0, offset) + text + have.slice(offset + text.length))
                } else if (one.record.version > version) {
                  assert.strictEqual(one.record.version, version + 1, "versions are dense")
                  version = one.record.version
                  const { event } = one.record
                  if (event.type === "item.completed")
                    assert.strictEqual(texts.get(event.itemId) ?? "", event.text)
                  if (event.type === "turn.settled") return { version, texts, overflows }
                }
              }
            }
          })
        )
        assert.strictEqual(seen.overflows, 0)
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(seen.version, view.version)
        assert.deepStrictEqual(
          answers(view, "t1").map(({ text }) => text.length),
          [Array.from({ length: 2_000 }, (_, n) => `w${n} `).join("").length, "The end".length]
        )
      })
  )

  scenario("E2: what a client missed is told in full, and is dense", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const { version } = yield* app.view()
      yield* tell(app, end("completed"))
      yield* app.say("t2", "[[shell:make]]")
      const view = yield* app.until(isSettled("t2"))
      const gap = yield* app.use(Effect.flatMap(ThreadView, (tables) => tables.eventsAfter(thread, version)))
      assert.deepStrictEqual(
        gap!.records.map((record) => record.version),
        Array.from({ length: view.version - version }, (_, n) => version + n + 1)
      )
    })
  )
})

describe("E10: one data directory, one server", () => {
  it.effect("E10: a second server is refused by type, and touches nothing of the first", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const parent = yield* files.makeTempDirectoryScoped({ prefix: "turnkeeper-lifecycle-" })
      const dataDirectory = join(parent, "data")
      yield* Layer.build(DataDirectory.layer(dataDirectory))
      const before = yield* files.readDirectory(dataDirectory)
      const options = { dataDirectory, host: "127.0.0.1", port: 0, providerConfig: null, json: false }
      const refused = yield* Effect.flip(
        serve(options, () => Effect.die(new Error("The second server opened its door")))
      )
      assert.strictEqual(refused._tag, "DataDirectoryInUse")
      assert.deepStrictEqual(yield* files.readDirectory(dataDirectory), before)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
