/** Pages that deleting has freed go back to the file system, a few at a time. */
import { Effect } from "effect"
import { pragma } from "../store/Sqlite.ts"
import type { Writer } from "../store/Sqlite.ts"

/** Free pages are the next commits' room: so many stay. */
const reserve = 1_000
/** Pages of one step. */
const stepPages = 250

/** How many pages went back; 0 where there is nothing to give, or the file was made without the means to. */
export const vacuumStep = Effect.fnUntraced(function* (sql: Writer["Service"]) {
  const before = yield* freePages(sql)
  if (before <= reserve) return 0
  yield* pragma(sql, `incremental_vacuum(${Math.min(stepPages, before - reserve)})`)
  return before - (yield* freePages(sql))
})

const freePages = (sql: Writer["Service"]) =>
  Effect.map(pragma(sql, "freelist_count"), ([row]) => {
    const count = (row as { readonly freelist_count?: unknown } | undefined)?.freelist_count
    return typeof count === "number" ? count : 0
  })
