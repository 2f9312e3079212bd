/** `turnkeeper rebuild` and `verify` as people meet them: with a server at work, and without one. */
import { scopeOfCall } from "@turnkeeper/contracts/Access"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeProgress } from "../../src/cli/progress.ts"

const main = join(import.meta.dirname, "../../src/main.ts")
const children = new Set<ChildProcess>()
let data: string

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, TURNKEEPER_HOME: data },
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  const heard = { stdout: "", stderr: "" }
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      heard.stdout += chunk.toString()
      if (heard.stdout.includes("ready")) resolve()
    })
  })
  child.stderr.on("data", (chunk: Buffer) => (heard.stderr += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
  return { child, heard, ready, ended }
}

const finished = async (...args: ReadonlyArray<string>) => {
  const { ended, heard } = start(...args)
  return { code: await ended, ...heard }
}

const serve = async () => {
  const file = join(data, "providers.json")
  writeFileSync(file, JSON.stringify({ providers: [{ id: "scripted", kind: "scripted", tickMs: 5 }] }))
  const server = start("serve", "--port", "0", "--json", "--provider-config", file)
  await Promise.race([server.ready, server.ended])
  return server
}

/** A change of the tables that the log says nothing of. */
const damage = () => {
  const database = new DatabaseSync(join(data, "turnkeeper.db"))
  database.exec("PRAGMA busy_timeout = 5000; UPDATE messages SET reason = 'damaged'")
  database.close()
}

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-rebuild-"))
})
afterEach(async () => {
  for (const child of children) {
    const ended = new Promise((resolve) => child.once("close", resolve))
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL")
      await ended
    }
  }
  children.clear()
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

describe("turnkeeper rebuild", () => {
  it("E6, L15: asks the server that works on the directory, which works on; without one it does it itself", async () => {
    const server = await serve()
    assert.strictEqual((await finished("send", "hello")).code, 0)
    damage()
    const wrong = await finished("verify")
    assert.strictEqual(wrong.code, 1)
    assert.include(wrong.stdout, "messages: ")

    const asked = await finished("rebuild", "--json")
    assert.deepStrictEqual([asked.code, asked.stderr], [0, ""])
    const { events, unreadable } = JSON.parse(asked.stdout) as { events: number; unreadable: number }
    assert.isAbove(events, 5)
    assert.strictEqual(unreadable, 0)
    assert.strictEqual((await finished("verify")).code, 0)
    assert.strictEqual((await finished("send", "hello again")).code, 0)

    server.child.kill("SIGTERM")
    assert.strictEqual(await server.ended, 0)
    damage()
    const alone = await finished("rebuild")
    assert.strictEqual(alone.code, 0)
    assert.match(alone.stdout, /^\d+ events, 0 unreadable\n$/)
    const right = await finished("verify")
    assert.include(right.stdout, "The tables are what the log says.")
    assert.deepStrictEqual(
      readdirSync(data).filter((name) => name.startsWith("verify-")),
      []
    )
  }, 120_000)
})

describe("the call behind it", () => {
  it("is its owner's alone", () => assert.strictEqual(scopeOfCall("maintenance.rebuild"), "admin"))
})

describe("the progress of long work", () => {
  it("is one line that a person sees, written over and taken away", () => {
    const written: Array<string> = []
    const { end, show } = makeProgress({ isTTY: true, write: (text) => written.push(text) }, { quiet: false })
    show("reading", 0)
    show("reading", 0)
    show("reading", 0.5)
    show("reading", 7)
    end()
    end()
    assert.deepStrictEqual(written, [
      `\r${"░".repeat(24)}   0 %  reading\u001b[K`,
      `\r${"█".repeat(12)}${"░".repeat(12)}  50 %  reading\u001b[K`,
      `\r${"█".repeat(24)} 100 %  reading\u001b[K`,
      "\r\u001b[K"
    ])
  })

  it("is nothing where no person looks on, and where programs read", () => {
    for (const [isTTY, quiet] of [
      [false, false],
      [true, true]
    ] as const) {
      const written: Array<string> = []
      const { end, show } = makeProgress({ isTTY, write: (text) => written.push(text) }, { quiet })
      show("reading", 0.5)
      end()
      assert.deepStrictEqual(written, [])
    }
  })
})
