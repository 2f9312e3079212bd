/**
 * Commands in, answers out: the way from a user's wish to its commit.
 *
 * L11: a command id is answered once. The answer is stored in the same commit as what the command caused;
 * a rejection is not stored, so that a retry that could succeed is decided anew (C4).
 */
import { isProjectCommand } from "@turnkeeper/contracts/Command"
import type { Command } from "@turnkeeper/contracts/Command"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import type { ProjectId } from "@turnkeeper/domain/ids"
import { decide, initial, ProjectNotFound } from "@turnkeeper/domain/project/Project"
import type { ProjectCommand } from "@turnkeeper/domain/project/Project"
import type { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import { Clock, Context, Effect, Layer, Result, Semaphore } from "effect"
import { createHash } from "node:crypto"
import { Projects } from "../projection/Projects.ts"
import type { Committed } from "./Change.ts"
import { Commit } from "./Commit.ts"
import { Mailboxes } from "./Mailboxes.ts"

export class Engine extends Context.Service<
  Engine,
  {
    /** Resolves after the commit. Safe to repeat with the same command id; the same id with another body is refused. */
    readonly dispatch: (command: Command, actor: string) => Effect.Effect<Committed, DispatchFailure>
  }
>()("server/engine/Engine") {
  static readonly layer = Layer.effect(
    Engine,
    Effect.gen(function* () {
      const commit = yield* Commit
      const mailboxes = yield* Mailboxes
      const projects = yield* Projects
      // Projects change rarely: one at a time, so that each is decided on what was committed before.
      const oneProject = yield* Semaphore.make(1)

      const ofThread = Effect.fn("Engine.thread")(function* (command: ThreadCommand, actor: string) {
        const project = projectOf(command)
        const receipt = { commandId: command.commandId, hash: hashOf(command) }
        if (project !== null && (yield* commit.receiptOf(command.commandId)) === null) {
          const found = yield* projects.byIds([project])
          if (found.length === 0) return yield* new ProjectNotFound({ projectId: project })
        }
        const mailbox = yield* mailboxes.of(command.threadId)
        return yield* mailbox.command(command, receipt, actor)
      })

      const ofProject = Effect.fn("Engine.project")(function* (command: ProjectCommand, actor: string) {
        const { projectId, commandId } = command
        const cause = { type: "command", commandId, actor } as const
        const receipt = { commandId, hash: hashOf(command) }
        const found = yield* projects.load(projectId)
        const expected = found?.version ?? 0
        const change = { stream: "project", projectId, expected, cause, receipt } as const
        const at = yield* Clock.currentTimeMillis
        if ((yield* commit.receiptOf(commandId)) !== null)
          return yield* commit.submit({ ...change, events: [], at })
        const hasThreads = yield* projects.hasThreads(projectId)
        const decision = decide(command, found?.state ?? initial, { hasThreads })
        if (Result.isFailure(decision)) return yield* Effect.fail(decision.failure)
        return yield* commit.submit({ ...change, events: decision.success, at })
      })

      return Engine.of({
        dispatch: (command, actor) =>
          isProjectCommand(command)
            ? ofProject(command, actor).pipe(
                oneProject.withPermit,
                // One process writes, and this path one at a time: a conflict is a broken promise of the store.
                Effect.catchTag("VersionConflict", Effect.die)
              )
            : ofThread(command as ThreadCommand, actor)
      })
    })
  )
}

/** The project that a command wants its new thread in. */
const projectOf = (command: ThreadCommand): ProjectId | null => {
  if (command.type === "thread.create") return command.projectId
  if (command.type === "thread.turn.start") return command.createThread?.projectId ?? null
  return null
}

/** Of the canonical form: the order in which a client wrote the fields makes no difference. */
export const hashOf = (command: Command): string =>
  createHash("sha256")
    .update(JSON.stringify(canonical(command)))
    .digest("hex")

const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, canonical(inner)])
  )
}
