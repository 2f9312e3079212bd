/** Which instances there are, and what is known of each: kept true to the settings without ending a session. */
import { assert, describe, it } from "@effect/vitest"
import { Generation, ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import type { Health, OpenOptions, Provider } from "@turnkeeper/provider-kit/Provider"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { makeScripted } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { shifted } from "../clock/shifted.ts"
import * as Instances from "../../src/provider/Instances.ts"
import { Registry } from "../../src/provider/Registry.ts"
import type { Configured } from "../../src/provider/settingsFile.ts"
import { ProviderConfigInvalid } from "../../src/provider/settingsFile.ts"

const id = (name: string) => ProviderInstanceId.make(name)

const options = (thread: string): OpenOptions => ({
  threadId: ThreadId.make(thread),
  generation: Generation.make(1),
  cwd: "/tmp",
  model: null,
  runtimeMode: "full_access",
  interactionMode: "default",
  resume: null
})

const ready: Health = { status: "ready", version: "1", models: [], advice: null }

/** Settings that can be rewritten, and adapters that note when they are made and ended. */
const settings = Effect.sync(() => {
  const log: Array<string> = []
  let current: ReadonlyArray<string> | ProviderConfigInvalid = []
  const configured = (entry: string): Configured => {
    const [name = ""] = entry.split(" ")
    return {
      id: id(name),
      kind: "scripted",
      problem: null,
      secrets: [],
      findProgram: () => null,
      fingerprint: entry,
      adapter: ({ instanceId }) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            if (name === "impossible") throw new Error("no disk")
            log.push(`made ${entry}`)
            const { provider } = makeScripted({ instanceId, displayName: entry, tickMs: 0 })
            return { ...provider, probe: Effect.succeed(ready) } as Provider
          }),
          () => Effect.sync(() => void log.push(`ended ${entry}`))
        )
    }
  }
  const places = { ledgerDirectory: "/nowhere", stateDirectory: "/nowhere" }
  return {
    log,
    write: (...entries: ReadonlyArray<string>) => void (current = entries),
    damage: () =>
      void (current = new ProviderConfigInvalid({ file: "providers.json", reason: "it is torn" })),
    instances: Instances.make({
      read: Effect.suspend(() =>
        current instanceof ProviderConfigInvalid
          ? Effect.fail(current)
          : Effect.succeed(current.map(configured))
      ),
      adapterOf: (one) => one.adapter({ instanceId: one.id, ...places })
    })
  }
})

const namesOf = ({ offered }: Instances.Instances<unknown>) =>
  offered().map(({ provider }) => provider.displayName)

/** A session with a scope of its own. */
const openOn = Effect.fnUntraced(function* (provider: Provider | undefined, thread: string) {
  assert.isDefined(provider)
  const scope = yield* Scope.make()
  yield* provider!.open(options(thread)).pipe(Scope.provide(scope))
  return { close: Scope.close(scope, Exit.void) }
})

/** Runs others until it is so; bounded. */
const eventually = (condition: () => boolean) =>
  Effect.gen(function* () {
    for (let turn = 0; turn < 1_000 && !condition(); turn += 1) yield* Effect.yieldNow
    assert.isTrue(condition())
  })

