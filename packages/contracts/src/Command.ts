/** Everything that `orchestration.dispatch` takes. */
import { ProjectCommand } from "@turnkeeper/domain/project/Project"
import { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import { Schema } from "effect"

export const Command = Schema.Union([...ThreadCommand.members, ...ProjectCommand.members]).pipe(
  Schema.toTaggedUnion("type")
)
export type Command = typeof Command.Type

export const isProjectCommand = (command: Command): command is ProjectCommand =>
  "projectId" in command && !("threadId" in command)

/** The command is committed: `version` of its stream, `sequence` in the whole log. */
export const Accepted = Schema.Struct({
  status: Schema.Literal("accepted"),
  sequence: Schema.Int,
  version: Schema.Int
})
export type Accepted = typeof Accepted.Type
