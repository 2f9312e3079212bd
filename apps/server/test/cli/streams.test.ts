/** What every command prints where: standard output is for its answer alone, whatever is logged meanwhile. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { codes } from "../../src/cli/Outcome.ts"

const main = join(import.meta.dirname, "../../src/main.ts")
const children = new Set<ChildProcess>()
let data: string

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, TURNKEEPER_HOME: data, PATH: "/nowhere" },
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  const heard = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk: Buffer) => (heard.stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (heard.stderr += chunk.toString()))
  return { child, heard }
}

const finished = async (...args: ReadonlyArray<string>) => {
  const { child, heard } = start(...args)
  const [code] = await once(child, "close")
  return { code: code as number, ...heard }
}

/** One of them is wrong, which is logged by whoever reads the settings. */
const providers = [
  { id: "scripted", kind: "scripted", tickMs: 1 },
  { id: "wrong", kind: "codex", binry: "codex" }
]
const logged = "The provider wrong cannot be used"

const served = async (...args: ReadonlyArray<string>) => {
  const server = start("serve", "--port", "0", ...args)
  await once(server.child.stdout!, "data")
  return server
}

const ended = async (child: ChildProcess) => {
  child.kill("SIGTERM")
  await once(child, "close")
}

const isJson = (line: string) => {
  try {
    return typeof JSON.parse(line) === "object"
  } catch {
    return false
  }
}

const linesOf = (text: string) => text.split("\n").filter((line) => line !== "")

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-streams-"))
  writeFileSync(join(data, "providers.json"), JSON.stringify({ providers }))
})

afterEach(() => {
  for (const child of children) child.kill("SIGKILL")
  children.clear()
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

describe("standard output", { timeout: 120_000 }, () => {
  it("of a server has its own lines alone: the log goes to standard error", async () => {
    const server = await served("--json")
    await ended(server.child)
    expect(linesOf(server.heard.stdout).map((line) => JSON.parse(line).event)).toEqual(["ready", "stopped"])
    expect(server.heard.stderr).toContain(logged)
  })

  it("of a command that logs has its answer alone", async () => {
    const { stdout, stderr } = await finished("doctor")
    expect(stderr).toContain(logged)
    expect(stdout).not.toContain(logged)
    for (const line of linesOf(stdout)) expect(line).toMatch(/^(?:ok|note|problem| {9})/)
  })

  it("with --json has one JSON document per line, of whatever command", async () => {
    const server = await served("--json")
    const asked = [
      ["status"],
      ["send", "[[text:It works.]]"],
      ["providers", "refresh"],
      ["tokens", "create", "ci"],
      ["doctor"],
      ["verify"],
      ["backup", join(data, "copy.db")]
    ]
    for (const args of asked) {
      const { stdout } = await finished(...args, "--json")
      expect(linesOf(stdout), args.join(" ")).not.toEqual([])
      for (const line of linesOf(stdout)) expect(isJson(line), `${args.join(" ")}: ${line}`).toBe(true)
    }
    await ended(server.child)
    const rebuilt = await finished("rebuild", "--json")
    expect(rebuilt.code).toBe(codes.done)
    for (const line of linesOf(rebuilt.stdout)) expect(isJson(line), line).toBe(true)
  })

  it("stays empty where a command was called in a wrong way; the help is on standard error", async () => {
    const wrong = await finished("threads", "--dance")
    expect(wrong).toMatchObject({ code: codes.usage, stdout: "" })
    expect(wrong.stderr).toContain("USAGE")
    expect(wrong.stderr).toContain("--dance")
    const asked = await finished("threads", "--help")
    expect(asked).toMatchObject({ code: codes.done, stderr: "" })
    expect(asked.stdout).toContain("USAGE")
  })

  it("with --json says there what was wrong with the call", async () => {
    const { code, stdout } = await finished("serve", "--json", "--port", "many")
    expect(code).toBe(codes.usage)
    const [said, ...more] = linesOf(stdout).map((line) => JSON.parse(line))
    expect(said).toMatchObject({ event: "failed", code: codes.usage, rule: null })
    expect(said.message).toContain("--port")
    expect(more).toEqual([])
  })
})

it("every exit code is written down for those who write scripts", () => {
  const readme = readFileSync(join(import.meta.dirname, "../../../../README.md"), "utf8")
  const line = /Exit codes:[^.]*\./.exec(readme)?.[0] ?? ""
  for (const code of Object.values(codes).filter((each) => each < 128)) expect(line).toContain(` ${code} `)
})
