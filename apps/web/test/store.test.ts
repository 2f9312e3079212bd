/** What a browser keeps for itself. */
import { describe, expect, it } from "vitest"
import { isUnread, makeBrowserStore, markFirstVisit, markSeen } from "../src/store/browser.ts"
import { hashOf, parseRoute } from "../src/store/route.ts"
import { recordOf, stored, withEntry } from "../src/store/stored.ts"
import type { TextStorage } from "../src/store/stored.ts"

const memory = (): TextStorage & { readonly all: Map<string, string> } => {
  const all = new Map<string, string>()
  return {
    all,
    getItem: (key) => all.get(key) ?? null,
    setItem: (key, value) => void all.set(key, value),
    removeItem: (key) => void all.delete(key)
  }
}
const isText = (value: unknown): value is string => typeof value === "string"

describe("what is kept", () => {
  it("is there for the next page, and tells its listeners once per change", () => {
    const storage = memory()
    const store = stored("drafts", recordOf(isText), storage)
    let told = 0
    store.subscribe(() => (told += 1))
    store.set(withEntry(store.get(), "a", "text", 10))
    store.set(store.get())
    expect(told).toBe(1)
    expect(stored("drafts", recordOf(isText), storage).get()).toEqual({ a: "text" })
  })

  it("is bounded: the oldest falls out, an entry that is written again is the newest", () => {
    let record: Readonly<Record<string, string>> = {}
    for (const key of ["a", "b", "c", "a", "d"]) record = withEntry(record, key, key, 3)
    expect(Object.keys(record)).toEqual(["c", "a", "d"])
    expect(withEntry(record, "a", null, 3)).toEqual({ c: "c", d: "d" })
  })

  it("does no harm when somebody else has written it, or when nothing can be written", () => {
    const storage = memory()
    storage.all.set("turnkeeper.web.x", "{ not json")
    expect(stored("x", recordOf(isText), storage).get()).toEqual({})
    storage.all.set("turnkeeper.web.x", '{"a":1,"b":"text"}')
    expect(stored("x", recordOf(isText), storage).get()).toEqual({ b: "text" })
    const full: TextStorage = {
      ...memory(),
      setItem: () => {
        throw new Error("full")
      }
    }
    const store = stored("x", recordOf(isText), full)
    store.set({ a: "kept for this page" })
    expect(store.get()).toEqual({ a: "kept for this page" })
  })
})

describe("unread", () => {
  const row = (lastActivityAt: number, latestTurn: object | null) =>
    ({ threadId: "t", lastActivityAt, latestTurn }) as never
  const turn = (turnId: string, state: string) => ({ turnId, state, delivered: null })
  const ended = row(10, turn("a", "completed"))

  it("is a turn that came further since one has looked, and nothing from before this browser came", () => {
    expect(isUnread(ended, {}, null)).toBe(false)
    expect(isUnread(ended, {}, 10)).toBe(false)
    expect(isUnread(ended, {}, 9)).toBe(true)
    expect(isUnread(ended, { t: "a running" }, 0)).toBe(true)
    expect(isUnread(row(10, null), {}, 0)).toBe(false)
  })

  it("is not a session that is closed afterwards, also of a thread from before this browser came", () => {
    const store = makeBrowserStore()
    markFirstVisit(store, [ended])
    const later = row(99, turn("a", "completed"))
    expect(isUnread(later, store.seen.get(), store.seenBefore.get())).toBe(false)
    const next = row(100, turn("b", "completed"))
    expect(isUnread(next, store.seen.get(), store.seenBefore.get())).toBe(true)
    markSeen(store, next)
    expect(isUnread(next, store.seen.get(), store.seenBefore.get())).toBe(false)
    // Another visit is no first one.
    markFirstVisit(store, [row(200, turn("c", "completed"))])
    expect(store.seenBefore.get()).toBe(10)
  })
})

describe("the address", () => {
  it("names a thread with any id, and comes back from it", () => {
    for (const threadId of ["a", "a/b#c:@.-_", "1"]) {
      for (const at of [null, 0, 4711]) {
        const route = { page: "thread", threadId, at } as const
        expect(parseRoute(hashOf(route))).toEqual(route)
      }
    }
    expect(parseRoute("")).toEqual({ page: "new", projectId: null })
    expect(parseRoute("#/new/p")).toEqual({ page: "new", projectId: "p" })
    expect(parseRoute("#/thread/%E0%A4%A")).toEqual({ page: "new", projectId: null })
  })
})
