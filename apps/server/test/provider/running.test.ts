/**
 * Instances while the server works: a real settings file, the whole core, and the example agent's real processes.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import type { Command } from "@turnkeeper/contracts/Command"
import { ThreadId } from "@turnkeeper/domain/ids"
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kind as example } from "../../../../packages/provider-example/src/kind.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Feed } from "../../src/engine/Feed.ts"
import type { Snapshot } from "../../src/projection/ThreadView.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import * as Configured from "../../src/provider/configured.ts"
import * as Instances from "../../src/provider/Instances.ts"
import { Registry } from "../../src/provider/Registry.ts"
import * as SettingsFile from "../../src/provider/settingsFile.ts"
import { coreLayer, storeLayer } from "../../src/server.ts"

const kinds = SettingsFile.kindsOf([example])

const world = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-running-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )
  const file = join(directory, "providers.json")
  const write = (...ids: ReadonlyArray<string>) =>
    writeFileSync(file, JSON.stringify({ providers: ids.map((id) => ({ id, kind: "example" })) }))
  write("one", "two")

  const instances = yield* Instances.make({
    read: SettingsFile.read(kinds, file),
    adapterOf: (configured) => Configured.make(configured, directory)
  })
  const core = yield* Layer.build(
    coreLayer(instances).pipe(
      Layer.provideMerge(storeLayer(join(directory, "turnkeeper.db"))),
      Layer.provideMerge(NodeServices.layer)
    )
  )
  const engine = Context.get(core, Engine)
  let commands = 0
  const dispatch = (command: Record<string, unknown>) =>
    engine.dispatch({ ...command, commandId: `c-${(commands += 1)}` } as never as Command, "test")
  yield* dispatch({ type: "project.create", projectId: "p", title: "P", directory })

  return {
    write,
    registry: Context.get(core, Registry),
    agents: (id: string): ReadonlyArray<number> =>
      readdirSync(join(directory, "processes", id)).map((name) => Number(/\.(\d+)\.json$/.exec(name)?.[1])),
    say: (threadId: string, provider: string, text: string) =>
      dispatch({
        type: "thread.turn.start",
        threadId,
        turnId: `${threadId}-turn`,
        messageId: `${threadId}-message`,
        text,
        createThread: { projectId: "p", title: "T", provider }
      }),
    /** Resolves with the first moment of the thread's tables that fits; bounded by the test's own time. */
    until: (threadId: string, fits: (view: Snapshot) => boolean) =>
      Effect.scoped(
        Effect.gen(function* () {
          const id = ThreadId.make(threadId)
          const news = yield* Context.get(core, Feed).thread(id)
          for (;;) {
            const view = yield* Context.get(core, ThreadView).snapshot(id, 500)
            if (view !== null && fits(view)) return view
            yield* news.take
          }
        })
      )
  }
})

const settled = ({ turns }: Snapshot) => turns[0] !== undefined && turns[0].settledAt !== null
const spoken = ({ entries }: Snapshot) =>
  entries
    .flatMap((entry) => (entry.type === "message" && entry.role === "assistant" ? [entry.text] : []))
    .join("")

describe("instances of one kind, while the server works", () => {
  it.live(
    "work side by side, each with its own processes; the death of one's agent is none of the other's",
    () =>
      Effect.gen(function* () {
        const { agents, say, until } = yield* world
        yield* say("a", "one", "count 5000")
        yield* say("b", "two", "run printf hello")
        yield* until("a", (view) => spoken(view).includes("w3"))
        const asked = yield* until("b", ({ requests }) => requests.length === 1)
        assert.lengthOf(agents("one"), 1)
        for (const pid of agents("one")) process.kill(pid, "SIGKILL")
        const dead = yield* until("a", settled)
        assert.strictEqual(dead.turns[0]?.state, "error")
        assert.include(spoken(dead), "w3")
        assert.strictEqual(asked.turns[0]?.state, "running")
        assert.lengthOf(agents("two"), 1)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "one that is taken out of the settings finishes what it has begun, and begins nothing more",
    () =>
      Effect.gen(function* () {
        const { registry, say, until, write } = yield* world
        yield* say("a", "two", "count 40")
        yield* until("a", (view) => spoken(view) !== "")
        write("one")
        assert.isNull(yield* registry.refresh)
        assert.deepStrictEqual(
          (yield* registry.list).map(({ id }) => String(id)),
          ["one"]
        )
        yield* say("b", "two", "Hello")
        const done = yield* until("a", settled)
        assert.strictEqual(done.turns[0]?.state, "completed")
        assert.include(spoken(done), "w40")
        const refused = yield* until("b", settled)
        assert.strictEqual(refused.turns[0]?.state, "error")
        assert.include(JSON.stringify(refused.turns[0]), "taken out of the settings")
        yield* say("c", "one", "Hello")
        const other = yield* until("c", settled)
        assert.strictEqual(spoken(other), "You said: Hello")
      }).pipe(Effect.scoped),
    60_000
  )
})
