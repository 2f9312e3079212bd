/** What this browser remembers, each with its bound. */
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import { recordOf, stored, withEntry } from "./stored.ts"
import type { Stored } from "./stored.ts"

const isText = (value: unknown): value is string => typeof value === "string"
const isNumber = (value: unknown): value is number => typeof value === "number"
const isTrue = (value: unknown): value is true => value === true

export type Theme = "system" | "light" | "dark"

export interface BrowserStore {
  readonly theme: Stored<Theme>
  /** What is typed and not sent, by thread; `new` is the page without one. */
  readonly drafts: Stored<Readonly<Record<string, string>>>
  /** How far each thread was when it was last looked at, as `markOf` says it. */
  readonly seen: Stored<Readonly<Record<string, string>>>
  /** What was last active before it counts as looked at: set when this browser comes for the first time. */
  readonly seenBefore: Stored<number | null>
  /** Turns of unknown delivery that the user has discarded. */
  readonly discarded: Stored<Readonly<Record<string, true>>>
  /** Choices for the next new thread. */
  readonly choices: Stored<Choices>
  readonly folded: Stored<Readonly<Record<string, true>>>
  /** Whether the system's notifications were asked for. */
  readonly notifies: Stored<boolean>
}

export interface Choices {
  readonly projectId: string | null
  readonly provider: string | null
  readonly runtimeMode: string | null
}

const bounds = { drafts: 200, seen: 2_000, discarded: 500, folded: 500 } as const

export const makeBrowserStore = (): BrowserStore => ({
  theme: stored("theme", (found): Theme => (found === "light" || found === "dark" ? found : "system")),
  drafts: stored("drafts", recordOf(isText)),
  seen: stored("seenTurns", recordOf(isText)),
  seenBefore: stored("seenSince", (found) => (isNumber(found) ? found : null)),
  discarded: stored("discarded", recordOf(isTrue)),
  choices: stored("choices", (found): Choices => {
    const { projectId, provider, runtimeMode } = recordOf(isText)(found)
    return { projectId: projectId ?? null, provider: provider ?? null, runtimeMode: runtimeMode ?? null }
  }),
  folded: stored("folded", recordOf(isTrue)),
  notifies: stored("notifies", (found) => found === true)
})

export const setDraft = (store: BrowserStore, place: string, text: string) =>
  store.drafts.set(withEntry(store.drafts.get(), place, text === "" ? null : text, bounds.drafts))

type Line = Pick<ThreadRow, "threadId" | "lastActivityAt" | "latestTurn">

/** The newest turn and how it is: a session that is closed behind it is nothing new to read. */
const markOf = ({ latestTurn }: Line): string =>
  latestTurn === null ? "" : `${latestTurn.turnId} ${latestTurn.state}`

export const markSeen = (store: BrowserStore, row: Line) => {
  const mark = markOf(row)
  if (store.seen.get()[row.threadId] === mark) return
  store.seen.set(withEntry(store.seen.get(), row.threadId, mark, bounds.seen))
}

/** What was there before this browser came counts as looked at. `rows`: the latest active first. */
export const markFirstVisit = (store: BrowserStore, rows: ReadonlyArray<Line>) => {
  if (store.seenBefore.get() !== null) return
  const newest = rows.slice(0, bounds.seen).toReversed()
  store.seen.set(Object.fromEntries(newest.map((row) => [row.threadId, markOf(row)])))
  store.seenBefore.set(Math.max(0, ...rows.map((row) => row.lastActivityAt)))
}

export const discard = (store: BrowserStore, turnId: string) =>
  store.discarded.set(withEntry(store.discarded.get(), turnId, true, bounds.discarded))

export const toggleFolded = (store: BrowserStore, name: string) =>
  store.folded.set(
    withEntry(store.folded.get(), name, store.folded.get()[name] === true ? null : true, bounds.folded)
  )

/** Its newest turn has come further since it was last looked at here. */
export const isUnread = (
  row: Line,
  seen: Readonly<Record<string, string>>,
  seenBefore: number | null
): boolean =>
  seenBefore !== null &&
  row.lastActivityAt > seenBefore &&
  row.latestTurn !== null &&
  seen[row.threadId] !== markOf(row)
