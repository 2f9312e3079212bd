/** What this browser remembers, each with its bound. */
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
  /** When each thread was last looked at, by the server's clock of its last activity. */
  readonly seen: Stored<Readonly<Record<string, number>>>
  /** What lies before it counts as looked at: set when this browser comes for the first time. */
  readonly seenBefore: Stored<number | null>
  /** Turns of unknown delivery that the user has discarded. */
  readonly discarded: Stored<Readonly<Record<string, true>>>
  /** Choices for the next new thread. */
  readonly choices: Stored<Choices>
  readonly folded: Stored<Readonly<Record<string, true>>>
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
  seen: stored("seen", recordOf(isNumber)),
  seenBefore: stored("seenBefore", (found) => (isNumber(found) ? found : null)),
  discarded: stored("discarded", recordOf(isTrue)),
  choices: stored("choices", (found): Choices => {
    const { projectId, provider, runtimeMode } = recordOf(isText)(found)
    return { projectId: projectId ?? null, provider: provider ?? null, runtimeMode: runtimeMode ?? null }
  }),
  folded: stored("folded", recordOf(isTrue))
})

export const setDraft = (store: BrowserStore, place: string, text: string) =>
  store.drafts.set(withEntry(store.drafts.get(), place, text === "" ? null : text, bounds.drafts))

export const markSeen = (store: BrowserStore, threadId: string, at: number) => {
  if ((store.seen.get()[threadId] ?? 0) >= at) return
  store.seen.set(withEntry(store.seen.get(), threadId, at, bounds.seen))
}

export const discard = (store: BrowserStore, turnId: string) =>
  store.discarded.set(withEntry(store.discarded.get(), turnId, true, bounds.discarded))

export const toggleFolded = (store: BrowserStore, name: string) =>
  store.folded.set(
    withEntry(store.folded.get(), name, store.folded.get()[name] === true ? null : true, bounds.folded)
  )

/** Something happened in the thread since it was last looked at here. */
export const isUnread = (
  row: { readonly threadId: string; readonly lastActivityAt: number },
  seen: Readonly<Record<string, number>>,
  seenBefore: number | null
): boolean => row.lastActivityAt > Math.max(seen[row.threadId] ?? 0, seenBefore ?? Infinity)
