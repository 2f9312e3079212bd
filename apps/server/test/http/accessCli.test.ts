/** `turnkeeper pair` and `turnkeeper tokens`, and the link of `serve`: real programs against a real server. */
import { execFile, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const main = join(import.meta.dirname, "../../src/main.ts")
let data = ""
let url = ""
let firstLink = ""
let server: ChildProcess

/** Standard output and error, and the exit code, of one run of the program. */
const run = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
    const child = execFile(process.execPath, [main, ...args, "--data", data], (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr })
    )
  })

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-access-cli-"))
  const config = join(data, "providers.json")
  writeFileSync(config, JSON.stringify({ providers: [{ id: "scripted", kind: "scripted" }] }))
  server = spawn(
    process.execPath,
    [
      main,
      "serve",
      "--data",
      data,
      "--port",
      "0",
      "--provider-config",
      config,
      "--origin",
      "http://dev:5173"
    ],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  await new Promise<void>((resolve, reject) => {
    server.once("close", () => reject(new Error("The server ended.")))
    createInterface({ input: server.stdout! }).on("line", (line) => {
      url ||= /answers at (\S+)/.exec(line)?.[1] ?? ""
      firstLink ||= /(http\S+#\S+)/.exec(line)?.[1] ?? ""
      if (line.startsWith("Stop with")) resolve()
    })
  })
}, 60_000)
afterAll(async () => {
  const closed = new Promise((resolve) => server.once("close", resolve))
  server.kill("SIGKILL")
  await closed
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

const pairWith = async (link: string, headers: Record<string, string> = { origin: url }) => {
  const { origin, pathname, hash } = new URL(link)
  expect(`${origin}${pathname}`).toBe(`${url}/pair`)
  const body = JSON.stringify({ code: hash.slice(1) })
  const answer = await fetch(`${url}/auth/pair`, { method: "POST", headers, body })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}
const readyWith = async (token: string) =>
  (await fetch(`${url}/readyz`, { headers: { authorization: `Bearer ${token}` } })).status

describe("who else may come in", { timeout: 120_000 }, () => {
  it("the link that the server prints signs a browser in that works with agents, once", async () => {
    expect(await pairWith(firstLink)).toMatchObject({ status: 200, body: { scopes: ["read", "operate"] } })
    expect(await pairWith(firstLink)).toMatchObject({ status: 401 })
  })

  it("`pair` prints the link and nothing else on standard output, with the scope that was asked for", async () => {
    const { code, stdout, stderr } = await run("pair", "--scope", "read")
    expect(code).toBe(0)
    expect(stdout.trim().split("\n")).toHaveLength(1)
    expect(stderr).toContain("once")
    expect(await pairWith(stdout.trim())).toMatchObject({ status: 200, body: { scopes: ["read"] } })
    const json = await run("pair", "--json")
    expect(await pairWith(JSON.parse(json.stdout).url)).toMatchObject({ status: 200 })
  })

  it("an origin that was allowed may sign in, another may not", async () => {
    const link = JSON.parse((await run("pair", "--json")).stdout).url
    expect(await pairWith(link, { origin: "http://dev:5174" })).toMatchObject({ status: 403 })
    expect(await pairWith(link, { origin: "http://dev:5173" })).toMatchObject({ status: 200 })
  })

  it("`tokens` makes one, shows it once, lists it without its secret, and takes it back", async () => {
    const made = await run("tokens", "create", "a script", "--days", "7")
    const token = made.stdout.trim()
    expect(made.code).toBe(0)
    expect(await readyWith(token)).toBe(200)
    const listed = await run("tokens", "list")
    expect(listed.stdout).toContain("a script")
    expect(listed.stdout).toContain("read")
    expect(listed.stdout).not.toContain(token.split(".")[1])
    const id = /turnkeeper_([0-9a-f]+)\./.exec(token)?.[1] ?? ""
    expect((await run("tokens", "revoke", id)).code).toBe(0)
    expect(await readyWith(token)).toBe(401)
    const again = await run("tokens", "revoke", id)
    expect(again.code).toBe(1)
    expect(again.stderr).toContain("tokens list")
  })

  it("wrong words are wrong usage", async () => {
    expect((await run("tokens", "create", "x", "--scope", "everything")).code).toBe(2)
    expect((await run("tokens", "create")).code).toBe(2)
  })
})
