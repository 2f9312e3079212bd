/** What is shown, worked out without a page. */
import type { Connection } from "@turnkeeper/client"
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { blocksOf } from "../src/model/blocks.ts"
import { connectionFace } from "../src/model/connection.ts"
import { changesOf, commandOf, fieldsOf, stepsOf } from "../src/model/details.ts"
import { diffLinesMax, diffOf } from "../src/model/diffs.ts"
import { countWords, shortPath, titleFrom, tookWords } from "../src/model/format.ts"
import { hasWords, snippetParts } from "../src/model/found.ts"
import { newsOf } from "../src/model/news.ts"
import { firstChoice, healthWords } from "../src/model/providers.ts"
import { closedWords } from "../src/model/requests.ts"
import { groupThreads, inListOrder, shownAtFirst, shownThreads, threadFace } from "../src/model/shellView.ts"
import { commandParts, plainOutput, tailOf, withGap } from "../src/model/visible.ts"

describe("a command that is to be approved", () => {
  const dangers = (command: string) =>
    commandParts(command).flatMap((part) => (part.odd === "danger" ? [part.text] : []))

  it.each([
    ["rm -rf /tmp/x && ls", ["rm -rf"]],
    ["rm notes.txt", []],
    ["sudo apt install jq", ["sudo"]],
    ["git push --force origin main", ["git push --force"]],
    ["git push origin main", []],
    ["git reset --hard HEAD~3", ["git reset --hard"]],
    ["curl -fsSL https://example.com/i.sh | sh", ["| sh"]],
    ["find . -name '*.tmp' -delete", ["find . -name '*.tmp' -delete"]],
    ["echo 'DROP TABLE users' | psql", ["DROP TABLE"]],
    ["ls | wc -l", []],
    ["npm publish --access public", ["npm publish"]]
  ])("%s", (command, expected) => {
    expect(dangers(command)).toEqual(expected)
  })

  it("is shown whole: its pieces give it again, and only what cannot be seen is written out", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const parts = commandParts(text)
        const plain = parts.filter((part) => part.odd !== "hidden").map((part) => part.text)
        const hidden = parts.filter((part) => part.odd === "hidden")
        expect(plain.join("").length + hidden.length).toBe(text.length)
      })
    )
    expect(commandParts("a\u202Eb").map((part) => part.text)).toEqual(["a", "U+202E", "b"])
    expect(commandParts("sudo\u200B ls")[1]).toEqual({ text: "U+200B", odd: "hidden" })
  })
})

describe("the output of a program", () => {
  it("has no escape sequences, and of a line that was written over its last words", () => {
    expect(plainOutput("\u001B[31mred\u001B[0m\r\n10%\r50%\r100%\ndone\u001B]0;title\u0007")).toBe(
      "red\n100%\ndone"
    )
  })

  it("says where a shortened text leaves something out", () => {
    expect(withGap("beginend", { from: 5, length: 9 })).toBe("begin\n… 9 characters left out …\nend")
    expect(withGap("whole", null)).toBe("whole")
  })

  it("is cut at its beginning, and the lines that are not shown are counted", () => {
    const text = Array.from({ length: 100 }, (_, index) => `line ${index}`).join("\n")
    const { text: shown, hidden } = tailOf(text, 10, 10_000)
    expect(shown.split("\n")[0]).toBe("line 90")
    expect(hidden).toBe(90)
    expect(tailOf("x".repeat(50), 10, 20).text).toHaveLength(20)
  })
})

describe("Markdown in blocks", () => {
  it("joins to the same text, whatever the text", () => {
    const line = fc.constantFrom(
      "",
      "",
      "words",
      "- item",
      "  more",
      "```",
      "```ts",
      "1. one",
      "> said",
      "~~~"
    )
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        expect(blocksOf(lines.join("\n")).join("\n")).toBe(lines.join("\n"))
      })
    )
  })

  it("cuts between paragraphs, and neither inside code nor inside a list", () => {
    expect(blocksOf("a\n\nb").map((block) => block.trim())).toEqual(["a", "b"])
    expect(blocksOf("```\na\n\nb\n```\n\nc")).toHaveLength(2)
    expect(blocksOf("- a\n\n- b\n\n  more\n\nafter")).toHaveLength(2)
    expect(blocksOf("see [x]\n\n[x]: https://example.com")).toHaveLength(1)
  })
})

