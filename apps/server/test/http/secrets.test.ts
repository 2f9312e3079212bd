/** A real server with everything said aloud: no secret is in its log, its database or any other file. */
import { authPaths } from "@turnkeeper/contracts/Access"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterEach, beforeEach, expect, it } from "vitest"

const main = join(import.meta.dirname, "../../src/main.ts")
let data = ""
let child: ChildProcess | null = null

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-secrets-"))
})
afterEach(() => {
  child?.kill("SIGKILL")
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

const filesUnder = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory)
    .map((name) => join(directory, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesUnder(path) : [path]))

it("no secret reaches the log, the database or an answer that is not for its holder", async () => {
  const config = join(data, "providers.json")
  writeFileSync(config, JSON.stringify({ providers: [{ id: "scripted", kind: "scripted" }] }))
  const args = ["serve", "--data", data, "--port", "0", "--json", "--provider-config", config]
  const server = spawn(process.execPath, [main, ...args, "--log-level", "all"], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  child = server
  let said = ""
  server.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
  const lines = createInterface({ input: server.stdout })
  const url = await new Promise<string>((resolve, reject) => {
    lines.on("line", (line) => {
      said += line
      resolve(String(JSON.parse(line).url))
    })
    server.once("close", () => reject(new Error(said)))
  })
  const closed = new Promise((resolve) => server.once("close", resolve))

  const owner = readFileSync(join(data, "token"), "utf8").trim()
  const post = async (path: string, body: object, headers: Record<string, string>) => {
    const answer = await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body), headers })
    return { answer, json: (await answer.json()) as Record<string, string> }
  }
  const asOwner = { authorization: `Bearer ${owner}` }
  const link = await post(authPaths.links, {}, asOwner)
  const code = String(link.json["url"]).split("#")[1] ?? ""
  const paired = await post(authPaths.pair, { code }, { origin: url })
  const cookie = paired.answer.headers.get("set-cookie")?.split(";")[0] ?? ""
  const ticket = await post(authPaths.ticket, {}, { origin: url, cookie })
  const token = await post(authPaths.tokens, { name: "a program", scope: "operate" }, asOwner)
  const secrets = [
    owner,
    code,
    cookie.split("=")[1] ?? "",
    ticket.json["ticket"] ?? "",
    token.json["token"] ?? ""
  ]
  for (const secret of secrets) expect(secret.length).toBeGreaterThan(40)

  // Used well, used wrongly, used twice.
  let answers = ""
  for (const secret of secrets) {
    for (const path of ["/rpc", "/readyz", "/metrics", "/nowhere", "/auth/credentials", "/jsonrpc"]) {
      const answer = await fetch(`${url}${path}?ticket=${secret}`, {
        headers: { authorization: `Bearer ${secret}` }
      })
      answers += await answer.text()
    }
    answers += JSON.stringify((await post(authPaths.pair, { code: secret, name: 7 }, { origin: url })).json)
    answers += JSON.stringify((await post(authPaths.pair, { code: secret }, { origin: url })).json)
  }
  const socket = new WebSocket(`${url.replace("http", "ws")}/jsonrpc`, { headers: asOwner } as never)
  await new Promise((resolve) => socket.addEventListener("open", resolve))
  const told = new Promise((resolve) => socket.addEventListener("message", resolve))
  socket.send(
    JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "orchestration.dispatch",
      params: {
        command: {
          type: "project.create",
          commandId: "c",
          projectId: "p",
          title: "P",
          directory: "/home/me"
        }
      }
    })
  )
  await told
  server.kill("SIGTERM")
  await closed

  const kept = filesUnder(data).filter((path) => !path.endsWith("/token") && path !== config)
  expect(kept.some((path) => path.endsWith("turnkeeper.db"))).toBe(true)
  for (const secret of secrets) {
    const hidden = secret.split(".").at(-1) ?? secret
    expect(said).not.toContain(hidden)
    expect(answers).not.toContain(hidden)
    for (const path of kept) expect(readFileSync(path).includes(hidden), path).toBe(false)
  }
})
