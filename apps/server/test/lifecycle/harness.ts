/**
 * The real core on a real database file, with scripted providers instead of paid ones.
 *
 * A scenario speaks as a client does: it dispatches commands and reads the tables. It waits on the feed,
 * never on time; time passes only where a scenario lets it. At its end each scenario is held against the
 * laws that every database must keep, whatever happened.
 */
import { assert, it } from "@effect/vitest"
import type { Command } from "@turnkeeper/contracts/Command"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import type { ItemEntry, MessageEntry, TurnRow } from "@turnkeeper/contracts/Rows"
import type { ProjectId, ThreadId } from "@turnkeeper/domain/ids"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import type { Control, Received } from "@turnkeeper/provider-kit/testing/control"
import { readReceived } from "@turnkeeper/provider-kit/testing/record"
import type { Scripted, ScriptedOptions } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import { makeScripted } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import type { Duration } from "effect"
import { Clock, Context, Deferred, Effect, Exit, Layer, Logger, References, Scope } from "effect"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import { TestClock } from "effect/testing"
import { join } from "node:path"
import type { Committed, ThreadRecord } from "../../src/engine/Change.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Feed } from "../../src/engine/Feed.ts"
import type { Snapshot } from "../../src/projection/ThreadView.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { coreLayer, storeLayer } from "../../src/server.ts"
import type { ServerSettings } from "../../src/Settings.ts"
import { defaults, Settings } from "../../src/Settings.ts"
import { beforeListening } from "../../src/startup.ts"
import { readStream, threadStream } from "../../src/store/EventLog.ts"
import { Reader, Writer } from "../../src/store/Sqlite.ts"
import { shifted } from "../clock/shifted.ts"
import { temporaryDirectory } from "../store/fixtures.ts"
import { heldLaws } from "./laws.ts"

export const thread = "thread-1" as ThreadId
export const project = "project-1" as ProjectId

export interface Options {
  /** One provider named `scripted` when absent. The first one is the thread's own. */
  readonly providers?: ReadonlyArray<Omit<ScriptedOptions, "instanceId"> & { readonly id: string }>
  readonly settings?: Partial<ServerSettings>
  /** Where the database is; a directory of the scenario's own when absent. */
  readonly directory?: string
  /** Stands between the server and its providers. */
  readonly around?: (provider: Provider) => Provider
  /** Each scenario fails on an error in the server's log, unless it provokes one. */
  readonly mayLogErrors?: boolean
}

/** A thread as a client sees it. */
export interface View extends Snapshot {
  readonly turn: (id: string) => TurnRow
  readonly messages: ReadonlyArray<MessageEntry>
  readonly items: ReadonlyArray<ItemEntry>
}

type Bare = ThreadCommand extends infer C
  ? C extends ThreadCommand
    ? Omit<C, "commandId" | "threadId">
    : never
  : never

export type Services =
  | Layer.Success<ReturnType<typeof coreLayer>>
  | Layer.Success<ReturnType<typeof storeLayer>>

export interface App {
  readonly database: string
  /** The hand on a provider; after a restart with new providers, on the new one. */
  readonly control: (id?: string) => Control
  /** A service of the server that runs now. */
  readonly use: <A, E, R extends Services | Scope.Scope>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E>
  /** Sends a command with an id of its own, or with this one. */
  readonly dispatch: (
    command: Bare,
    to?: ThreadId,
    commandId?: string
  ) => Effect.Effect<Committed, DispatchFailure>
  /** Sends a message; the first of a thread makes the thread. */
  readonly say: (
    turn: string,
    text: string,
    more?: Partial<Omit<Extract<ThreadCommand, { type: "thread.turn.start" }>, "threadId">> & {
      readonly to?: ThreadId
    }
  ) => Effect.Effect<Committed, DispatchFailure>
  readonly view: (of?: ThreadId) => Effect.Effect<View>
  /** Resolves with the first moment of the tables that fits. */
  readonly until: (fits: (view: View) => boolean, of?: ThreadId) => Effect.Effect<View>
  /** As `until`, while time passes, second by second. */
  readonly passUntil: (fits: (view: View) => boolean, of?: ThreadId) => Effect.Effect<View>
  /** Everything in the thread's log. */
  readonly log: (of?: ThreadId) => Effect.Effect<ReadonlyArray<ThreadRecord>>
  /**
   * The server is killed: from this moment it commits nothing, and its end tells nobody anything. Then a
   * new one starts on the same database. The provider dies with the first server, and a new one reads its
   * record; or it outlives the server and works on.
   */
  readonly crash: (provider: "dies" | "lives") => Effect.Effect<void>
  /** As `crash`, in two steps. */
  readonly kill: (provider: "dies" | "lives") => Effect.Effect<void>
  readonly boot: Effect.Effect<void>
  /** Time passes, in one step. */
  readonly sleepThrough: (time: Duration.Input) => Effect.Effect<void>
  /** The server's wall clock jumps; nothing else does. */
  readonly jump: (milliseconds: number) => Effect.Effect<void>
  /** Every prompt that a provider ever took, by its record: from before a crash, too. */
  readonly recorded: (id: string) => Effect.Effect<ReadonlyArray<string>>
  /**
   * What goes wrong at the n-th commit from now on: the power goes off before it, or right behind it, when the
   * database has it and nobody has heard of it; or the disk has no room for it. Resolves when that has happened.
   */
  readonly failAt: (commit: number, how: Failure) => Effect.Effect<void>
  /** The server is stopped in order and started again. */
  readonly restart: Effect.Effect<void>
}

