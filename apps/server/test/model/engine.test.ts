/**
 * The real engine against a small model of what its clients were told: any commands of two users on two threads,
 * with providers that refuse, forget and die, full disks, kills between any two commits, restarts, a second
 * server on the directory, and time.
 *
 * After each step: what was acknowledged is in the tables; no prompt reached the provider twice, and what a
 * turn says of its delivery is the truth; the tables are the fold of the log; each client that listens shows
 * what the tables hold. In the end, every turn settles.
 *
 * `TURNKEEPER_TEST_DEEP=1` runs for minutes; `TURNKEEPER_TEST_SEED` gives another seed. A failure is shrunk, and
 * names its seed and path.
 */
import { assert, describe, it } from "@effect/vitest"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { deliverAndHang, hang, lose, refuse } from "@turnkeeper/provider-kit/testing/control"
import { Cause, Effect, Exit, Fiber, Layer } from "effect"
import type { Context, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { dirname } from "node:path"
import type { Committed } from "../../src/engine/Change.ts"
import { DataDirectory } from "../../src/store/DataDirectory.ts"
import { truthful } from "../lifecycle/conversation.ts"
import type { App, View } from "../lifecycle/harness.ts"
import { project, quietly, scenarioOn } from "../lifecycle/harness.ts"
import { heldLaws } from "../lifecycle/laws.ts"
import { temporaryDirectory } from "../store/fixtures.ts"
import { makeClient } from "./Client.ts"
import type { Client } from "./Client.ts"

const deep = process.env["TURNKEEPER_TEST_DEEP"] === "1"
const seed = Number(process.env["TURNKEEPER_TEST_SEED"] ?? 20_261_121)
const runs = deep ? 1_000 : 8
const steps = deep ? 40 : 12

const threads = ["thread-a", "thread-b"].map((name) => name as ThreadId)

/** What the clients know. */
interface Model {
  /** Acknowledged commands, to be asked again. */
  readonly told: Map<string, { readonly answer: Committed; readonly again: Send }>
  /** Acknowledged turns, by thread. */
  readonly turns: Array<{ readonly threadId: ThreadId; readonly turnId: string }>
  counter: number
}
type Send = Effect.Effect<Committed, DispatchFailure>

interface Real {
  readonly app: App
  readonly clients: ReadonlyArray<Client>
}

type Step = (model: Model, real: Real) => Effect.Effect<void, unknown, Scope.Scope>

const scripts = [
  "[[text:Yes]]",
  "[[shell:make]][[text:Made]]",
  "[[ask:make]][[text:Done]]",
  "[[question:Which?|This|That]]",
  "[[drop:2]]",
  "[[fail:no]]",
  "[[die]]",
  "[[stall]]",
  "[[own]][[text:More]]",
  "[[aux]][[text:Aside]]",
  "[[flood:200]]",
  "[[reject:not now]]",
  "[[refuse-interrupt]][[stall]]"
] as const

/** A command is accepted or refused by type; that the storage cannot take it now is answered by asking again. */
const insist = (send: Send, tries = 20): Effect.Effect<Exit.Exit<Committed, DispatchFailure>> =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(send)
    if (Exit.isSuccess(exit)) return exit
    const error = Cause.findError(exit.cause)
    if (error._tag === "Failure") return yield* Effect.die(Cause.squash(exit.cause))
    if (error.success._tag !== "StorageUnavailable" || tries === 0) return exit
    assert.isTrue(error.success.retryable)
    yield* quietly
    return yield* insist(send, tries - 1)
  })

const sent = (model: Model, commandId: string, send: Send, turn?: Model["turns"][number]) =>
  Effect.map(insist(send), (exit) => {
    if (Exit.isFailure(exit)) return
    model.told.set(commandId, { answer: exit.value, again: send })
    if (turn !== undefined) model.turns.push(turn)
  })

const next = (model: Model) => (model.counter += 1)

const saying = (model: Model, { app }: Real, threadId: ThreadId, script: string, delivery: string) => {
  const n = next(model)
  const turnId = `turn-${n}`
  const commandId = `say-${n}`
  const known = model.turns.some((turn) => turn.threadId === threadId)
  const createThread = { projectId: project, title: "T", provider: "scripted" }
  const command = {
    type: "thread.turn.start",
    turnId,
    messageId: `${turnId}-message`,
    text: `[[id:${turnId}]]${script}`,
    delivery,
    ...(!known && { createThread })
  }
  return { commandId, send: app.dispatch(command as never, threadId, commandId), turn: { threadId, turnId } }
}

