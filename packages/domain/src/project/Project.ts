/** A project: a directory that threads belong to. Small enough that its whole rule is this file. */
import { Result, Schema } from "effect"
import { CommandId, ProjectId } from "../ids.ts"

const title = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(500))
/** Absolute path. */
const directory = Schema.String.check(Schema.isPattern(/^(\/|[A-Za-z]:[\\/])/), Schema.isMaxLength(4096))

const command = <const Type extends string, const Fields extends Schema.Struct.Fields>(
  type: Type,
  fields: Fields
) => Schema.Struct({ type: Schema.tag(type), commandId: CommandId, projectId: ProjectId, ...fields })

export const ProjectCommand = Schema.Union([
  command("project.create", { title, directory }),
  command("project.update", { title: Schema.optionalKey(title), directory: Schema.optionalKey(directory) }),
  command("project.delete", {})
]).pipe(Schema.toTaggedUnion("type"))
export type ProjectCommand = typeof ProjectCommand.Type

export const ProjectEvent = Schema.Union([
  Schema.Struct({ type: Schema.tag("project.created"), title: Schema.String, directory: Schema.String }),
  Schema.Struct({
    type: Schema.tag("project.updated"),
    title: Schema.optionalKey(Schema.String),
    directory: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({ type: Schema.tag("project.deleted") })
]).pipe(Schema.toTaggedUnion("type"))
export type ProjectEvent = typeof ProjectEvent.Type

export interface ProjectState {
  readonly project: { readonly title: string; readonly directory: string } | null
  readonly deleted: boolean
}
export const initial: ProjectState = { project: null, deleted: false }

export class ProjectNotFound extends Schema.TaggedError<ProjectNotFound>()("ProjectNotFound", {
  projectId: ProjectId
}) {}
export class ProjectAlreadyExists extends Schema.TaggedError<ProjectAlreadyExists>()("ProjectAlreadyExists", {
  projectId: ProjectId
}) {}
/** Threads still belong to it. */
export class ProjectNotEmpty extends Schema.TaggedError<ProjectNotEmpty>()("ProjectNotEmpty", {
  projectId: ProjectId
}) {}
export const ProjectRejection = Schema.Union([ProjectNotFound, ProjectAlreadyExists, ProjectNotEmpty])
export type ProjectRejection = typeof ProjectRejection.Type

export const decide = (
  command: ProjectCommand,
  state: ProjectState,
  facts: { readonly hasThreads: boolean }
): Result.Result<ReadonlyArray<ProjectEvent>, ProjectRejection> => {
  const { projectId } = command
  if (command.type === "project.create") {
    if (state.project !== null) return Result.fail(new ProjectAlreadyExists({ projectId }))
    return Result.succeed([{ type: "project.created", title: command.title, directory: command.directory }])
  }
  if (state.project === null || state.deleted) return Result.fail(new ProjectNotFound({ projectId }))
  if (command.type === "project.delete") {
    if (facts.hasThreads) return Result.fail(new ProjectNotEmpty({ projectId }))
    return Result.succeed([{ type: "project.deleted" }])
  }
  const { title, directory } = command
  return Result.succeed([
    {
      type: "project.updated",
      ...(title !== undefined && { title }),
      ...(directory !== undefined && { directory })
    }
  ])
}

export const evolve = (state: ProjectState, event: ProjectEvent): ProjectState => {
  switch (event.type) {
    case "project.created":
      return { project: { title: event.title, directory: event.directory }, deleted: false }
    case "project.updated":
      return state.project === null
        ? state
        : {
            ...state,
            project: {
              title: event.title ?? state.project.title,
              directory: event.directory ?? state.project.directory
            }
          }
    case "project.deleted":
      return { ...state, deleted: true }
  }
}