export const scenario = (
  name: string,
  body: (app: App) => Effect.Effect<void, unknown, Scope.Scope>,
  options: Options = {}
) =>
  it.effect(
    name,
    () => scenarioOn(options, body),
    // The machine may be slow; that alone is no failure.
    20_000
  )

/** A scenario as an effect: the server, what happens to it, and the laws at its end. */
export const scenarioOn = (
  options: Options,
  body: (app: App) => Effect.Effect<void, unknown, Scope.Scope>
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const app = yield* make(options)
    yield* body(app)
    yield* app.use(heldLaws(app.database))
  }).pipe(Effect.scoped)

export type Failure = "power off before" | "power off after" | "disk full"

interface Power {
  on: boolean
  fuse: { left: number; readonly how: Failure; readonly blown: Deferred.Deferred<void> } | null
}

interface Running {
  readonly power: Power
  readonly scope: Scope.Closeable
  readonly context: Context.Context<Services>
}

const make = (options: Options): Effect.Effect<App, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = options.directory ?? (yield* temporaryDirectory)
    const database = join(directory, "turnkeeper.db")
    const wanted = options.providers ?? [{ id: "scripted" }]
    const settings: ServerSettings = { ...defaults, gatherMs: 0, ...options.settings }
    const providers = new Map<string, Scripted>()
    const newProviders = () => {
      for (const { id, ...more } of wanted) {
        const instanceId = ProviderInstanceId.make(id)
        providers.set(
          id,
          makeScripted({ instanceId, tickMs: 0, recordDirectory: join(directory, id), ...more })
        )
      }
    }
    const errors: Array<unknown> = []
    const wall = { offset: 0 }
    const clock = yield* Effect.clockWith((inner) => Effect.succeed(shifted(inner, wall)))
    let running: Running | null = null
    let commands = 0

    const control = (id = wanted[0]!.id) => providers.get(id)!.control

    const boot = Effect.gen(function* () {
      const power: Power = { on: true, fuse: null }
      const scope = yield* Scope.make()
      const layer = coreLayer(
        [...providers.values()].map(({ provider }) => options.around?.(provider) ?? provider)
      ).pipe(
        Layer.provideMerge(mortal(power)),
        Layer.provideMerge(storeLayer(database)),
        Layer.provide(Layer.mergeAll(Layer.succeed(Settings, settings), Layer.succeed(Clock.Clock, clock))),
        Layer.provide(errorsTo(errors, power))
      )
      const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope)
      running = { power, scope, context }
      yield* Effect.provide(beforeListening, context)
    }).pipe(Effect.orDie)

    const use: App["use"] = (effect) =>
      Effect.suspend(() => Effect.scoped(Effect.provideContext(effect, running!.context) as never))

    const end = Effect.suspend(() => {
      const last = running
      running = null
      if (last === null) return Effect.void
      last.power.fuse = null
      return Scope.close(last.scope, Exit.void)
    })

    const kill: App["kill"] = (provider) =>
      Effect.gen(function* () {
        running!.power.on = false
        for (const { control } of providers.values()) {
          if (provider === "dies") yield* control.crash(undefined, "The machine took everything down.")
          else control.outlive(true)
        }
        yield* end
        for (const { control } of providers.values()) control.outlive(false)
        if (provider === "dies") newProviders()
      })

    const dispatch: App["dispatch"] = (command, to = thread, commandId) =>
      Effect.suspend(() => {
        commands += 1
        const whole = { ...command, threadId: to, commandId: commandId ?? `command-${commands}` } as Command
        return use(Effect.flatMap(Engine, (engine) => engine.dispatch(whole, "test")))
      })

    const say: App["say"] = (turn, text, { to = thread, commandId, ...more } = {}) =>
      Effect.gen(function* () {
        const snapshot = use(Effect.flatMap(ThreadView, ({ snapshot }) => snapshot(to)))
        const known = (yield* asOnlooker(snapshot)) !== null
        const createThread = {
          projectId: project,
          title: "A thread",
          provider: ProviderInstanceId.make(wanted[0]!.id)
        }
        const command = {
          type: "thread.turn.start",
          turnId: turn,
          messageId: `${turn}-message`,
          text,
          ...(!known && { createThread }),
          ...more
        } as Bare
        return yield* dispatch(command, to, commandId)
      }).pipe(Effect.catchTag("StorageUnavailable", (error) => Effect.fail<DispatchFailure>(error)))

    const view: App["view"] = (of = thread) =>
      use(Effect.flatMap(ThreadView, ({ snapshot }) => snapshot(of, 500))).pipe(
        asOnlooker,
        Effect.orDie,
        Effect.flatMap((found) =>
          found === null ? Effect.die(new Error(`There is no thread ${of}`)) : Effect.succeed(seen(found))
        )
      )

    const until: App["until"] = (fits, of = thread) =>
      use(
        Effect.gen(function* () {
          const news = yield* Effect.flatMap(Feed, (feed) => feed.thread(of))
          const view = yield* ThreadView
          for (;;) {
            const now = yield* Effect.orDie(view.snapshot(of, 500))
            if (now !== null && fits(seen(now))) return seen(now)
            yield* news.take
          }
        })
      ).pipe(
        asOnlooker,
        inTime(() => view(of))
      )

    const passUntil: App["passUntil"] = (fits, of) =>
      Effect.raceFirst(until(fits, of), Effect.forever(Effect.andThen(TestClock.adjust("1 second"), quietly)))

    const log: App["log"] = (of = thread) =>
      use(
        Effect.gen(function* () {
          const sql = yield* Reader
          const page = yield* readStream(sql, threadStream(of), 0, { rows: 100_000, bytes: 1e9 })
          return page.records as ReadonlyArray<ThreadRecord>
        })
      ).pipe(asOnlooker, Effect.orDie)

    newProviders()
    yield* boot
    yield* Effect.addFinalizer(() => end)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (options.mayLogErrors !== true) assert.deepStrictEqual(errors, [], "The server logged errors")
      })
    )
    yield* use(
      Effect.flatMap(Engine, (engine) =>
        engine.dispatch(
          {
            type: "project.create",
            commandId: "make-project",
            projectId: project,
            title: "P",
            directory
          } as never,
          "test"
        )
      )
    )
    return {
      database,
      control,
      use,
      dispatch,
      say,
      view,
      until,
      passUntil,
      log,
      kill,
      boot,
      failAt: (commit, how) =>
        Effect.suspend(() => {
          const blown = Deferred.makeUnsafe<void>()
          running!.power.fuse = { left: commit, how, blown }
          return Deferred.await(blown)
        }),
      sleepThrough: (time) => TestClock.adjust(time),
      jump: (milliseconds) => Effect.sync(() => void (wall.offset += milliseconds)),
      recorded: (id) => Effect.sync(() => readReceived(join(directory, id)).map(({ text }) => text)),
      crash: (provider) => Effect.andThen(kill(provider), boot),
      restart: Effect.andThen(end, boot)
    }
  })

