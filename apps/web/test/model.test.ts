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
import { firstChoice, healthWords } from "../src/model/providers.ts"
import { groupThreads, inListOrder, threadFace } from "../src/model/shellView.ts"
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

  it("says unread only of a thread that rests, and nothing of a doubt that was discarded", () => {
    const never = () => false
    expect(threadFace(row("a"), 0, true, never)).toEqual({ sign: "unread", words: "Done, unread" })
    expect(threadFace(row("a", { openRequests: 1 }), 0, true, never).sign).toBe("waiting")
    const doubtful = row("a", {
      latestTurn: { turnId: "x", state: "interrupted", delivered: "unknown" } as never
    })
    expect(threadFace(doubtful, 0, false, never).words).toBe("Maybe not sent")
    expect(threadFace(doubtful, 0, false, () => true).words).toBe("Interrupted")
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