const viewOf = ({ app }: Real, threadId: ThreadId) => Effect.exit(app.view(threadId))

const onThread =
  (threadId: ThreadId, make: (view: View, n: number) => object | null): Step =>
  (model, real) =>
    Effect.gen(function* () {
      const view = yield* viewOf(real, threadId)
      if (Exit.isFailure(view)) return
      const n = next(model)
      const command = make(view.value, n)
      if (command === null) return
      const commandId = `command-${n}`
      yield* sent(model, commandId, real.app.dispatch(command as never, threadId, commandId))
    })

const settledOf = (view: View) => view.turns.filter(({ settledAt }) => settledAt !== null)
const openOf = (view: View) => view.turns.filter(({ settledAt }) => settledAt === null)

const answering = (threadId: ThreadId) =>
  onThread(threadId, ({ requests }) => {
    const asked = requests.find(({ status }) => status === "open")
    if (asked === undefined) return null
    const answers = Object.fromEntries(
      asked.ask.questions.map(({ id, options }) => [id, [options[0]?.label ?? ""]])
    )
    return {
      type: "thread.request.answer",
      requestId: asked.requestId,
      ...(asked.ask.questions.length > 0 ? { answers } : { decision: "accept" })
    }
  })

/** The power goes off at the n-th commit from here, while a message is sent; the client asks again afterwards. */
const cutOff =
  (
    threadId: ThreadId,
    script: string,
    commit: number,
    how: "power off before" | "power off after",
    provider: "dies" | "lives"
  ): Step =>
  (model, real) =>
    Effect.gen(function* () {
      const { app } = real
      const { commandId, send, turn } = saying(model, real, threadId, script, "queue")
      const dark = yield* Effect.forkChild(app.failAt(commit, how), { startImmediately: true })
      const user = yield* Effect.forkChild(Effect.exit(send))
      yield* Effect.raceFirst(Fiber.join(dark), Effect.andThen(Fiber.join(user), quietly))
      yield* Effect.forEach(real.clients, ({ cut }) => cut, { discard: true })
      yield* app.kill(provider)
      yield* Fiber.interrupt(user)
      yield* Fiber.interrupt(dark)
      yield* app.boot
      yield* sent(model, commandId, send, turn)
      yield* Effect.forEach(real.clients, ({ connect }) => connect, { discard: true })
    })

const again = (real: Real, how: Effect.Effect<void>) =>
  Effect.gen(function* () {
    yield* Effect.forEach(real.clients, ({ cut }) => cut, { discard: true })
    yield* how
    yield* Effect.forEach(real.clients, ({ connect }) => connect, { discard: true })
  })

const plans = { refuse: refuse("Unavailable"), lose: lose(), hang, deliverAndHang } as const

// The steps, drawn