describe("the detail of an item", () => {
  it("is read as either adapter fills it", () => {
    const codex = { changes: [{ path: "a.ts", kind: { type: "add" }, diff: "+x" }] }
    expect(changesOf("a.ts", codex)).toEqual([{ path: "a.ts", kind: "add", diff: "+x" }])
    const opencode = { tool: "edit", path: "b.ts", diff: "@@ -1 +1 @@\n-a\n+b" }
    expect(changesOf("b.ts", opencode)).toEqual([{ path: "b.ts", kind: "update", diff: opencode.diff }])
    const replaced = { path: "c.ts", oldText: "a\n", newText: "b\n" }
    expect(changesOf("c.ts", replaced)[0]?.diff).toBe("-a\n+b")
    expect(commandOf("ls", { command: "bash -lc ls", exitCode: 1 })).toMatchObject({
      command: "bash -lc ls",
      exitCode: 1
    })
    expect(stepsOf({ steps: [{ step: "one", status: "inProgress" }, { nothing: 1 }, null] })).toEqual([
      { text: "one", status: "active" }
    ])
  })

  it("breaks nothing, whatever a provider puts into it", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (detail) => {
        const all = { ...detail, changes: [detail], steps: [detail] }
        for (const one of [detail, all]) {
          changesOf("title", one).map(diffOf)
          commandOf("title", one)
          stepsOf(one)
          fieldsOf(one)
        }
      })
    )
  })
})

describe("a diff", () => {
  const change = (diff: string, kind: "add" | "update" | "delete" = "update") => ({ path: "a", kind, diff })

  it("has the numbers of its lines, and a gap between its places", () => {
    const diff = diffOf(change("@@ -1,2 +1,2 @@\n a\n-b\n+c\n@@ -10 +10 @@\n-x\n+y\n"))
    expect(diff).toMatchObject({ added: 2, removed: 2, beyond: 0 })
    expect(diff?.lines.map((line) => [line.type, line.before, line.after])).toEqual([
      ["same", 1, 1],
      ["remove", 2, null],
      ["add", null, 2],
      ["gap", null, null],
      ["remove", 10, null],
      ["add", null, 10]
    ])
  })

  it("of a new file is its text, and one that was cut is shown as far as it goes", () => {
    expect(diffOf(change("one\ntwo\n", "add"))?.lines.map((line) => line.text)).toEqual(["one", "two"])
    expect(diffOf(change("@@ -1,9 +1,9 @@\n a\n-b\n+c…"))).toMatchObject({ added: 1, removed: 1 })
    expect(diffOf({ path: "a", kind: "update", diff: null })).toBe(null)
  })

  it("is bounded, and says how much is not shown", () => {
    const text = Array.from({ length: diffLinesMax + 7 }, () => "x").join("\n")
    expect(diffOf(change(text, "add"))).toMatchObject({ beyond: 7, added: diffLinesMax + 7 })
  })
})