// Reading

/** Set while a scenario itself reads the tables: what it does to the storage is meant for the server. */
export const Onlooker = Context.Reference<boolean>("test/Onlooker", { defaultValue: () => false })
const asOnlooker = Effect.provideService(Onlooker, true)

/** Whoever looks, whenever: L2 and L5 hold. */
const seen = (snapshot: Snapshot): View => {
  const { session, turns, entries, requests } = snapshot
  const running = turns.filter(({ state }) => state === "running").map(({ turnId }) => turnId)
  assert.deepStrictEqual(running, session.activeTurnId === null ? [] : [session.activeTurnId], "L1, L2")
  assert.strictEqual(session.status === "running", session.activeTurnId !== null, "L2")
  const settled = new Set(turns.filter(({ settledAt }) => settledAt !== null).map(({ turnId }) => turnId))
  const open = [...entries.filter(({ status }) => status === "open"), ...requests]
  assert.deepStrictEqual(
    open.filter(({ turnId }) => turnId !== null && settled.has(turnId)),
    [],
    "L5"
  )
  return viewOf(snapshot)
}

const viewOf = (snapshot: Snapshot): View => ({
  ...snapshot,
  turn: (id) => {
    const found = snapshot.turns.find((turn) => turn.turnId === id)
    if (found === undefined) throw new Error(`There is no turn ${id} in ${JSON.stringify(snapshot.turns)}`)
    return found
  },
  messages: snapshot.entries.filter((entry) => entry.type === "message"),
  items: snapshot.entries.filter((entry) => entry.type === "item")
})

