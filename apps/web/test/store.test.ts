/** What a browser keeps for itself. */
import { describe, expect, it } from "vitest"
import { isUnread } from "../src/store/browser.ts"
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
  it("is what happened since one has looked, and nothing from before this browser came", () => {
    const row = { threadId: "t", lastActivityAt: 10 }
    expect(isUnread(row, {}, null)).toBe(false)
    expect(isUnread(row, {}, 10)).toBe(false)
    expect(isUnread(row, {}, 9)).toBe(true)
    expect(isUnread(row, { t: 10 }, 0)).toBe(false)
  })
})

describe("the address", () => {
  it("names a thread with any id, and comes back from it", () => {
    for (const threadId of ["a", "a/b#c:@.-_", "1"]) {
      expect(parseRoute(hashOf({ page: "thread", threadId }))).toEqual({ page: "thread", threadId })
    }
    expect(parseRoute("")).toEqual({ page: "new", projectId: null })
    expect(parseRoute("#/new/p")).toEqual({ page: "new", projectId: "p" })
    expect(parseRoute("#/thread/%E0%A4%A")).toEqual({ page: "new", projectId: null })
  })
})