const threadIds = fc.constantFrom(...threads)
const named = <A>(name: string, arbitrary: fc.Arbitrary<A>, step: (drawn: A) => Step) =>
  arbitrary.map((drawn): Drawn => {
    const words = `${name} ${JSON.stringify(drawn)}`
    return { name: words, step: step(drawn), [fc.toStringMethod]: () => words }
  })

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: named(
      "say",
      fc.tuple(
        threadIds,
        fc.constantFrom(...scripts),
        fc.constantFrom("queue", "queue", "steer", "interrupt")
      ),
      ([threadId, script, delivery]): Step =>
        (model, real) => {
          const { commandId, send, turn } = saying(model, real, threadId, script, delivery)
          return sent(model, commandId, send, turn)
        }
    )
  },
  {
    weight: 3,
    arbitrary: named("answer", threadIds, answering)
  },
  {
    weight: 3,
    arbitrary: named("interrupt", threadIds, (threadId) =>
      onThread(threadId, () => ({ type: "thread.turn.interrupt" }))
    )
  },
  {
    weight: 1,
    arbitrary: named("withdraw", threadIds, (threadId) =>
      onThread(threadId, (view) => {
        const last = openOf(view).at(-1)
        return last === undefined ? null : { type: "thread.turn.interrupt", turnId: last.turnId }
      })
    )
  },
  {
    weight: 2,
    arbitrary: named("stop", fc.tuple(threadIds, fc.boolean()), ([threadId, force]) =>
      onThread(threadId, () => ({ type: "thread.session.stop", force }))
    )
  },
  {
    weight: 1,
    arbitrary: named("rename", threadIds, (threadId) =>
      onThread(threadId, (_view, n) => ({ type: "thread.update", title: `Title ${n}` }))
    )
  },
  {
    weight: 2,
    arbitrary: named(
      "ask again",
      fc.nat(),
      (which): Step =>
        (model) =>
          Effect.gen(function* () {
            const told = [...model.told.values()]
            if (told.length === 0) return
            const { answer, again } = told[which % told.length]!
            const exit = yield* insist(again)
            assert.deepStrictEqual(exit, Exit.succeed(answer), "L11: the same command, the same answer")
          })
    )
  },
  {
    weight: 1,
    arbitrary: named(
      "another body",
      fc.nat(),
      (which): Step =>
        (model, { app }) =>
          Effect.gen(function* () {
            const ids = [...model.told.keys()]
            if (ids.length === 0) return
            const command = { type: "thread.update", title: "Another" } as const
            const exit = yield* insist(app.dispatch(command, threads[0], ids[which % ids.length]!))
            assert.isTrue(Exit.isFailure(exit), "C3: the same id with another body")
          })
    )
  },
  {
    weight: 3,
    arbitrary: named(
      "provider",
      fc.tuple(
        fc.constantFrom("open", "send", "interrupt", "answer", "stop"),
        fc.constantFrom(...(Object.keys(plans) as ReadonlyArray<keyof typeof plans>))
      ),
      ([operation, plan]): Step =>
        (_model, { app }) =>
          Effect.sync(() => app.control().next(operation as "send", plans[plan] as never))
    )
  },
  {
    weight: 1,
    arbitrary: named(
      "provider dies",
      threadIds,
      (threadId): Step =>
        (_model, { app }) =>
          app.control().crash(threadId)
    )
  },
  {
    weight: 2,
    arbitrary: named(
      "disk full",
      fc.integer({ min: 1, max: 4 }),
      (commit): Step =>
        (_model, { app }) =>
          Effect.asVoid(Effect.forkChild(app.failAt(commit, "disk full"), { startImmediately: true }))
    )
  },
  {
    weight: 3,
    arbitrary: named(
      "power off",
      fc.tuple(
        threadIds,
        fc.constantFrom(...scripts),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom("power off before", "power off after"),
        fc.constantFrom("dies", "lives")
      ),
      (drawn) => cutOff(...drawn)
    )
  },
  {
    weight: 1,
    arbitrary: named(
      "restart",
      fc.constant(null),
      (): Step => (_model, real) => again(real, real.app.restart)
    )
  },
  {
    weight: 1,
    arbitrary: named(
      "second server",
      fc.constant(null),
      (): Step =>
        (_model, { app }) =>
          Effect.map(
            Effect.flip(Layer.build(DataDirectory.layer(dirname(app.database)))),
            (error) => void assert.strictEqual(error._tag, "DataDirectoryInUse")
          )
    )
  },
  {
    weight: 2,
    arbitrary: named(
      "client",
      fc.tuple(fc.nat(3), fc.boolean()),
      ([which, on]): Step =>
        (_model, { clients }) => {
          const client = clients[which % clients.length]!
          return on ? client.connect : client.cut
        }
    )
  },
  {
    weight: 3,
    arbitrary: named(
      "time",
      fc.constantFrom(1, 30, 400),
      (seconds): Step =>
        (_model, { app }) =>
          app.sleepThrough(`${seconds} seconds`)
    )
  },
  {
    weight: 1,
    arbitrary: named(
      "clock",
      fc.constantFrom(3_600_000, -3_600_000),
      (jump): Step =>
        (_model, { app }) =>
          app.jump(jump)
    )
  }
)

// What always holds

