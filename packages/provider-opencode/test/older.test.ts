/**
 * A server that does not tell all that happens in one stream: the real program behind a proxy that hides it.
 * And one that is too old for anything.
 */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { Effect, Exit, Schedule, Scope } from "effect"
import { mkdtempSync } from "node:fs"
import { createServer, request as forward } from "node:http"
import type { RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as OpenCode from "../src/OpenCode.ts"
import { binary, makeWorld, openOptions, prompt, serveOutside, session } from "./real.ts"
import type { World } from "./real.ts"

const page = { status: 200, type: "text/html", text: "<!doctype html><title>OpenCode</title>" }
const nothing = { status: 404, type: "text/plain", text: "404 Not Found" }

const answering = (listener: RequestListener) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(listener)
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
    }),
    ({ server }) =>
      Effect.promise(
        () =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          })
      )
  )

/** Passes everything on, except that nothing is at `/global/event`. */
const hiding = (to: string, instead: typeof page) => {
  /** The directories of the streams that are open. */
  const streams: Array<string> = []
  let passes = true
  const asked: Array<string> = []
  return answering((incoming, outgoing) => {
    const path = incoming.url ?? ""
    if (!passes) return void incoming.socket.destroy()
    if (path.startsWith("/global/event"))
      return void outgoing.writeHead(instead.status, { "content-type": instead.type }).end(instead.text)
    if (path === "/event") {
      const directory = decodeURIComponent(String(incoming.headers["x-opencode-directory"]))
      streams.push(directory)
      asked.push(directory)
      outgoing.once("close", () => void streams.splice(streams.indexOf(directory), 1))
    }
    const onward = forward(`${to}${path}`, { method: incoming.method, headers: incoming.headers }, (got) => {
      outgoing.writeHead(got.statusCode ?? 502, got.headers)
      outgoing.flushHeaders()
      got.on("error", () => outgoing.destroy())
      got.pipe(outgoing)
    })
    onward.on("error", () => outgoing.destroy())
    outgoing.once("close", () => onward.destroy())
    incoming.pipe(onward)
  }).pipe(
    Effect.map(({ server, url }) => ({
      url,
      streams,
      asked,
      cut: () => {
        passes = false
        server.closeAllConnections()
      },
      mend: () => {
        passes = true
      }
    }))
  )
}

const until = (holds: () => boolean) =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry({ times: 500, schedule: Schedule.spaced("20 millis") })
  )