const isOpenState = (state: string) => ["queued", "sending", "running"].includes(state)

export const isSettled = (turn: string) => (view: View) =>
  view.turns.some(({ turnId, state }) => turnId === turn && !isOpenState(state))

export const isIn = (turn: string, state: TurnRow["state"]) => (view: View) =>
  view.turns.some((row) => row.turnId === turn && row.state === state)

/** The texts of the assistant in the turn, in order. */
export const answers = (view: View, turn: string) =>
  view.messages
    .filter((message) => message.turnId === turn && message.role === "assistant")
    .map(({ status, text }) => ({ status, text }))

export const textsOf = (received: ReadonlyArray<Received>) => received.map(({ text }) => text)

// Ending a server

/** The connection that writes, until the power is off. */
const mortal = (power: Power) =>
  Layer.effect(
    Writer,
    Effect.map(Writer, (sql) => {
      const transact: Writer["Service"]["transact"] = (body) =>
        Effect.suspend(() => (power.on ? fused(power, () => sql.transact(body)) : dead))
      return new Proxy(sql, {
        apply: (target, self, args) => {
          const statement = () => Reflect.apply(target, self, args)
          return !power.on ? dead : isCommit(args) ? fused(power, statement) : statement()
        },
        get: (target, name, receiver) =>
          name === "transact" ? transact : (Reflect.get(target, name, receiver) as unknown)
      })
    })
  )

const dead = Effect.die(new Error("The process was killed"))

const isCommit = ([parts]: ReadonlyArray<unknown>) => Array.isArray(parts) && parts[0] === "COMMIT"

/** The commit, or what the fuse says instead. */
const fused = <A, E>(power: Power, commit: () => Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  Effect.gen(function* () {
    const { fuse } = power
    if (fuse === null || --fuse.left > 0) return yield* commit()
    power.fuse = null
    if (fuse.how === "power off after") yield* commit()
    power.on = fuse.how === "disk full"
    Deferred.doneUnsafe(fuse.blown, Exit.void)
    return yield* power.on ? Effect.fail(diskFull) : dead
  })

/** As SQLite tells it. */
const diskFull = new SqlError({
  reason: new UnknownError({ cause: Object.assign(new Error("database or disk is full"), { errcode: 13 }) })
})

/** What a dead process would have logged is nobody's. */
const errorsTo = (errors: Array<unknown>, power: { readonly on: boolean }) =>
  Layer.mergeAll(
    Logger.layer([
      Logger.make(({ logLevel, message, cause }) => {
        if (power.on && (logLevel === "Error" || logLevel === "Fatal")) errors.push([message, String(cause)])
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "Error")
  )

// Waiting

/** A scenario that waits for what never comes says what it saw instead. By the real clock: this is no part of it. */
const inTime =
  (view: () => Effect.Effect<View>) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.raceFirst(
      effect,
      Effect.gen(function* () {
        yield* TestClock.withLive(Effect.sleep("8 seconds"))
        const { session, turns, requests } = yield* view()
        throw new Error(`Waited in vain. ${JSON.stringify({ session, turns, requests }, null, 1)}`)
      })
    )

/** Lets everybody who can go on do so. */
export const quietly: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 20 })
