/** What the doctor finds, as people and scripts meet it: real processes, with a server and without. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { nodeCheck, providerCheck } from "../../src/cli/doctor.ts"

const main = join(import.meta.dirname, "../../src/main.ts")
const children = new Set<ChildProcess>()
let data: string

/** Without the programs of this machine. */
const start = (...args: ReadonlyArray<string>) => {
  const env = {
    ...process.env,
    TURNKEEPER_HOME: data,
    TURNKEEPER_CODEX_BIN: "/nowhere/codex",
    PATH: "/nowhere"
  }
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] })
  children.add(child)
  return child
}

const finished = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>(
    (resolve) => {
      const child = start(...args)
      let [stdout, stderr] = ["", ""]
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
      child.once("close", (code) => resolve({ code, stdout, stderr }))
    }
  )

const served = () =>
  new Promise<ChildProcess>((resolve, reject) => {
    const child = start("serve", "--port", "0", "--json")
    let stderr = ""
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
    child.stdout.once("data", () => resolve(child))
    child.once("close", () => reject(new Error(`The server did not start: ${stderr}`)))
  })

const write = (...providers: ReadonlyArray<unknown>) =>
  writeFileSync(join(data, "providers.json"), JSON.stringify({ providers }))

const scripted = { id: "scripted", kind: "scripted" }
const secret = "sk-0123456789abcdef"

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-doctored-"))
})

afterEach(() => {
  for (const child of children) child.kill("SIGKILL")
  children.clear()
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

describe("turnkeeper doctor", () => {
  it("on a fresh machine nothing is wrong: what is not installed is a note, and nothing is written", async () => {
    const { code, stdout } = await finished("doctor")
    expect(stdout).toContain("ok       scripted: Scripted: Ready")
    expect(stdout).toContain("note     codex: Codex: Not installed")
    expect(stdout).toContain("npm install -g @openai/codex")
    expect(code).toBe(0)
    expect(readdirSync(data)).toEqual([])
  })

  it("what was asked for and is not there is a problem; its key is not shown", async () => {
    write(scripted, { id: "codex", kind: "codex", env: { OPENAI_API_KEY: secret } })
    const { code, stdout, stderr } = await finished("doctor", "--json")
    expect(code).toBe(1)
    const report = JSON.parse(stdout.split("\n")[0] ?? "")
    expect(report.ok).toBe(false)
    expect(report.checks).toContainEqual(
      expect.objectContaining({ about: "provider", level: "problem", says: "codex: Codex: Not installed" })
    )
    expect(report.checks).toContainEqual(
      expect.objectContaining({
        about: "settings",
        level: "problem",
        help: expect.stringContaining("chmod 600")
      })
    )
    expect(stdout + stderr).not.toContain(secret)
  })

  it("names the place in the settings that is wrong", async () => {
    write(scripted, { id: "codex", kind: "codex", binry: "codex" })
    const { code, stdout } = await finished("doctor")
    expect(code).toBe(1)
    expect(stdout).toContain("`providers[1].binry` is not known")
    expect(stdout).toContain("ok       scripted")
    // What is logged meanwhile is not of the report.
    const machine = await finished("doctor", "--json")
    for (const line of machine.stdout.trim().split("\n")) expect(() => JSON.parse(line)).not.toThrow()
  })

  it("asks the server that runs", async () => {
    const server = await served()
    write({ ...scripted, displayName: "Changed meanwhile" })
    const { code, stdout } = await finished("doctor")
    expect(stdout).toContain("The server runs")
    expect(stdout).toContain("scripted: Changed meanwhile: Ready")
    expect(stdout).toMatch(/The database has schema \d+/)
    expect(code).toBe(0)
    writeFileSync(join(data, "providers.json"), "{")
    const torn = await finished("doctor")
    expect(torn.code).toBe(1)
    expect(torn.stdout).toContain("line 1, column 2")
    server.kill("SIGTERM")
  })

  it("a server that is gone without a goodbye is no problem; a newer database is", async () => {
    const server = await served()
    server.kill("SIGKILL")
    await new Promise((resolve) => server.once("close", resolve))
    const gone = await finished("doctor")
    expect(gone.stdout).toContain("ended without a goodbye")
    expect(gone.code).toBe(0)
    const database = new DatabaseSync(join(data, "turnkeeper.db"))
    database.exec("INSERT INTO migrations (migration_id, name) VALUES (9999, 'newer')")
    database.close()
    const newer = await finished("doctor")
    expect(newer.stdout).toContain("The database has schema 9999")
    expect(newer.code).toBe(1)
  })

  it("a database that is none is a problem", async () => {
    writeFileSync(
      join(data, "turnkeeper.db"),
      "this is no database at all, only text of some length ".repeat(50)
    )
    const { code, stdout } = await finished("doctor")
    expect(stdout).toContain("problem  The database")
    expect(code).toBe(1)
  })
})

describe("turnkeeper providers", () => {
  it("lists them, and after a refresh those of the changed file", async () => {
    await served()
    expect((await finished("providers")).stdout).toContain("codex  Codex")
    write(scripted)
    const { stdout } = await finished("providers", "refresh", "--json")
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).id)
    ).toEqual(["scripted"])
  })

  it("prints the schema of the settings file without a server", async () => {
    const { code, stdout } = await finished("providers", "schema")
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ properties: { providers: { type: "array" } } })
  })
})

describe("checks", () => {
  it("of Node know the oldest that will do", () => {
    expect(["20.20.2", "22.18.9", "22.19.0", "24.0.0"].map((version) => nodeCheck(version).level)).toEqual([
      "problem",
      "problem",
      "ok",
      "ok"
    ])
  })

  it("of a provider are problems where it was asked for, or is there and does not work", () => {
    const row = {
      id: "codex" as never,
      kind: "codex",
      displayName: "Codex",
      capabilities: {},
      program: null,
      checkedAt: null,
      notice: null,
      examples: []
    }
    const levelOf = (status: "ready" | "not_installed" | "not_signed_in", named: boolean) =>
      providerCheck({ ...row, health: { status, version: null, models: [], advice: null } }, named).level
    expect(levelOf("ready", true)).toBe("ok")
    expect(levelOf("not_installed", false)).toBe("note")
    expect(levelOf("not_installed", true)).toBe("problem")
    expect(levelOf("not_signed_in", false)).toBe("problem")
  })
})
