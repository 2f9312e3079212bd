/** Projects: one row each, which is also the whole state of a project. */
import { ProjectRow } from "@turnkeeper/contracts/Rows"
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { Millis, ProjectId } from "@turnkeeper/domain/ids"
import type { ProjectState } from "@turnkeeper/domain/project/Project"
import { Context, Effect, Layer } from "effect"
import type { ProjectRecord } from "../engine/Change.ts"
import type { Cells } from "../store/rows.ts"
import { insertInto, overRows, rowReader } from "../store/rows.ts"
import { Reader } from "../store/Sqlite.ts"
import { unavailable } from "../store/storageFault.ts"
import type { Batch, Projection } from "./Batch.ts"

export class Projects extends Context.Service<
  Projects,
  {
    /** Every project that is not deleted, oldest first. */
    readonly all: Effect.Effect<ReadonlyArray<ProjectRow>, StorageUnavailable>
    /** Those of `ids` that exist and are not deleted; the rest is left out. */
    readonly byIds: (
      ids: ReadonlyArray<ProjectId>
    ) => Effect.Effect<ReadonlyArray<ProjectRow>, StorageUnavailable>
    /** The state to decide on, and its version; null where there never was such a project. */
    readonly load: (id: ProjectId) => Effect.Effect<LoadedProject | null, StorageUnavailable>
    /** Whether a thread that is not deleted belongs to it. */
    readonly hasThreads: (id: ProjectId) => Effect.Effect<boolean, StorageUnavailable>
  }
>()("server/projection/Projects") {
  static readonly layer = Layer.effect(
    Projects,
    Effect.gen(function* () {
      const sql = yield* Reader
      const columns = sql.literal(
        `project_id AS projectId, title, directory, created_at AS createdAt, updated_at AS updatedAt`
      )
      return Projects.of({
        all: sql`SELECT ${columns} FROM projects WHERE deleted_at IS NULL ORDER BY created_at, project_id`.pipe(
          Effect.flatMap(read),
          unavailable
        ),
        byIds: (ids) =>
          sql`SELECT ${columns} FROM projects
            WHERE project_id IN (SELECT value FROM json_each(${JSON.stringify(ids)})) AND deleted_at IS NULL`.pipe(
            Effect.flatMap(read),
            unavailable
          ),
        load: (id) =>
          sql<StoredProject>`SELECT title, directory, deleted_at, version FROM projects WHERE project_id = ${id}`.pipe(
            Effect.map(([row]) => (row === undefined ? null : loaded(row))),
            unavailable
          ),
        hasThreads: (id) =>
          sql`SELECT 1 FROM threads WHERE project_id = ${id} AND deleted_at IS NULL LIMIT 1`.pipe(
            Effect.map((rows) => rows.length > 0),
            unavailable
          )
      })
    })
  )
}

export interface LoadedProject {
  readonly state: ProjectState
  readonly version: number
}

export const projection: Projection = {
  table: "projects",
  writes: (batch) => {
    const { created, changed } = rowsOf(batch)
    return [
      { statement: insert, rows: created },
      { statement: update, rows: changed }
    ]
  }
}

const insert = insertInto("projects", [
  "project_id",
  "title",
  "directory",
  "created_at",
  "updated_at",
  "deleted_at",
  "version"
])

const update = overRows(
  6,
  (values, named) => `UPDATE ${named("projects")} SET
    title = coalesce(v.column2, title),
    directory = coalesce(v.column3, directory),
    updated_at = v.column4,
    deleted_at = coalesce(v.column5, deleted_at),
    version = v.column6
  FROM ${values} AS v WHERE project_id = v.column1`
)

interface ProjectPatch {
  createdAt: Millis | null
  title: string | null
  directory: string | null
  deletedAt: Millis | null
  last: ProjectRecord
}

const rowsOf = ({ projects }: Batch): { created: ReadonlyArray<Cells>; changed: ReadonlyArray<Cells> } => {
  const patches = new Map<ProjectId, ProjectPatch>()
  for (const record of projects) patches.set(record.projectId, patched(patches.get(record.projectId), record))
  const created: Array<Cells> = []
  const changed: Array<Cells> = []
  for (const [id, { createdAt, title, directory, deletedAt, last }] of patches) {
    if (createdAt === null) changed.push([id, title, directory, last.at, deletedAt, last.version])
    else created.push([id, title, directory, createdAt, last.at, deletedAt, last.version])
  }
  return { created, changed }
}

const patched = (before: ProjectPatch | undefined, record: ProjectRecord): ProjectPatch => {
  const patch = before ?? { createdAt: null, title: null, directory: null, deletedAt: null, last: record }
  const { event, at } = record
  switch (event.type) {
    case "project.created":
      return { ...patch, createdAt: at, title: event.title, directory: event.directory, last: record }
    case "project.updated":
      return {
        ...patch,
        title: event.title ?? patch.title,
        directory: event.directory ?? patch.directory,
        last: record
      }
    case "project.deleted":
      return { ...patch, deletedAt: at, last: record }
  }
}

interface StoredProject {
  readonly title: string
  readonly directory: string
  readonly deleted_at: Millis | null
  readonly version: number
}

const loaded = (row: StoredProject): LoadedProject => ({
  state: { project: { title: row.title, directory: row.directory }, deleted: row.deleted_at !== null },
  version: row.version
})

const read = rowReader("projects", ProjectRow)