describe("instances", () => {
  it.effect("follow the settings: new ones are made, removed ones end, unchanged ones stay", () =>
    Effect.gen(function* () {
      const { instances, log, write } = yield* settings
      write("a", "b")
      const held = yield* instances
      const a = held.get(id("a"))
      write("c", "a")
      yield* held.reload
      assert.deepStrictEqual(namesOf(held), ["c", "a"])
      assert.deepStrictEqual(log, ["made a", "made b", "made c", "ended b"])
      assert.strictEqual(held.get(id("a")), a)
      assert.isUndefined(held.get(id("b")))
    }).pipe(Effect.scoped)
  )

  it.effect("an open session keeps the adapter of a removed instance until it ends", () =>
    Effect.gen(function* () {
      const { instances, log, write } = yield* settings
      write("a", "b")
      const held = yield* instances
      const session = yield* openOn(held.get(id("b")), "t")
      write("a")
      yield* held.reload
      assert.deepStrictEqual(namesOf(held), ["a"])
      assert.deepStrictEqual(
        held.all().map(({ displayName }) => displayName),
        ["a", "b"]
      )
      const refused = yield* Effect.flip(openOn(held.get(id("b")), "another"))
      assert.strictEqual(refused.fault.reason, "NotInstalled")
      yield* session.close
      yield* eventually(() => held.get(id("b")) === undefined)
      assert.include(log, "ended b")
    }).pipe(Effect.scoped)
  )

  it.effect("changed settings count when the last open session has ended, and that is said", () =>
    Effect.gen(function* () {
      const { instances, log, write } = yield* settings
      write("a")
      const held = yield* instances
      const before = held.get(id("a"))
      const first = yield* openOn(before, "t1")
      const second = yield* openOn(before, "t2")
      write("a otherwise")
      yield* held.reload
      assert.include(held.offered()[0]?.notice, "(2)")
      yield* first.close
      assert.deepStrictEqual(log, ["made a"])
      yield* second.close
      yield* eventually(() => namesOf(held)[0] === "a otherwise")
      assert.deepStrictEqual(log, ["made a", "ended a", "made a otherwise"])
      assert.isNull(held.offered()[0]?.notice)
      // Whoever still holds the adapter of before opens on the one that took its place.
      yield* Effect.scoped(before!.open(options("t3")))
    }).pipe(Effect.scoped)
  )

  it.effect("one that cannot be made says so, and the others are not touched", () =>
    Effect.gen(function* () {
      const { instances, write } = yield* settings
      write("a", "impossible", "b")
      const held = yield* instances
      assert.deepStrictEqual(namesOf(held), ["a", "impossible", "b"])
      const [, impossible] = held.offered()
      const { status, advice } = yield* impossible!.provider.probe
      assert.strictEqual(status, "failed")
      assert.include(advice, "could not be made")
      const refused = yield* Effect.flip(openOn(impossible?.provider, "t"))
      assert.strictEqual(refused.fault.reason, "NotInstalled")
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.effect("settings that are put back in time change nothing", () =>
    Effect.gen(function* () {
      const { instances, log, write } = yield* settings
      write("a")
      const held = yield* instances
      const session = yield* openOn(held.get(id("a")), "t")
      write()
      yield* held.reload
      write("a")
      yield* held.reload
      yield* session.close
      yield* held.reload
      assert.deepStrictEqual(log, ["made a"])
      assert.deepStrictEqual(namesOf(held), ["a"])
    }).pipe(Effect.scoped)
  )

  it.effect("adapters that are made late end after what was built before them", () =>
    Effect.gen(function* () {
      const { instances, log, write } = yield* settings
      write("a")
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(instances, scope)
      yield* Scope.addFinalizer(
        scope,
        Effect.sync(() => void log.push("the sessions ended"))
      )
      write("a", "late")
      yield* held.reload
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(log.slice(0, 3), ["made a", "made late", "the sessions ended"])
      assert.sameMembers(log.slice(3), ["ended a", "ended late"])
    })
  )
})

const registryOf = (given: Parameters<typeof Registry.layer>[0]) =>
  Effect.map(Layer.build(Registry.layer(given)), Context.get(Registry))

const statusOf = (registry: Registry["Service"]) =>
  Effect.map(registry.list, (rows) => rows.map(({ id, health }) => `${id} ${health.status}`))

/** A provider whose health a test says, and that counts how often it was asked. */
const asked = (name: string, probe: Effect.Effect<Health>) => {
  const count = { asked: 0 }
  const { provider } = makeScripted({ instanceId: id(name), tickMs: 0 })
  const counting = Effect.suspend(() => {
    count.asked += 1
    return probe
  })
  return { count, provider: { ...provider, probe: counting } as Provider }
}

describe("the registry", () => {
  it.effect("a provider that never answers delays nobody, and is said to be so in the end", () =>
    Effect.gen(function* () {
      const silent = asked("silent", Effect.never)
      const quick = asked("quick", Effect.succeed(ready))
      const registry = yield* registryOf([silent.provider, quick.provider])
      yield* eventually(() => quick.count.asked === 1)
      assert.deepStrictEqual(yield* statusOf(registry), ["silent unknown", "quick ready"])
      yield* TestClock.adjust("61 seconds")
      const [row] = yield* registry.list
      assert.include(row?.health.advice, "did not answer")
      assert.isNotNull(row?.checkedAt)
    }).pipe(Effect.scoped)
  )

  it.effect("a provider whose asking breaks is unknown, and the others are not touched", () =>
    Effect.gen(function* () {
      const broken = asked("broken", Effect.die("no"))
      const registry = yield* registryOf([broken.provider, asked("fine", Effect.succeed(ready)).provider])
      yield* registry.refresh
      assert.deepStrictEqual(yield* statusOf(registry), ["broken unknown", "fine ready"])
    }).pipe(Effect.scoped)
  )

  it.effect(
    "is asked anew when it could not be opened because it is signed out; what to do is said with the next failure",
    () =>
      Effect.gen(function* () {
        let health: Health = ready
        const one = asked(
          "one",
          Effect.suspend(() => Effect.succeed(health))
        )
        const refuse = () =>
          Effect.fail(
            new ProviderError({
              provider: id("one"),
              operation: "open",
              fault: { reason: "NotSignedIn", message: "Signed out." }
            })
          )
        const registry = yield* registryOf([{ ...one.provider, open: refuse }])
        yield* registry.refresh
        const { take } = yield* registry.watch
        health = { ...ready, status: "not_signed_in", advice: "Sign in." }
        yield* Effect.flip(Effect.scoped(registry.get(id("one"))!.open(options("t"))))
        assert.deepStrictEqual(yield* take, [id("one")])
        assert.deepStrictEqual(yield* statusOf(registry), ["one not_signed_in"])
        const { fault } = yield* Effect.flip(Effect.scoped(registry.get(id("one"))!.open(options("t"))))
        assert.deepStrictEqual(fault, { reason: "NotSignedIn", message: "Signed out. Sign in." })
      }).pipe(Effect.scoped)
  )

  it.effect("is asked now and then while somebody watches, and not otherwise", () =>
    Effect.gen(function* () {
      const away = asked("away", Effect.succeed({ ...ready, status: "not_installed" }))
      const there = asked("there", Effect.succeed(ready))
      const registry = yield* registryOf([away.provider, there.provider])
      yield* registry.refresh
      const before = away.count.asked
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(away.count.asked, before)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* registry.watch
          yield* TestClock.adjust("11 minutes")
        })
      )
      const [awayRow, thereRow] = [away.count.asked - before, there.count.asked - before]
      assert.isAtLeast(awayRow, 2)
      assert.strictEqual(thereRow, 1)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(away.count.asked - before, awayRow)
    }).pipe(Effect.scoped)
  )

  it.effect("a clock that is set back does not keep it from being asked again", () =>
    Effect.gen(function* () {
      const away = asked("away", Effect.succeed({ ...ready, status: "not_installed" }))
      const wall = { offset: 0 }
      const clock = yield* Effect.clockWith((inner) => Effect.succeed(shifted(inner, wall)))
      yield* Effect.gen(function* () {
        const registry = yield* registryOf([away.provider])
        yield* registry.refresh
        const before = away.count.asked
        yield* registry.watch
        wall.offset = -3_600_000
        yield* TestClock.adjust("11 minutes")
        assert.isAtLeast(away.count.asked - before, 1)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }).pipe(Effect.scoped)
  )

  it.effect("many who ask at once cause one asking", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const one = asked("one", Effect.as(Deferred.await(gate), ready))
      const registry = yield* registryOf([one.provider])
      const all = yield* Effect.forkChild(
        Effect.all([registry.refresh, registry.refresh, registry.refresh], { concurrency: "unbounded" })
      )
      yield* eventually(() => one.count.asked === 1)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(all)
      assert.strictEqual(one.count.asked, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("refreshing reads the settings again; a torn file changes nothing and is told", () =>
    Effect.gen(function* () {
      const { damage, instances, write } = yield* settings
      write("a")
      const registry = yield* registryOf(yield* instances)
      const { take } = yield* registry.watch
      write("a", "b")
      assert.isNull(yield* registry.refresh)
      assert.deepStrictEqual(yield* statusOf(registry), ["a ready", "b ready"])
      assert.include(yield* take, id("b"))
      damage()
      assert.include(yield* registry.refresh, "it is torn")
      assert.deepStrictEqual(yield* statusOf(registry), ["a ready", "b ready"])
      write("b")
      yield* registry.refresh
      assert.include(yield* take, id("a"))
      assert.deepStrictEqual(yield* statusOf(registry), ["b ready"])
    }).pipe(Effect.scoped)
  )
})
