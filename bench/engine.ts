/** The real engine over a real database, with a provider of the benchmark's and a turn running in each thread. */
import { CommandId, MessageId, ProjectId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { Engine } from "@turnkeeper/server/engine/Engine"
import { Mailboxes } from "@turnkeeper/server/engine/Mailboxes"
import type { Rebuild } from "@turnkeeper/server/maintenance/Rebuild"
import type { ThreadView } from "@turnkeeper/server/projection/ThreadView"
import { HeavyReads } from "@turnkeeper/server/reads/HeavyReads"
import * as Listen from "@turnkeeper/server/rpc/Listen"
import { Token } from "@turnkeeper/server/rpc/Token"
import { coreLayer, storeLayer } from "@turnkeeper/server/server"
import { defaults, Settings } from "@turnkeeper/server/Settings"
import type { ServerSettings } from "@turnkeeper/server/Settings"
import { Effect, Layer, Redacted, References } from "effect"
import { makeRecording, recorded } from "./raw.ts"
import type { Recording } from "./raw.ts"
import { instanceId } from "./speaker.ts"

export interface RunOptions {
  readonly database: string
  readonly provider: Provider
  readonly settings?: Partial<ServerSettings>
}

/** Everything of the server but the door, with what it writes taken down. */
export const running = <A, E>(
  options: RunOptions,
  work: (recording: Recording) => Effect.Effect<A, E, Engine | Mailboxes | Rebuild | ThreadView>
): Promise<A> => {
  const recorder = makeRecording()
  const store = Layer.provideMerge(recorded(recorder), storeLayer(options.database))
  return work(recorder).pipe(
    Effect.provide(Layer.provideMerge(coreLayer([options.provider]), store)),
    Effect.provideService(Settings, { ...defaults, ...options.settings }),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.provideService(References.LogToStderr, true),
    Effect.runPromise
  )
}

/** The same in this process with its door open to real sockets: what its providers say can be timed here. */
export const listening = <A, E>(
  options: RunOptions,
  work: (address: Address) => Effect.Effect<A, E, Engine | Mailboxes>
): Promise<A> => {
  const token = "a-token-of-the-benchmarks"
  const core = Layer.provideMerge(coreLayer([options.provider]), storeLayer(options.database))
  return Effect.flatMap(Listen.url, (url) => work({ url, token })).pipe(
    Effect.provide(
      Listen.layer({ host: "127.0.0.1", port: 0, site: null }).pipe(
        Layer.provide([Token.layerFrom(Redacted.make(token)), HeavyReads.layer(options.database)]),
        Layer.provideMerge(core)
      )
    ),
    Effect.provideService(Settings, { ...defaults, ...options.settings }),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.provideService(References.LogToStderr, true),
    Effect.runPromise
  )
}

/** Where a client finds the server. */
export interface Address {
  readonly url: string
  readonly token: string
}

export const threadIds = (count: number): ReadonlyArray<ThreadId> =>
  Array.from({ length: count }, (_, n) => ThreadId.make(`thread-${n + 1}`))

/** Makes the threads, each with a turn that its provider has taken. */
export const withRunningTurns = Effect.fnUntraced(function* (threads: ReadonlyArray<ThreadId>) {
  const { dispatch } = yield* Engine
  const projectId = ProjectId.make("project")
  yield* dispatch(
    {
      type: "project.create",
      commandId: CommandId.make("project"),
      projectId,
      title: "Project",
      directory: "/tmp"
    },
    "bench"
  )
  yield* Effect.forEach(
    threads,
    (threadId) =>
      dispatch(
        {
          type: "thread.turn.start",
          commandId: CommandId.make(`begin-${threadId}`),
          threadId,
          turnId: TurnId.make("turn"),
          messageId: MessageId.make("prompt"),
          text: "Please make the tests pass.",
          createThread: { projectId, title: "Thread", provider: instanceId }
        },
        "bench"
      ),
    { discard: true, concurrency: "unbounded" }
  )
  yield* untilAll(threads, ({ session }) => session.status === "running", 5)
})

/** Resolves when every thread's committed state fits. */
export const untilAll = Effect.fnUntraced(function* (
  threads: ReadonlyArray<ThreadId>,
  fits: (state: ThreadState) => boolean,
  everyMs: number
) {
  const mailboxes = yield* Mailboxes
  const boxes = yield* Effect.forEach(threads, (threadId) => mailboxes.of(threadId))
  const all = Effect.sync(() => boxes.every((box) => fits(box.current().state)))
  while (!(yield* all)) yield* Effect.sleep(everyMs)
})
