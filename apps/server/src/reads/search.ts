/**
 * Looking for words in prompts and answers, on a connection of its own.
 *
 * Promises: what a user writes is words, never syntax; the newest is found first; each call looks at a bounded
 * number of messages and says where to go on; nothing of a deleted thread is found.
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite"

export interface SearchRequest {
  readonly query: string
  /** null: in every thread. */
  readonly threadId: string | null
  readonly limit: number
  /** Only what is older than this place of an earlier page; null: from the newest on. */
  readonly before: number | null
}

/** As `SearchHit` of the contracts, not checked yet. */
export interface Found {
  readonly snippet: Snippet
  readonly [column: string]: unknown
}

export interface FoundPage {
  readonly hits: ReadonlyArray<Found>
  readonly before: number | null
}

export interface Snippet {
  readonly text: string
  readonly marks: ReadonlyArray<{ readonly start: number; readonly end: number }>
}

/** `words`: of a query; `messages`: that one call looks at; `around`: words that a snippet shows. */
const bounds = { words: 16, messages: 2_000, around: 24 } as const

/**
 * Each word as a phrase of its own, so that nothing in it is an operator; the last may go on. Null: there is no
 * word in it.
 */
export const matchOf = (query: string): string | null => {
  const words = query
    .split(/[\s\0]+/u)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
    .slice(0, bounds.words)
  return words.length === 0 ? null : `${words.map((word) => `"${word.replaceAll('"', '""')}"`).join(" ")} *`
}

/** All at one moment of the database. */
export const search = (database: DatabaseSync, request: SearchRequest): FoundPage => {
  const match = matchOf(request.query)
  if (match === null) return { hits: [], before: null }
  database.exec("BEGIN")
  try {
    return pageOf(database, match, request)
  } finally {
    database.exec("ROLLBACK")
  }
}

const pageOf = (
  database: DatabaseSync,
  match: string,
  { before, limit, threadId }: SearchRequest
): FoundPage => {
  const all = (sql: string, ...cells: ReadonlyArray<SQLInputValue>) => database.prepare(sql).all(...cells)
  const ids = all(
    `SELECT rowid AS id FROM message_search WHERE message_search MATCH ? AND rowid < ?
      ORDER BY rowid DESC LIMIT ?`,
    match,
    before ?? Number.MAX_SAFE_INTEGER,
    bounds.messages
  ).map(idOf)
  const rows = all(
    `SELECT search_id AS id, messages.thread_id AS threadId, project_id AS projectId, title AS threadTitle,
        turn_id AS turnId, message_id AS entryId, position, role, completed_at AS at
      FROM json_each(?) JOIN messages ON search_id = value
      JOIN threads ON threads.thread_id = messages.thread_id
      WHERE deleted_at IS NULL AND (?2 IS NULL OR messages.thread_id = ?2)
      ORDER BY search_id DESC LIMIT ?`,
    JSON.stringify(ids),
    threadId,
    limit + 1
  )
  const shown = rows.slice(0, limit)
  const snippets = new Map(
    all(
      `SELECT rowid AS id, snippet(message_search, 0, ?, ?, '…', ?) AS snippet
        FROM message_search WHERE message_search MATCH ? AND rowid IN (SELECT value FROM json_each(?))`,
      open,
      close,
      bounds.around,
      match,
      JSON.stringify(shown.map(idOf))
    ).map((row) => [idOf(row), String(row["snippet"])])
  )
  return {
    hits: shown.map(({ id: _, ...row }, index) => ({
      ...row,
      snippet: marked(snippets.get(idOf(shown[index]!)) ?? "")
    })),
    before: rows.length > shown.length ? (shown.map(idOf).at(-1) ?? null) : goesOn(ids)
  }
}

const idOf = (row: Record<string, unknown>): number => Number(row["id"])

/** Where to go on when as many messages were looked at as one call may. */
const goesOn = (ids: ReadonlyArray<number>): number | null =>
  ids.length < bounds.messages ? null : (ids.at(-1) ?? null)

/** Control characters, so that they are hardly ever part of a message. */
const open = "\u0002"
const close = "\u0003"

const marked = (snippet: string): Snippet => {
  const [first = "", ...finds] = snippet.split(open)
  let text = first
  const marks = finds.map((find) => {
    const end = find.indexOf(close)
    const start = text.length
    text += find.replace(close, "")
    return { start, end: start + (end === -1 ? find.length : end) }
  })
  return { text, marks }
}
