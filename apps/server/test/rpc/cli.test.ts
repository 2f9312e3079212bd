/** The command line as people and scripts meet it: real processes, exit codes, what is printed where. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const main = join(import.meta.dirname, "../../src/main.ts")
const children = new Set<ChildProcess>()
let data: string

interface Run {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves when standard output or standard error holds the text. */
  readonly says: (text: string) => Promise<void>
  readonly exit: Promise<number | null>
}

const run = (...args: ReadonlyArray<string>): Run => {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, TURNKEEPER_HOME: data },
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  const heard = { stdout: "", stderr: "" }
  const listeners = new Set<() => void>()
  const hear = (name: "stdout" | "stderr") => (chunk: Buffer) => {
    heard[name] += chunk.toString()
    for (const listener of listeners) listener()
  }
  child.stdout?.on("data", hear("stdout"))
  child.stderr?.on("data", hear("stderr"))
  return {
    child,
    stdout: () => heard.stdout,
    stderr: () => heard.stderr,
    says: (text) =>
      new Promise((resolve, reject) => {
        const listener = () => {
          if (!heard.stdout.includes(text) && !heard.stderr.includes(text)) return
          listeners.delete(listener)
          resolve()
        }
        listeners.add(listener)
        child.once("close", () =>
          reject(new Error(`It ended without saying ${text}: ${heard.stdout}${heard.stderr}`))
        )
        listener()
      }),
    exit: new Promise((resolve) => child.once("close", resolve))
  }
}

const finished = async (...args: ReadonlyArray<string>) => {
  const { exit, stdout, stderr } = run(...args)
  const code = await exit
  return { code, stdout: stdout(), stderr: stderr() }
}

const jsonLines = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

const isUsage = (event: unknown): event is { readonly usage: Readonly<Record<string, number>> } =>
  typeof event === "object" && event !== null && "usage" in event

/** A server on the scripted provider alone, on any port. */
const serve = async () => {
  const file = join(data, "providers.json")
  writeFileSync(file, JSON.stringify({ providers: [{ id: "scripted", kind: "scripted", tickMs: 5 }] }))
  const server = run("serve", "--port", "0", "--json", "--provider-config", file)
  await server.says("ready")
  return server
}

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-cli-"))
})

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL")
  children.clear()
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

describe("turnkeeper serve", () => {
  it("says in one line of JSON where it answers, and ends with 0 on SIGTERM, leaving the directory free", async () => {
    const server = await serve()
    const [ready] = jsonLines(server.stdout())
    expect(ready).toMatchObject({ event: "ready", pid: server.child.pid, data })
    expect(JSON.parse(readFileSync(join(data, "lock"), "utf8"))).toMatchObject({ address: ready?.["url"] })
    expect(statSync(join(data, "token")).mode & 0o777).toBe(0o600)
    server.child.kill("SIGTERM")
    expect(await server.exit).toBe(0)
    expect(existsSync(join(data, "lock"))).toBe(false)
  })

  it("refuses a directory that another server works on, and names that server", async () => {
    const server = await serve()
    const { code, stderr } = await finished("serve", "--port", "0")
    expect(code).toBe(1)
    expect(stderr).toContain(`process ${server.child.pid}`)
    expect(stderr).toContain(String(jsonLines(server.stdout())[0]?.["url"]))
  })

  it("says that the port is taken, and what to do", async () => {
    const server = await serve()
    const { port } = new URL(String(jsonLines(server.stdout())[0]?.["url"]))
    const { code, stderr } = await finished("serve", "--port", port, "--data", join(data, "other"))
    expect(code).toBe(1)
    expect(stderr).toContain(`Port ${port} is taken`)
  })
})

describe("exit codes", () => {
  it("2: wrong usage", async () => {
    expect((await finished("dance")).code).toBe(2)
    expect((await finished("send")).code).toBe(2)
    expect((await finished("tail", "not an id")).code).toBe(2)
    expect((await finished("serve", "--port", "70000")).code).toBe(2)
  })

  it("3: nobody to connect to", async () => {
    const { code, stderr } = await finished("threads")
    expect(code).toBe(3)
    expect(stderr).toContain("turnkeeper serve")
  })

  it("3: the lock names a server that is gone", async () => {
    writeFileSync(
      join(data, "lock"),
      JSON.stringify({ pid: 1, startTime: null, address: "http://127.0.0.1:9" })
    )
    writeFileSync(join(data, "token"), "x".repeat(43))
    expect((await finished("status")).code).toBe(3)
  })

  it("4: the wrong token", async () => {
    await serve()
    writeFileSync(join(data, "token"), "x".repeat(43))
    const { code, stdout, stderr } = await finished("status")
    expect(code).toBe(4)
    expect(stdout + stderr).not.toContain("xxx")
  })

  it("5: refused by the rules, with the rule", async () => {
    await serve()
    const { code, stdout } = await finished("send", "--thread", "nowhere", "--json", "Hello")
    expect(code).toBe(5)
    expect(jsonLines(stdout)).toMatchObject([{ event: "failed", code: 5, rule: "ThreadNotFound" }])
  })
})

