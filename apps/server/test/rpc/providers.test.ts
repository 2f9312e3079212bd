/** The providers over real sockets: a real settings file, what is wrong in it, and its changes. */
import { NodeServices } from "@effect/platform-node"
import { expect, layer } from "@effect/vitest"
import type { ProviderItem } from "@turnkeeper/contracts/Providers"
import { Effect, Layer, Queue, Redacted, Stream } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Engine } from "../../src/engine/Engine.ts"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import * as Configured from "../../src/provider/configured.ts"
import { Registry } from "../../src/provider/Registry.ts"
import * as Listen from "../../src/rpc/Listen.ts"
import { Token } from "../../src/rpc/Token.ts"
import { client, jsonRpc, store, token } from "./harness.ts"

const directory = mkdtempSync(join(tmpdir(), "turnkeeper-providers-"))
const secret = "sk-0123456789abcdef"
const write = (...providers: ReadonlyArray<unknown>) =>
  writeFileSync(Configured.defaultFile(directory), JSON.stringify({ providers }))

const scripted = { id: "scripted", kind: "scripted" }
const missing = { id: "away", kind: "codex", binary: "/nowhere/codex", env: { OPENAI_API_KEY: secret } }
const wrong = { id: "wrong", kind: "codex", home: { secret } }

const registry = Layer.unwrap(
  Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true })))
    write(scripted, missing, wrong)
    return Registry.layer(yield* Configured.instances(null, directory))
  })
)

const server = Listen.layer({ host: "127.0.0.1", port: 0 }).pipe(
  Layer.provideMerge(Engine.layer.pipe(Layer.provideMerge(Mailboxes.layer))),
  Layer.provideMerge(
    Layer.mergeAll(store, registry, Token.layerFrom(Redacted.make(token)), NodeServices.layer)
  )
)

layer(server, { excludeTestServices: true })("providers", (it) => {
  it.effect("each says how it is and what to do; one that is wrong leaves the others alone", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const { result } = yield* call("providers.refresh", {})
      expect(result.settingsProblem).toBe(null)
      const rows = Object.fromEntries(result.providers.map((row: { readonly id: string }) => [row.id, row]))
      expect(rows["scripted"]).toMatchObject({ health: { status: "ready" }, notice: null, program: null })
      expect(rows["scripted"].checkedAt).toBeGreaterThan(0)
      expect(rows["scripted"].examples.length).toBeGreaterThan(4)
      expect(rows["away"]).toMatchObject({ kind: "codex", health: { status: "not_installed" } })
      expect(rows["away"].health.advice).toContain("npm install")
      expect(rows["wrong"]).toMatchObject({ health: { status: "failed" } })
      expect(rows["wrong"].health.advice).toContain("providers[2].home")
      expect(JSON.stringify(result)).not.toContain(secret)
    })
  )

  it.effect("a watcher gets every row once, then each that changes, and is told of those that went", () =>
    Effect.gen(function* () {
      const rpc = yield* client
      const items = yield* Queue.unbounded<ProviderItem>()
      yield* Effect.forkScoped(
        Stream.runForEach(rpc["providers.subscribe"]({}), (item) => Queue.offer(items, item))
      )
      const next = (fits: (item: ProviderItem) => boolean): Effect.Effect<ProviderItem> =>
        Effect.flatMap(Queue.take(items), (item) => (fits(item) ? Effect.succeed(item) : next(fits)))

      const first = yield* Queue.take(items)
      expect(first.type === "snapshot" ? first.providers.map(({ id }) => String(id)) : []).toEqual([
        "scripted",
        "away",
        "wrong"
      ])
      expect(yield* Queue.take(items)).toEqual({ type: "synchronized" })

      write(scripted, { id: "second", kind: "scripted", displayName: "Another one" })
      yield* rpc["providers.refresh"]({})
      yield* next(({ type }) => type === "provider.removed")
      const came = yield* next((item) => item.type === "provider" && item.row.health.status === "ready")
      expect(came).toMatchObject({ row: { checkedAt: expect.any(Number) } })
      const { call } = yield* jsonRpc
      expect((yield* call("providers.list", {})).result).toMatchObject([
        { id: "scripted" },
        { id: "second", displayName: "Another one" }
      ])
    })
  )

  it.effect("a torn file changes nothing, and the answer says where it is torn", () =>
    Effect.gen(function* () {
      const { call } = yield* jsonRpc
      const before = (yield* call("providers.list", {})).result
      writeFileSync(Configured.defaultFile(directory), `{"providers": [\n"${secret}`)
      const { result } = yield* call("providers.refresh", {})
      expect(result.settingsProblem).toContain("line 2, column 1")
      expect(result.settingsProblem).not.toContain(secret)
      expect(result.providers.length).toBe(before.length)
    })
  )
})
