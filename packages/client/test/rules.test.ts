/** The rules of the outbox and the stores, as plain functions. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { delayOf, reconnecting } from "../src/backoff.ts"
import type { OutboxEntry } from "../src/index.ts"
import { localStorageOutbox, until } from "../src/index.ts"
import { sendable } from "../src/order.ts"
import { makeStore } from "../src/Readable.ts"

const entry = (commandId: string, command: object, change: Partial<OutboxEntry> = {}): OutboxEntry => ({
  commandId,
  command: { commandId, ...command } as OutboxEntry["command"],
  createdAt: 0,
  epoch: "e",
  state: "waiting",
  failure: null,
  ...change
})
const rename = (id: string, threadId: string, change?: Partial<OutboxEntry>) =>
  entry(id, { type: "thread.update", threadId, title: id }, change)
const first = (id: string, threadId: string, projectId: string) =>
  entry(id, { type: "thread.turn.start", threadId, createThread: { projectId } })
const project = (id: string, projectId: string) => entry(id, { type: "project.create", projectId })

const ids = (entries: ReadonlyArray<OutboxEntry>, saved = entries.map((one) => one.commandId)) =>
  sendable(entries, "e", new Set(saved)).map((one) => one.commandId)

describe("what may be sent", () => {
  it("is the first of each thread, and nothing behind one that is on its way", () => {
    expect(ids([rename("1", "a"), rename("2", "a"), rename("3", "b")])).toEqual(["1", "3"])
    expect(ids([rename("1", "a", { state: "sending" }), rename("2", "a"), rename("3", "b")])).toEqual(["3"])
  })

  it("waits for the project that it needs", () => {
    expect(ids([project("1", "p"), first("2", "a", "p"), first("3", "b", "q")])).toEqual(["1", "3"])
  })

  it("goes round what was refused or belongs to another database, and waits until it is stored", () => {
    expect(ids([rename("1", "a", { state: "refused" }), rename("2", "a")])).toEqual(["2"])
    expect(ids([rename("1", "a", { epoch: "other" }), rename("2", "a")])).toEqual(["2"])
    expect(ids([rename("1", "a"), rename("2", "a"), rename("3", "b")], ["2", "3"])).toEqual(["3"])
  })
})

describe("the wait between two tries", () => {
  it("grows up to its bound and differs between clients", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
        const delay = delayOf(reconnecting, attempt, chance)
        expect(delay).toBeGreaterThanOrEqual(reconnecting.firstMillis / 2)
        expect(delay).toBeLessThanOrEqual(reconnecting.mostMillis)
      })
    )
    expect(delayOf(reconnecting, 3, 0)).toBe(1_000)
    expect(delayOf(reconnecting, 3, 1)).toBe(2_000)
  })
})

describe("a store", () => {
  it("tells only of another value, and each subscriber until it has had enough", () => {
    const store = makeStore(1)
    const told: Array<number> = []
    const listener = () => told.push(store.get())
    const [one, two] = [store.subscribe(listener), store.subscribe(listener)]
    store.set(1)
    store.set(2)
    one()
    one()
    store.set(3)
    two()
    store.set(4)
    expect(told).toEqual([2, 2, 3])
  })

  it("is waited on until a state, or until the wait is given up", async () => {
    const store = makeStore(1)
    const wanted = until(store, (value) => value === 3)
    store.set(2)
    store.set(3)
    expect(await wanted).toBe(3)
    const given = new AbortController()
    const never = until(store, (value) => value === 9, given.signal)
    given.abort(new Error("enough"))
    await expect(never).rejects.toThrow("enough")
  })
})

describe("the outbox in a browser's storage", () => {
  const storage = () => {
    const items = new Map<string, string>()
    return {
      items,
      get length() {
        return items.size
      },
      key: (index: number) => [...items.keys()][index] ?? null,
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key)
    }
  }
  const stored = (commandId: string, createdAt: number) => ({
    command: { type: "thread.archive", threadId: "t", commandId } as const,
    createdAt,
    epoch: null,
    refused: null
  })

  it("has one key per command, so that two tabs keep what both have written", () => {
    const shared = storage()
    const [one, other] = [localStorageOutbox("s", shared), localStorageOutbox("s", shared)]
    void one.save(stored("b", 2))
    void other.save(stored("a", 1))
    void localStorageOutbox("elsewhere", shared).save(stored("c", 3))
    shared.setItem("turnkeeper.outbox.s.broken", "{")
    expect(one.load()).toEqual([stored("a", 1), stored("b", 2)])
    void other.remove("b")
    expect(one.load()).toEqual([stored("a", 1)])
  })
})
