/** `/metrics`: what it tells of the threads, to whom, and what it does not read. */
import { describe, expect, it, layer } from "@effect/vitest"
import { paths } from "@turnkeeper/contracts/Discovery"
import { initial } from "@turnkeeper/domain/thread/State"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { Effect, Stream } from "effect"
import { countsOf } from "../../src/http/Metrics.ts"
import { bearer, client, commandOf, get, server } from "../rpc/harness.ts"
import { ask } from "./harness.ts"

const figures = Effect.map(ask("GET", paths.metrics, { headers: bearer }), ({ text }) => {
  const found = new Map<string, number>()
  for (const line of text.split("\n")) {
    const match = /^(turnkeeper_[^ ]+) ([^ ]+)$/.exec(line)
    if (match !== null) found.set(match[1] ?? "", Number(match[2]))
  }
  return found
})

const create = { type: "project.create", commandId: "c1", projectId: "p", title: "P", directory: "/home/me" }
const start = (name: string) => ({
  type: "thread.turn.start",
  commandId: `start-${name}`,
  threadId: name,
  turnId: `turn-${name}`,
  messageId: `message-${name}`,
  text: "Hello",
  createThread: { projectId: "p", title: "T", provider: "scripted" }
})

layer(server())("the metrics", (it) => {
  it.effect("need a credential", () =>
    Effect.gen(function* () {
      expect((yield* get(paths.metrics)).status).toBe(401)
      const answer = yield* ask("GET", paths.metrics, { headers: bearer })
      expect(answer.status).toBe(200)
      expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8")
      expect(answer.text).toContain("# TYPE turnkeeper_stuck_turns gauge")
    })
  )

  it.effect("count what is open, what is owed and who is connected", () =>
    Effect.gen(function* () {
      const before = yield* figures
      expect(before.get('turnkeeper_open_turns{state="queued"}')).toBe(0)
      const connected = yield* client
      yield* connected["orchestration.dispatch"]({ command: commandOf(create) })
      for (const name of ["a", "b"]) {
        yield* connected["orchestration.dispatch"]({ command: commandOf(start(name)) })
      }
      const followed = connected["orchestration.subscribeShell"]({})
      const during = yield* Stream.runHead(Stream.mapEffect(followed, () => figures))
      const open = during._tag === "Some" ? during.value : new Map<string, number>()
      expect(open.get('turnkeeper_open_turns{state="queued"}')).toBe(2)
      // Nobody here starts sessions, so both stay owed, and nothing is stuck.
      expect(open.get("turnkeeper_pending_effects")).toBe(2)
      expect(open.get("turnkeeper_stuck_turns")).toBe(0)
      expect(open.get("turnkeeper_connections")).toBe(1)
      expect(open.get("turnkeeper_subscriptions")).toBe(1)
      expect(open.get("turnkeeper_commit_waiting")).toBe(0)
      expect(open.get('turnkeeper_memory_bytes{kind="rss"}')).toBeGreaterThan(1_000_000)
      const first = open.get("turnkeeper_oldest_pending_effect_seconds") ?? Number.NaN
      const later = (yield* figures).get("turnkeeper_oldest_pending_effect_seconds") ?? Number.NaN
      expect(later).toBeGreaterThan(first)
    })
  )
})

describe("a turn", () => {
  it("that nothing is owed to and no session has is counted as stuck", () => {
    const turn = { id: "t", state: "running", interrupt: null } as never
    const left: ThreadState = { ...initial, turns: [turn] }
    expect(countsOf(left)).toMatchObject({ running: 1, stuck: 1, effects: [] })
    const open: ThreadState = { ...left, session: { ...initial.session, open: true } }
    expect(countsOf(open)).toMatchObject({ stuck: 0, sessions: 1 })
  })
})