describe("turnkeeper send", () => {
  it("prints the answer and nothing else on standard output, and goes on in the same thread", async () => {
    await serve()
    const first = await finished("send", "[[text:It works.]]")
    expect(first).toMatchObject({ code: 0, stdout: "It works.\n" })
    expect(first.stderr).toMatch(/^Done · \d+ tokens in, \d+ out$/m)
    const thread = /--thread (\S+)/.exec(first.stderr)?.[1] ?? ""
    const second = await finished("send", "--thread", thread, "[[text:Still.]]")
    expect(second).toMatchObject({ code: 0, stdout: "Still.\n" })
    const { stdout } = await finished("threads", "--json")
    expect(jsonLines(stdout)).toMatchObject([{ threadId: thread, latestTurn: { state: "completed" } }])
    const status = await finished("status", "--json")
    expect(jsonLines(status.stdout)).toMatchObject([{ threads: 1, busy: 0, providers: [{ id: "scripted" }] }])
  })

  it("ends with 1 and the reason when the turn fails", async () => {
    await serve()
    const { code, stderr } = await finished("send", "[[fail:out of luck]]")
    expect(code).toBe(1)
    expect(stderr).toContain("Failed: out of luck")
    expect(stderr).not.toContain("tokens")
  })

  it("says what the turn has used, as the server counts it", async () => {
    await serve()
    const { stdout } = await finished("send", "--json", "[[text:It works.]]")
    const lines = jsonLines(stdout)
    const reported = lines.flatMap(({ event }) => (isUsage(event) ? [event.usage] : []))
    expect(reported).toMatchObject([{ inputTokens: expect.any(Number) }])
    expect(lines.at(-1)).toMatchObject({
      event: "settled",
      state: "completed",
      usage: {
        inputTokens: reported[0]?.inputTokens,
        outputTokens: reported[0]?.outputTokens,
        costMicroUsd: 0
      }
    })
  })

  it("answers approvals as it was told", async () => {
    await serve()
    const accepted = await finished("send", "--approve", "accept", "[[ask:git push]]")
    expect(accepted.stderr).toContain("git push")
    expect(accepted.stderr).toContain("Answered: Yes")
    expect(accepted.code).toBe(0)
    const declined = await finished("send", "--approve", "decline", "[[ask:git push]]")
    expect(declined.stderr).toContain("Answered: No")
  })

  it("interrupts the turn on Ctrl-C and says how it ended", async () => {
    await serve()
    const sending = run("send", "--json", "[[slow:100000]]")
    await sending.says('"delta"')
    sending.child.kill("SIGINT")
    expect(await sending.exit).toBe(1)
    expect(jsonLines(sending.stdout())).toContainEqual(
      expect.objectContaining({ event: "settled", state: "interrupted" })
    )
  })

  it("finds a server again that was killed and came back elsewhere, and tells how the turn ended", async () => {
    const server = await serve()
    const sending = run("send", "--json", "[[slow:100000]]")
    await sending.says('"delta"')
    server.child.kill("SIGKILL")
    await server.exit
    const again = await serve()
    expect(jsonLines(again.stdout())[0]?.["url"]).not.toBe(jsonLines(server.stdout())[0]?.["url"])
    expect(await sending.exit).toBe(1)
    const settled = jsonLines(sending.stdout()).filter((line) => line["event"] === "settled")
    expect(settled).toMatchObject([{ state: "interrupted" }])
  })
})

describe("turnkeeper tail", () => {
  it("shows a thread as it goes on, until Ctrl-C", async () => {
    await serve()
    const first = await finished("send", "[[text:One.]]")
    const thread = /--thread (\S+)/.exec(first.stderr)?.[1] ?? ""
    const tail = run("tail", thread)
    await tail.says("One.")
    await finished("send", "--thread", thread, "[[text:Two.]]")
    await tail.says("Two.")
    tail.child.kill("SIGINT")
    expect(await tail.exit).toBe(0)
    expect(tail.stdout()).toBe("One.\nTwo.\n")
  })
})