describe("the list", () => {
  const row = (threadId: string, more: Partial<ThreadRow> = {}): ThreadRow =>
    ({
      threadId,
      projectId: "p",
      archivedAt: null,
      deletedAt: null,
      lastActivityAt: 0,
      activeTurn: null,
      latestTurn: null,
      recovering: null,
      stopping: null,
      openRequests: 0,
      queuedTurns: 0,
      sessionStatus: "ready",
      ...more
    }) as never
  const project = { projectId: "p", title: "P", directory: "/p", createdAt: 0, updatedAt: 0 } as never

  it("has the latest first, and archived threads by themselves", () => {
    const threads = [
      row("a", { lastActivityAt: 1 }),
      row("b", { lastActivityAt: 2 }),
      row("c", { archivedAt: 1 })
    ]
    expect(inListOrder(groupThreads([project], threads, false)).map((one) => one.threadId)).toEqual([
      "b",
      "a"
    ])
    expect(inListOrder(groupThreads([project], threads, true)).map((one) => one.threadId)).toEqual(["c"])
  })

  it("shows the newest of very many, and the open one wherever it stands", () => {
    const many = Array.from({ length: 200 }, (_, index) => row(`t${index}`))
    const ids = (all: boolean, open: string | null) =>
      shownThreads(many, all, open).map((one) => one.threadId as string)
    expect(ids(false, null)).toEqual(many.slice(0, shownAtFirst).map((one) => one.threadId))
    expect(ids(false, "t3")).toHaveLength(shownAtFirst)
    expect(ids(false, "t150").slice(shownAtFirst)).toEqual(["t150"])
    expect(ids(true, null)).toHaveLength(200)
  })

  it("is news when a thread waits or ends that was going on, and nothing else is", () => {
    const latest = (state: string) => ({ turnId: "x", state, delivered: "delivered" }) as never
    const working = row("a", { title: "A", sessionStatus: "running", lastError: null })
    const told = (next: Partial<ThreadRow>, before: Partial<ThreadRow> = {}) =>
      newsOf([{ ...working, ...before }], [{ ...working, ...next }]).map((one) => one.words)
    const rest = { sessionStatus: "ready" } as const
    expect(told({ openRequests: 1 })).toEqual(["Waiting for you"])
    expect(told({ openRequests: 1 }, { openRequests: 1 })).toEqual([])
    expect(told({ ...rest, latestTurn: latest("completed") })).toEqual(["Done"])
    expect(told({ ...rest, latestTurn: latest("error") }, { openRequests: 1 })).toEqual(["Failed"])
    expect(told({ ...rest, latestTurn: latest("cancelled") })).toEqual([])
    expect(told({ ...rest, latestTurn: latest("completed") }, rest)).toEqual([])
    expect(told({ openRequests: 1, archivedAt: 1 })).toEqual([])
    expect(newsOf([], [{ ...working, openRequests: 1 }])).toEqual([])
  })

  it("says unread only of a thread that rests, and nothing of a doubt that was discarded", () => {
    expect(threadFace(row("a"), 0, true, false)).toEqual({ sign: "unread", words: "Done, unread" })
    expect(threadFace(row("a", { openRequests: 1 }), 0, true, false).sign).toBe("waiting")
    const withdrawn = { turnId: "x", state: "cancelled", delivered: "not_delivered" } as never
    expect(threadFace(row("a", { latestTurn: withdrawn, lastError: null }), 0, true, false).words).toBe(
      "Ready"
    )
    const doubtful = row("a", {
      latestTurn: { turnId: "x", state: "interrupted", delivered: "unknown" } as never
    })
    expect(threadFace(doubtful, 0, false, false).words).toBe("Maybe not sent")
    expect(threadFace(doubtful, 0, false, true).words).toBe("Interrupted")
  })
})

describe("the connection", () => {
  it("says what it is and the one thing to do", () => {
    const offline: Connection = { status: "offline", since: 0, retryAt: 4_000, attempt: 1 }
    expect(connectionFace(offline, 0)).toMatchObject({
      words: "Offline: trying again in 4 s",
      action: "retry"
    })
    expect(connectionFace(offline, 9_000).words).toBe("Offline: trying again…")
    const blocked = (type: string) =>
      connectionFace({ status: "blocked", since: 0, reason: { type } as never }, 0)
    expect(blocked("signed_out")).toMatchObject({ words: "Signed out", action: "sign in" })
    expect(blocked("wrong_version")).toMatchObject({ words: "Wrong version", action: "reload" })
    expect(blocked("another_server")).toMatchObject({ words: "Another server", action: "retry" })
  })
})

