/**
 * One life of the server: the real core on the real database file.
 *
 * A crash is sudden. From that moment nothing that this life still does reaches the file, a provider or a
 * client, and its clock wakes nobody; what was not committed is gone with it. Nothing is closed in order.
 */
import type { Command } from "@turnkeeper/contracts/Command"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import type { Cursor, ShellCursor, ShellItem, ThreadItem } from "@turnkeeper/contracts/Streams"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import {
  Cause,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  References,
  Result,
  Scheduler,
  Scope,
  Stream
} from "effect"
import type { Context } from "effect"
import type { Committed } from "../../../../apps/server/src/engine/Change.ts"
import { Engine } from "../../../../apps/server/src/engine/Engine.ts"
import { Feed } from "../../../../apps/server/src/engine/Feed.ts"
import { Projects } from "../../../../apps/server/src/projection/Projects.ts"
import { Threads } from "../../../../apps/server/src/projection/Threads.ts"
import { ThreadView } from "../../../../apps/server/src/projection/ThreadView.ts"
import { shellSubscription } from "../../../../apps/server/src/rpc/ShellSubscription.ts"
import { threadSubscription } from "../../../../apps/server/src/rpc/ThreadSubscription.ts"
import { coreLayer, storeLayer } from "../../../../apps/server/src/server.ts"
import { defaults, Settings } from "../../../../apps/server/src/Settings.ts"
import { beforeListening } from "../../../../apps/server/src/startup.ts"
import { EventLog } from "../../../../apps/server/src/store/EventLog.ts"
import { Meta } from "../../../../apps/server/src/store/Meta.ts"
import { asBystander, isOfDisk } from "./Disk.ts"
import type { Loop } from "./Loop.ts"
import type { Rows } from "./Sidebar.ts"

export type Answered = Result.Result<Committed, DispatchFailure>

export interface Machine {
  readonly isAlive: () => boolean
  /** It was started up in full and takes commands. */
  readonly isListening: () => boolean
  /** Sends a command; tells the answer, unless the machine dies first. */
  readonly dispatch: (command: Command, told: (answer: Answered) => void) => void
  /** What a client's subscription brings, until it is cancelled or the machine dies. */
  readonly subscribe: (
    threadId: ThreadId,
    after: Cursor | null,
    told: (item: ThreadItem) => void,
    /** A read failed: the client has to come again. */
    broke: () => void
  ) => { readonly cancel: () => void }
  /** The same of the shell. */
  readonly subscribeShell: (
    after: ShellCursor | null,
    told: (item: ShellItem) => void,
    broke: () => void
  ) => { readonly cancel: () => void }
  /** What a client that comes now would be shown first; null where there is no such thread. */
  readonly snapshot: (threadId: ThreadId) => Promise<ThreadItem | null>
  /** The projects and threads that it would be shown. */
  readonly shell: () => Promise<Rows>
  readonly crash: () => void
  /** Ends in order; resolves when it has ended. Time has to pass meanwhile where it waits for somebody. */
  readonly stop: () => Promise<void>
}

export interface MachineOptions {
  readonly loop: Loop
  readonly database: string
  /** The providers as this life reaches them: through the given word whether it still lives. */
  readonly providers: (isAlive: () => boolean) => ReadonlyArray<Provider>
  readonly gatherMs: number
  /** What no run may bring: an error in the server's log, a command that ends in a defect. */
  readonly complain: (what: string) => void
}

type Services = Layer.Success<ReturnType<typeof coreLayer>> | Layer.Success<ReturnType<typeof storeLayer>>

