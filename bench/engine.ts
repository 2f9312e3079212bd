/** The real engine over a real database, with a provider of the benchmark's and a turn running in each thread. */
import { CommandId, MessageId, ProjectId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { Engine } from "@turnkeeper/server/engine/Engine"
import { Mailboxes } from "@turnkeeper/server/engine/Mailboxes"
import { coreLayer, storeLayer } from "@turnkeeper/server/server"
import { defaults, Settings } from "@turnkeeper/server/Settings"
import type { ServerSettings } from "@turnkeeper/server/Settings"
import { Effect, Layer, References } from "effect"
import { makeRecording, recorded } from "./raw.ts"
import type { Recording } from "./raw.ts"
import { instanceId } from "./speaker.ts"

/** Everything of the server but the door, with what it writes taken down. */
export const running = <A, E>(
  options: {
    readonly database: string
    readonly provider: Provider
    readonly settings?: Partial<ServerSettings>
  },
  work: (recording: Recording) => Effect.Effect<A, E, Engine | Mailboxes>
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
