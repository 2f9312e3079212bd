/** Opens a generation of a thread's session on its provider. */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Fault } from "@turnkeeper/domain/runtime/Fault"
import type { OwedOf } from "@turnkeeper/domain/thread/Owed"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { OpenOptions } from "@turnkeeper/provider-kit/Provider"
import { Effect, Result, Schedule } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Means, Performed, Performer } from "./Performer.ts"

export const startSession: Performer<"session.start"> = ({ threadId, owed, state }, means) =>
  Effect.gen(function* () {
    const { generation } = owed
    const provider = means.registry.get(owed.provider)
    if (provider === undefined) {
      return failed(generation, {
        reason: "NotInstalled",
        message: `No provider named "${owed.provider}" is configured on this server`
      })
    }
    // What is left of an earlier generation ends first: two of them must never work on one conversation.
    yield* means.sessions.gone(threadId, generation)
    const cwd = yield* directoryOf(threadId, state, means)
    if (cwd === null) {
      return failed(generation, {
        reason: "Rejected",
        message: "The thread's project directory is not known"
      })
    }
    const options = optionsOf(threadId, owed, state, cwd)
    const open = (wanted: OpenOptions) =>
      called(means.sessions.open(provider, wanted), means.settings.openMs, "Starting the provider").pipe(
        Effect.tap((tried) =>
          Result.isFailure(tried) ? means.sessions.close(threadId, generation) : Effect.void
        )
      )
    let opened = yield* open(options)
    // The provider no longer has the conversation: the thread goes on in a new one, and the user is told (B12).
    const forgotten =
      options.resume !== null && Result.isFailure(opened) && opened.failure.reason === "SessionGone"
    if (forgotten) opened = yield* open({ ...options, resume: null })
    if (Result.isFailure(opened)) return failed(generation, opened.failure)
    const { resume } = opened.success
    const notice = forgotten ? contextLost : opened.success.notice
    return outcome(
      { type: "start.ok", generation, resume, ...(notice !== null && { notice }) },
      // Its words are read only when its start is committed, so that none of them comes too early.
      means.sessions.listen(threadId, generation)
    )
  })

const contextLost =
  "The provider no longer has this conversation. It starts anew, without what was said before."

const failed = (generation: number, fault: Fault): Performed =>
  outcome({ type: "start.failed", generation, fault })

/** Where the provider works; null where that is not known. */
export const directoryOf = (threadId: ThreadId, state: ThreadState, { projects }: Pick<Means, "projects">) =>
  Effect.suspend(() => {
    const { info } = state
    if (info === null || info.cwd !== null) return Effect.succeed(info?.cwd ?? null)
    return projects.byIds([info.projectId]).pipe(
      Effect.map((found) => found[0]?.directory ?? null),
      // A disk that fails for a moment is no reason to fail the turn.
      Effect.retry({ times: 5, schedule: Schedule.spaced("200 millis") }),
      Effect.catch((error) =>
        Effect.as(Effect.logError(`The project of thread ${threadId} could not be read`, error), null)
      )
    )
  })

export const optionsOf = (
  threadId: ThreadId,
  owed: Pick<OwedOf<"session.start">, "generation" | "turnId" | "resume">,
  state: ThreadState,
  cwd: string
): OpenOptions => {
  const turn = state.turns.find((open) => open.id === owed.turnId)
  return {
    threadId,
    generation: owed.generation,
    cwd,
    model: turn?.model ?? state.info?.model ?? null,
    runtimeMode: turn?.runtimeMode ?? state.info?.runtimeMode ?? "approval_required",
    interactionMode: turn?.interactionMode ?? state.info?.interactionMode ?? "default",
    resume: owed.resume?.cursor ?? null
  }
}