export const start = ({ loop, database, providers, gatherMs, complain }: MachineOptions): Machine => {
  let alive = true
  let stopping = false
  let services: Context.Context<Services> | null = null
  const isAlive = () => alive
  const file = Scope.makeUnsafe()
  const work = Scope.makeUnsafe()

  const build = Effect.gen(function* () {
    const store = yield* Layer.buildWithMemoMap(storeLayer(database), Layer.makeMemoMapUnsafe(), file).pipe(
      // What closes the file keeps these bounds: a crash closes it in one go, and waits for nobody.
      Effect.provideService(Scheduler.MaxOpsBeforeYield, 2_048)
    )
    const core = coreLayer(providers(isAlive)).pipe(
      Layer.provideMerge(Layer.succeedContext(store)),
      Layer.provide(Layer.succeed(Settings, { ...defaults, gatherMs }))
    )
    const built = yield* Layer.buildWithMemoMap(core, Layer.makeMemoMapUnsafe(), work)
    yield* Effect.provide(beforeListening, built)
    services = built
  })

  const fork = <A, E>(effect: Effect.Effect<A, E>) =>
    loop.fork(Effect.provide(effect, errorsTo(isAlive, complain)), isAlive)

  const closeFile = () => void Effect.runSync(Scope.close(file, Exit.void))

  const followed = <A, E extends { readonly _tag: string }>(
    items: Effect.Effect<Stream.Stream<A, E>, never, Services>,
    told: (item: A) => void,
    broke: () => void
  ) => {
    const following = Effect.gen(function* () {
      yield* Stream.runForEach(yield* items, (item) => Effect.sync(() => alive && told(item)))
    })
    const fiber = fork(Effect.provideContext(Effect.scoped(following), services!))
    watch(fiber, (exit) => {
      if (!alive || Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
      const error = Cause.findError(exit.cause)
      if (Result.isSuccess(error) && error.success._tag === "ThreadNotFound") return
      if (!isOfDisk(exit.cause)) complain(`A subscription broke: ${Cause.pretty(exit.cause)}`)
      broke()
    })
    return { cancel: () => fiber.interruptUnsafe() }
  }

  /** A read of the simulation's own, when nobody can go on without time. */
  const looked = async <A, E>(read: Effect.Effect<A, E, Services>): Promise<A> => {
    const fiber = fork(asBystander(Effect.provideContext(read, services!)))
    await loop.settle()
    const exit = await Effect.runPromise(Fiber.await(fiber))
    if (Exit.isFailure(exit)) throw new Error(`It cannot be read: ${Cause.pretty(exit.cause)}`)
    return exit.value
  }

  watch(fork(build), (exit) => {
    // Told to end while it was starting, it ends without having started.
    if (alive && !stopping && Exit.isFailure(exit))
      complain(`The server did not start: ${Cause.pretty(exit.cause)}`)
  })

  return {
    isAlive,
    isListening: () => alive && !stopping && services !== null,
    dispatch: (command, told) => {
      const sent = Effect.flatMap(Engine, (engine) => engine.dispatch(command, "simulated"))
      watch(fork(Effect.provideContext(Effect.result(sent), services!)), (exit) => {
        if (!alive) return
        if (Exit.isSuccess(exit)) return told(exit.value)
        if (!Cause.hasInterruptsOnly(exit.cause))
          complain(`${command.type} broke: ${Cause.pretty(exit.cause)}`)
      })
    },
    subscribe: (threadId, after, told, broke) => {
      const input = { threadId, tail: 500, ...(after !== null && { after }) }
      const items = Effect.gen(function* () {
        const { epoch } = yield* Meta
        return threadSubscription({ epoch, feed: yield* Feed, view: yield* ThreadView }, input)
      })
      return followed(items, told, broke)
    },
    subscribeShell: (after, told, broke) => {
      const items = Effect.gen(function* () {
        const { epoch } = yield* Meta
        const [feed, projects, threads] = [yield* Feed, yield* Projects, yield* Threads]
        const source = { epoch, feed, projects, threads, log: yield* EventLog }
        return shellSubscription(source, after === null ? {} : { after })
      })
      return followed(items, told, broke)
    },
    snapshot: async (threadId) => {
      const found = await looked(Effect.flatMap(ThreadView, (view) => view.snapshot(threadId, 500)))
      return found === null ? null : { type: "snapshot", ...found }
    },
    shell: () =>
      looked(
        Effect.gen(function* () {
          const [projects, threads] = [yield* Projects, yield* Threads]
          return { projects: yield* projects.all, threads: yield* threads.all }
        })
      ),
    crash: () => {
      alive = false
      closeFile()
    },
    stop: async () => {
      const closing = fork(Scope.close(work, Exit.void))
      stopping = true
      services = null
      for (let waited = 0; closing.pollUnsafe() === undefined && waited < 120; waited++)
        await loop.pass(1_000)
      if (closing.pollUnsafe() === undefined) complain("The server did not end within two minutes")
      alive = false
      closeFile()
    }
  }
}

const watch = <A, E>(fiber: Fiber.Fiber<A, E>, ended: (exit: Exit.Exit<A, E>) => void) =>
  void fiber.addObserver(ended)

/** What a dead process would have logged is nobody's. */
const errorsTo = (isAlive: () => boolean, complain: (what: string) => void) =>
  Layer.mergeAll(
    Logger.layer([
      Logger.make(({ logLevel, message, cause }) => {
        if (logLevel !== "Error" && logLevel !== "Fatal") return
        if (isAlive() && !isOfDisk(cause) && !isOfDisk(message)) {
          complain(`The server logged: ${String(message)} ${Cause.pretty(cause)}`)
        }
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "Error")
  )