const holds = (model: Model, real: Real) =>
  Effect.gen(function* () {
    for (const threadId of threads) {
      const told = model.turns.filter((turn) => turn.threadId === threadId)
      if (told.length === 0) continue
      const view = yield* real.app.view(threadId)
      const known = view.turns.map(({ turnId }) => turnId as string)
      for (const { turnId } of told) assert.include(known, turnId, "what was acknowledged is there")
      yield* truthful(real.app, view)
    }
    yield* real.app.use(heldLaws(real.app.database))
  })

/** A client that listens shows the tables, as soon as nothing is on its way to it. */
const shows = ({ app }: Real, client: Client, tries = 200): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    assert.deepStrictEqual(client.faults(), [], "what a client is told fits what it was told before")
    const fold = client.fold()
    const view = yield* Effect.exit(app.view(client.threadId))
    if (Exit.isFailure(view)) return
    if (fold?.version === view.value.version) {
      const { thread, session, requests } = view.value
      const wanted = { thread, session, requests, turns: openOf(view.value) }
      const shown = {
        thread: fold.thread,
        session: fold.session,
        requests: fold.requests,
        turns: fold.turns.filter(({ settledAt }) => settledAt === null)
      }
      assert.deepStrictEqual(shown, wanted, "a client's view is the tables")
      return
    }
    if (tries === 0)
      assert.strictEqual(fold?.version, view.value.version, "a client that listens is told everything")
    yield* client.connect
    yield* quietly
    yield* shows({ app, clients: [] }, client, tries - 1)
  })

/** The world answers again, and each thread is asked to stop: nothing may be left open. */
const drained = (real: Real) =>
  Effect.forEach(
    threads,
    (threadId) =>
      Effect.gen(function* () {
        const view = yield* viewOf(real, threadId)
        if (Exit.isFailure(view)) return
        yield* insist(real.app.dispatch({ type: "thread.session.stop", force: true }, threadId))
        const after = yield* real.app.passUntil((now) => openOf(now).length === 0, threadId)
        assert.lengthOf(settledOf(after), after.turns.length)
      }),
    { discard: true }
  )

/** Time passes meanwhile, second by second: whoever waits for it comes to an end. What takes for ever says so. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E, R> =>
  Effect.raceAllFirst([
    effect,
    Effect.forever(Effect.andThen(quietly, TestClock.adjust("1 second"))),
    Effect.andThen(
      TestClock.withLive(Effect.sleep("10 seconds")),
      Effect.suspend(() => Effect.die(new Error(`It does not come to an end: ${what}`)))
    )
  ])

interface Drawn {
  readonly name: string
  readonly step: Step
  /** How a failure shows it. */
  readonly [fc.toStringMethod]: () => string
}

const run = (drawn: ReadonlyArray<Drawn>, outlives: boolean) =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    yield* Layer.build(DataDirectory.layer(directory))
    const capabilities = outlives ? { outlivesServer: true, reasksRequests: true } : {}
    const options = { directory, mayLogErrors: true, providers: [{ id: "scripted", capabilities }] }
    yield* scenarioOn(options, (app) =>
      Effect.gen(function* () {
        const model: Model = { told: new Map(), turns: [], counter: 0 }
        const clients = [...threads, ...threads].map((threadId) => makeClient(app, threadId))
        const real: Real = { app, clients }
        for (const { name, step } of drawn) {
          yield* passing(step(model, real), name)
          yield* quietly
          yield* holds(model, real)
        }
        yield* passing(drained(real), "the end")
        yield* holds(model, real)
        yield* Effect.forEach(clients, (client) => shows(real, client), { discard: true })
        yield* Effect.forEach(clients, ({ cut }) => cut, { discard: true })
      })
    )
  }).pipe(Effect.scoped)

describe("the engine and its model", () => {
  it.effect(
    "whatever clients, providers and crashes do: what was told is kept, once, and every view is the tables",
    () =>
      Effect.flatMap(Effect.context<never>(), (context: Context.Context<never>) =>
        Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(
              fc.array(step, { minLength: 4, maxLength: steps }),
              fc.boolean(),
              (drawn, outlives) => Effect.runPromiseWith(context)(run(drawn, outlives))
            ),
            { numRuns: runs, seed }
          )
        )
      ),
    deep ? 3_600_000 : 120_000
  )
})
