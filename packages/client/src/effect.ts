/**
 * The client for programs that use Effect: the same stores, and effects where the other one has promises.
 * Everything ends with the scope.
 */
import type { ReadFailure } from "@turnkeeper/contracts/Errors"
import type { Accepted } from "@turnkeeper/contracts/Command"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect, Fiber, FiberSet, Queue, Stream } from "effect"
import type { Scope } from "effect"
import { callOver } from "./call.ts"
import type {
  AnyCommand,
  CallMethod,
  ConnectOptions,
  FailureOf,
  OutboxEntry,
  OutboxModel,
  PayloadOf,
  ResultOf
} from "./Client.ts"
import type { Connection } from "./Connection.ts"
import type { DispatchFailed, LinkFailure } from "./Errors.ts"
import { makeLink } from "./Link.ts"
import type { ProvidersModel, ShellModel, ThreadModel } from "./Models.ts"
import { newId } from "./newId.ts"
import { makeOutbox } from "./Outbox.ts"
import type { Encoded } from "./Kept.ts"
import { memoryOutbox } from "./OutboxStorage.ts"
import { makeProviders } from "./Providers.ts"
import type { Readable } from "./Readable.ts"
import { makeShell } from "./Shell.ts"
import { makeThread } from "./Thread.ts"
import { makeThreads } from "./Threads.ts"

export interface FollowedThread {
  readonly threadId: string
  readonly model: Readable<ThreadModel>
  /** Puts a page of older entries before the others. Done at once when there are none. */
  readonly loadOlder: Effect.Effect<void, LinkFailure | ReadFailure>
  /** Puts as many pages before the others as it takes to have the entry at this position, where there is one. */
  readonly loadBackTo: (position: number) => Effect.Effect<void, LinkFailure | ReadFailure>
}

export interface EffectClient {
  readonly connection: Readable<Connection>
  readonly shell: Readable<ShellModel>
  readonly providers: Readable<ProvidersModel>
  readonly outbox: Readable<OutboxModel>
  /** Followed until the scope closes. Who follows the same thread shares one subscription. */
  readonly thread: (threadId: string) => Effect.Effect<FollowedThread, never, Scope.Scope>
  /** What is known of a thread that somebody follows just now. */
  readonly known: (threadId: string) => ThreadModel | null
  /**
   * Succeeds once the server has committed it. A command that waits goes on even when the caller is
   * interrupted.
   */
  readonly dispatch: (command: AnyCommand) => Effect.Effect<Accepted, DispatchFailed>
  /** Takes a command out of the outbox; null when there is none, or it is on its way. */
  readonly take: (commandId: string) => Effect.Effect<OutboxEntry | null>
  readonly call: <Method extends CallMethod>(
    method: Method,
    payload: PayloadOf<Method>
  ) => Effect.Effect<ResultOf<Method>, FailureOf<Method> | LinkFailure>
  readonly refreshProviders: Effect.Effect<void, LinkFailure | ReadFailure>
  readonly retryNow: Effect.Effect<void>
}

/** Begins to connect and is done at once. */
export const make = Effect.fn("client.make")(function* (
  options: ConnectOptions
): Effect.fn.Return<EffectClient, never, Scope.Scope> {
  const link = yield* makeLink(options)
  const outbox = yield* makeOutbox(link, options.outbox ?? memoryOutbox())
  const fork = yield* FiberSet.makeRuntime<never, void, unknown>()
  const shell = makeShell(link)
  const providers = makeProviders(link)
  const threads = makeThreads(
    (threadId) => makeThread(link, outbox, threadId),
    (run) => {
      const fiber = fork(run)
      return () => void fork(Effect.asVoid(Fiber.interrupt(fiber)))
    }
  )

  const client: EffectClient = {
    connection: link.connection,
    shell: onFirstLook(shell.model, () => void fork(shell.run)),
    providers: onFirstLook(providers.model, () => void fork(providers.run)),
    outbox: outbox.model,
    thread: (threadId) =>
      Effect.acquireRelease(
        Effect.sync(() => threads.open(threadId as ThreadId)),
        ({ close }) => Effect.sync(close)
      ).pipe(
        Effect.map(({ thread }) => ({
          threadId,
          model: thread.model,
          loadOlder: thread.loadOlder,
          loadBackTo: thread.loadBackTo
        }))
      ),
    known: threads.known,
    dispatch: (command) => outbox.dispatch({ commandId: newId("command"), ...command } as Encoded),
    take: outbox.take,
    call: (method, payload) => callOver(link, method, payload),
    refreshProviders: providers.refresh,
    retryNow: Effect.sync(link.retryNow)
  }
  return client
})

/** Every value of a readable from now on, the newest first; those nobody had time for are left out. */
export const changes = <A>(readable: Readable<A>): Stream.Stream<A> =>
  Stream.callback<A>(
    (queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const tell = () => void Queue.offerUnsafe(queue, readable.get())
          const unsubscribe = readable.subscribe(tell)
          tell()
          return unsubscribe
        }),
        (unsubscribe) => Effect.sync(unsubscribe)
      ),
    { bufferSize: 1, strategy: "sliding" }
  )

/** What nobody looks at is not asked for. */
const onFirstLook = <A>(readable: Readable<A>, begin: () => void): Readable<A> => {
  let begun = false
  const look = () => {
    if (begun) return
    begun = true
    begin()
  }
  return {
    get: () => {
      look()
      return readable.get()
    },
    subscribe: (listener) => {
      look()
      return readable.subscribe(listener)
    }
  }
}