describe.skipIf(binary === undefined)(
  "an opencode that tells events by directory only (set TURNKEEPER_OPENCODE_BIN to run)",
  { timeout: 180_000 },
  () => {
    let world: World
    let server: { readonly url: string; readonly password: string }
    let close: () => Promise<void>

    beforeAll(() =>
      Effect.runPromise(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          close = () => Effect.runPromise(Scope.close(scope, Exit.void))
          world = yield* makeWorld().pipe(Scope.provide(scope))
          server = yield* serveOutside(world).pipe(Scope.provide(scope))
        })
      )
    )
    afterAll(() => close(), 60_000)

    const behind = Effect.fnUntraced(function* (instead = nothing) {
      const between = yield* hiding(server.url, instead)
      const provider: Provider = yield* OpenCode.make({
        instanceId: ProviderInstanceId.make("older"),
        ledgerDirectory: world.ledgerDirectory,
        server: { url: between.url, password: server.password }
      })
      return { between, provider }
    })

    const another = () => mkdtempSync(join(world.directory, "project-"))

    it.live.each([nothing, page])("a turn of text and one that asks, in place of which: $type", (instead) =>
      Effect.gen(function* () {
        const { between, provider } = yield* behind(instead)
        const one = yield* session(world, provider)
        assert.deepEqual(between.streams, [world.project])
        assert.equal((yield* one.run(prompt("[[text:hello there]]"))).outcome, "completed")
        assert.deepEqual(
          one.ear.of("item.completed").map(({ text }) => text),
          ["hello there"]
        )
        yield* one.send(prompt("[[shell:echo asked]]"))
        const { requestKey } = yield* one.ear.first("request.opened")
        yield* one.answer(requestKey, { decision: "accept", answers: {} })
        yield* one.ear.until("the second end", () => one.ear.of("turn.completed").length === 2)
        assert.deepEqual(breachesOf(one.ear.heard(), false), [])
        assert.deepEqual(between.asked, [world.project])
      })
    )

    it.live("A1: a turn that is interrupted ends once, and the next one is its own", () =>
      Effect.gen(function* () {
        const { provider } = yield* behind()
        const one = yield* session(world, provider)
        const { providerTurnId } = yield* one.send(prompt("[[slow:2000]]"))
        yield* one.ear.first("text.delta")
        yield* one.interrupt(providerTurnId)
        assert.equal((yield* one.ear.first("turn.completed")).outcome, "interrupted")
        assert.equal((yield* one.run(prompt("[[text:after]]"))).outcome, "completed")
        assert.equal(one.ear.of("turn.completed").length, 2)
        assert.deepEqual(breachesOf(one.ear.heard(), false), [])
      })
    )

    it.live("one stream per directory, shared by its sessions and closed after the last of them", () =>
      Effect.gen(function* () {
        const { between, provider } = yield* behind()
        const cwd = another()
        const [here, there, alsoHere] = [
          yield* session(world, provider),
          yield* session(world, provider, { cwd }),
          yield* session(world, provider)
        ]
        assert.deepEqual(between.streams, [world.project, cwd])
        const all = [here, there, alsoHere]
        yield* Effect.forEach(all, (one, index) => one.run(prompt(`[[text:answer ${index}]]`)), {
          concurrency: "unbounded"
        })
        assert.deepEqual(
          all.map(({ ear }) => ear.of("item.completed").map(({ text }) => text)),
          [["answer 0"], ["answer 1"], ["answer 2"]]
        )
        for (const [index, { ear }] of all.entries()) {
          const told = ear.of("text.delta").map(({ text }) => text)
          assert.equal(told.join(""), `answer ${index}`)
          assert.equal(ear.of("turn.completed").length, 1)
          assert.deepEqual(breachesOf(ear.heard(), false), [])
        }
        yield* there.close
        yield* here.close
        yield* until(() => !between.streams.includes(cwd))
        assert.deepEqual(between.streams, [world.project])
        yield* alsoHere.close
        yield* until(() => between.streams.length === 0)
        const again = yield* session(world, provider, { generation: 2, resume: here.resume })
        assert.equal((yield* again.run(prompt("[[text:again]]"))).outcome, "completed")
      })
    )

    it.live("turns go on in two directories while neither is heard, and are told whole, once", () =>
      Effect.gen(function* () {
        const { between, provider } = yield* behind()
        const both = [yield* session(world, provider), yield* session(world, provider, { cwd: another() })]
        // The first turn in a directory takes seconds to begin: neither may end before both have begun.
        for (const one of both) yield* one.run(prompt("[[text:ready]]"))
        const texts = both.map((_, index) => `[[slow:200]] [[id:cut-${index}]]`)
        yield* Effect.forEach(both, (one, index) => one.send(prompt(texts[index]!)), {
          concurrency: "unbounded"
        })
        for (const { ear } of both) yield* ear.first("text.delta", ({ text }) => text.includes("w"))
        between.cut()
        for (const text of texts)
          yield* Effect.promise(() =>
            world.model.waitFor((request) => request.prompt === text && request.ended === "answered", 60_000)
          )
        assert.deepEqual(
          both.map(({ ear }) => ear.of("turn.completed").length),
          [1, 1]
        )
        between.mend()
        for (const { ear } of both) {
          yield* ear.until("the second end", () => ear.of("turn.completed").length === 2)
          assert.equal(ear.of("turn.completed")[1]?.outcome, "completed")
          assert.include(ear.of("item.completed")[1]?.text ?? "", "w199")
          assert.deepEqual(breachesOf(ear.heard(), false), [])
        }
      })
    )
  }
)

describe("a server that is too old", () => {
  it.live.each([nothing, page])("fails the probe and the opening, and says what to do: $type", (answer) =>
    Effect.gen(function* () {
      const { url } = yield* answering((_, outgoing) =>
        outgoing.writeHead(answer.status, { "content-type": answer.type }).end(answer.text)
      )
      const provider = yield* OpenCode.make({
        instanceId: ProviderInstanceId.make("too-old"),
        ledgerDirectory: "/nowhere",
        server: { url }
      })
      const health = yield* provider.probe
      assert.equal(health.status, "failed")
      assert.include(health.advice, "npm install -g opencode-ai")
      const error = yield* Effect.flip(Effect.scoped(provider.open(openOptions({ project: "/" }))))
      assert.equal(error.fault.reason, "Unavailable")
      assert.include(error.fault.message, "npm install -g opencode-ai")
    })
  )
})