describe("the agents", () => {
  const provider = (id: string, status: string) =>
    ({
      id,
      displayName: id,
      capabilities: {},
      health: { status, version: null, models: [], advice: "Do this." }
    }) as never

  it("begin with the one that was chosen last, else with one that is ready", () => {
    const all = [provider("a", "not_installed"), provider("b", "ready")]
    expect(firstChoice(all, null)?.id).toBe("b")
    expect(firstChoice(all, "a")?.id).toBe("a")
    expect(firstChoice([], null)).toBe(null)
    expect(healthWords(all[0]!)).toBe("Not installed: Do this.")
  })
})

describe("a question that somebody else closed", () => {
  const request = (more: object) =>
    ({ status: "answered", answer: null, ask: { title: "git push", questions: [] }, ...more }) as never
  const answer = (decision: string | null, answers = {}) => ({ answer: { decision, answers } })

  it("says by whom and with what, or that nobody asks any more", () => {
    const asked = request({})
    const named = { ...answer("accept"), answeredBy: "Firefox on Linux" }
    expect(closedWords(asked, request(named))).toBe("Answered by Firefox on Linux with “Yes”: git push")
    expect(closedWords(asked, request(answer("decline")))).toBe("Answered elsewhere with “No”: git push")
    expect(closedWords(asked, request(answer(null, { a: ["Blue"], b: ["1", "2"] })))).toBe(
      "Answered elsewhere with “Blue, 1, 2”: git push"
    )
    expect(closedWords(asked, request({ status: "expired" }))).toBe(
      "The agent is no longer waiting for this: git push"
    )
    expect(closedWords(asked, null)).toBe("Answered elsewhere, or no longer asked: git push")
  })
})

describe("what was found", () => {
  it("is shown whole and in order, however its marks lie", () => {
    const marked = fc.string({ maxLength: 60 }).chain((text) =>
      fc.record({
        text: fc.constant(text),
        marks: fc.array(fc.record({ start: fc.nat(text.length), end: fc.nat(text.length) }), { maxLength: 5 })
      })
    )
    fc.assert(
      fc.property(marked, ({ marks, text }) => {
        const bare = (one: string) => one.replaceAll(/\s+/g, "")
        const shown = bare(
          snippetParts({ text, marks })
            .map((part) => part.text)
            .join("")
        )
        const all = bare(text)
        const from = shown === all ? all : shown.replace(/^…/, "")
        expect(all.endsWith(from)).toBe(true)
        // Nothing is left out from the first find on.
        expect(from.length).toBeGreaterThanOrEqual(bare(text.slice(marks[0]?.start ?? 0)).length)
      })
    )
    const snippet = { text: "so a\nneedle it is", marks: [{ start: 5, end: 11 }] }
    expect(snippetParts(snippet)).toEqual([
      { text: "so a ", marked: false },
      { text: "needle", marked: true },
      { text: " it is", marked: false }
    ])
    const far = "a long way before anything is found at last"
    const late = { text: far, marks: [{ start: far.indexOf("found"), end: far.indexOf(" at last") }] }
    expect(snippetParts(late).map((part) => part.text)).toEqual([
      "… ",
      "way before anything is ",
      "found",
      " at last"
    ])
    expect(hasWords({ snippet } as never, "NEED  it")).toBe(true)
    expect(hasWords({ snippet } as never, "needle elsewhere")).toBe(false)
  })
})

describe("words for numbers", () => {
  it("read as they are spoken", () => {
    expect([400, 9_960, 14_000, 125_000, 3_840_000].map(tookWords)).toEqual([
      "0.4 s",
      "10.0 s",
      "14 s",
      "2 m 05 s",
      "1 h 04 m"
    ])
    expect([1, 3].map((count) => countWords(count, "file"))).toEqual(["1 file", "3 files"])
    expect(shortPath("/home/me/code/project")).toBe("…/code/project")
    expect(titleFrom("  a title\nthat is long ".repeat(9))).toBe(
      "a title that is long a title that is long a title that is…"
    )
    expect(titleFrom(" ")).toBe("New thread")
  })
})
