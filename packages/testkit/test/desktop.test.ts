/** The real server as the child of a desktop app, and the example's shell around it. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { keepServer, signInLink } from "../../../examples/desktop-shell/serverProcess.mjs"
import type { ServerState } from "../../../examples/desktop-shell/serverProcess.mjs"
import { connect } from "../src/jsonrpc/Client.ts"
import { descendants, endProcess, gone } from "../src/process/tree.ts"
import type { ProcessInfo } from "../src/process/tree.ts"

const main = join(import.meta.dirname, "../../../apps/server/src/main.ts")
const secret = "the-secret-of-this-test-0123456789-0123456789"

let data = ""
let providers: ReadonlyArray<string> = []
const children = new Set<ChildProcess>()
const seen = new Map<number, ProcessInfo>()

/** Everything below this process, so that nothing outlives a test that failed. */
const remember = async () => {
  for (const one of await descendants(process.pid)) {
    if (one.command.includes(data)) seen.set(one.pid, one)
  }
}

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "turnkeeper-desktop-"))
  const file = join(data, "providers.json")
  writeFileSync(file, JSON.stringify({ providers: [{ id: "scripted", kind: "scripted" }] }))
  providers = ["--provider-config", file]
})
afterEach(async () => {
  await remember()
  for (const child of children) child.kill("SIGKILL")
  children.clear()
  await Promise.all([...seen.values()].map(endProcess))
  seen.clear()
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
})

/** What a child prints, line by line, and how it ends. */
const heard = (child: ChildProcess) => {
  children.add(child)
  // One that ended before it read what it was told has something better to say than that.
  for (const pipe of child.stdio) pipe?.on("error", () => {})
  const lines: Array<string> = []
  const waiting: Array<() => void> = []
  const news = () => waiting.splice(0).forEach((wake) => wake())
  let isOver = false
  const ended = new Promise<number | null>((resolve) =>
    child.once("close", (code) => {
      isOver = true
      resolve(code)
      news()
    })
  )
  createInterface({ input: child.stdout! }).on("line", (line) => {
    lines.push(line)
    news()
  })
  /** The first of this kind, from the line `from` on; fails when the child ends without it. */
  const line = async (type: string, from = 0): Promise<Line> => {
    for (let index = from; ; index++) {
      while (index >= lines.length) {
        if (isOver) throw new Error(`It ended without saying ${type}: ${lines.join(" ")}`)
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
      const value = JSON.parse(lines[index]!) as Line
      if (value.event === type || value.type === type) return value
    }
  }
  return { lines, line, ended }
}

/** What the server says of itself has an `event`, what the shell says of the server a `type`. */
interface Line {
  readonly event?: string
  readonly type?: string
  readonly url: string
  readonly pid: number
  readonly secret: string
}

const desktop = (args: ReadonlyArray<string> = []) =>
  spawn(process.execPath, [main, "serve", "--desktop", "--data", data, ...providers, ...args], {
    stdio: ["pipe", "pipe", "ignore", "pipe"]
  })

describe("turnkeeper serve --desktop", () => {
  it("takes its secret from the pipe, says one line, and keeps the secret to itself", async () => {
    const child = desktop()
    const { lines, line, ended } = heard(child)
    child.stdin!.write(`${secret}\n`)
    const ready = await line("ready")
    expect(ready).toEqual({
      event: "ready",
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as string,
      pid: child.pid
    })
    const { url } = ready
    const client = await connect(url, secret)
    await client.close()
    expect((await fetch(`${url}/readyz`)).status).toBe(401)
    if (process.platform === "linux") {
      expect(readFileSync(`/proc/${child.pid}/cmdline`, "utf8")).not.toContain(secret)
      expect(readFileSync(`/proc/${child.pid}/environ`, "utf8")).not.toContain(secret)
    }
    child.stdin!.end()
    expect(await ended).toBe(0)
    expect(lines).toHaveLength(1)
    const log = readFileSync(join(data, "logs/server.log"), "utf8")
    expect(log).toContain(url)
    for (const file of ["logs/server.log", "lock.guard", "token"]) {
      expect(readFileSync(join(data, file), "utf8")).not.toContain(secret)
    }
    expect(existsSync(join(data, "lock"))).toBe(false)
  })

  it("takes it from another descriptor, too, and ends in order on SIGTERM", async () => {
    const child = desktop(["--secret-fd", "3"])
    const { line, ended } = heard(child)
    const pipe = child.stdio[3] as NodeJS.WritableStream
    pipe.write(`${secret}\n`)
    await line("ready")
    child.kill("SIGTERM")
    expect(await ended).toBe(0)
    expect(existsSync(join(data, "lock"))).toBe(false)
  })

  // Windows tells nobody that a parent is gone, and has no shell like this one.
  it.skipIf(process.platform === "win32")(
    "ends with its parent, even if somebody else holds the pipe",
    async () => {
      const words = [main, "serve", "--desktop", "--data", data, ...providers]
      const shell = spawn("sh", ["-c", 'exec 3<&0; "$@" 0<&3 & wait', "sh", process.execPath, ...words], {
        stdio: ["pipe", "pipe", "ignore"]
      })
      const { line } = heard(shell)
      shell.stdin!.write(`${secret}\n`)
      const server = await processOf((await line("ready")).pid)
      expect(server.parent).toBe(shell.pid)
      shell.kill("SIGKILL")
      await gone(server)
      expect(existsSync(join(data, "lock"))).toBe(false)
    }
  )

  it("does not start without a secret that is one", async () => {
    for (const words of ["", "short\n", "x".repeat(2_000)]) {
      const child = desktop()
      const { line, ended } = heard(child)
      child.stdin!.on("error", () => {})
      child.stdin!.end(words)
      expect(await line("failed")).toMatchObject({ code: 2 })
      expect(await ended).toBe(2)
    }
    expect(existsSync(join(data, "turnkeeper.db"))).toBe(false)
  })

  it("leaves a directory alone that another server has, and says where that one is", async () => {
    const first = desktop()
    const one = heard(first)
    first.stdin!.write(`${secret}\n`)
    const { url } = await one.line("ready")
    const second = desktop()
    const other = heard(second)
    second.stdin!.write(`${secret}\n`)
    expect(await other.line("in_use")).toEqual({ event: "in_use", url, pid: first.pid })
    expect(await other.ended).toBe(6)
    expect(other.lines).toHaveLength(1)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })
})

const parent = () =>
  spawn(
    process.execPath,
    [join(import.meta.dirname, "fixtures/desktopParent.ts"), main, data, ...providers],
    { stdio: ["pipe", "pipe", "ignore"] }
  )

const processOf = async (pid: number): Promise<ProcessInfo> => {
  await remember()
  const found = seen.get(pid)
  if (found === undefined) throw new Error(`There is no process ${pid}.`)
  return found
}

describe("the example's shell", () => {
  it("gives a link that signs a window in, once, and the window's ticket opens a socket", async () => {
    const shell = parent()
    const { url, secret } = await heard(shell).line("ready")
    const link = new URL(await signInLink(url, secret))
    expect(link.pathname).toBe("/pair")
    const pair = () =>
      fetch(`${url}/auth/pair`, {
        method: "POST",
        headers: { origin: url },
        body: JSON.stringify({ code: link.hash.slice(1) })
      })
    const paired = await pair()
    expect(paired.status).toBe(200)
    expect((await pair()).status).toBe(401)
    const cookie = paired.headers.get("set-cookie")?.split(";")[0] ?? ""
    const answer = await fetch(`${url}/auth/ticket`, { method: "POST", headers: { origin: url, cookie } })
    const { ticket } = (await answer.json()) as { readonly ticket: string }
    const socket = new WebSocket(`${url.replace("http", "ws")}/jsonrpc?ticket=${ticket}`)
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve)
      socket.addEventListener("error", reject)
    })
    socket.close()
  })

  it("takes the server with it when it is killed", async () => {
    const shell = parent()
    const { pid } = await heard(shell).line("ready")
    const server = await processOf(pid)
    shell.kill("SIGKILL")
    await gone(server)
    expect(existsSync(join(data, "lock"))).toBe(false)
  })

  it("starts a server that crashed again, with another secret, and stops it when it stops", async () => {
    const shell = parent()
    const { line, lines, ended } = heard(shell)
    const first = await line("ready")
    process.kill(first.pid, "SIGKILL")
    const second = await line("ready", lines.length)
    expect(second.pid).not.toBe(first.pid)
    expect(second.secret).not.toBe(first.secret)
    expect((await fetch(`${second.url}/readyz`, { headers: bearer(second.secret) })).status).toBe(200)
    expect((await fetch(`${second.url}/readyz`, { headers: bearer(first.secret) })).status).toBe(401)
    expect(lines.map((text) => (JSON.parse(text) as ServerState).type)).toEqual([
      "starting",
      "ready",
      "waiting",
      "starting",
      "ready"
    ])
    const server = await processOf(second.pid)
    shell.stdin.end()
    expect(await ended).toBe(0)
    await gone(server)
    expect(lines.at(-1)).toBe('{"type":"stopped"}')
  })

  const untilFailed = async (command: string, args: ReadonlyArray<string>) => {
    const states: Array<ServerState> = []
    const failed = Promise.withResolvers<void>()
    keepServer({
      command,
      args,
      dataDirectory: data,
      stderr: "ignore",
      bounds: { backoffMillis: 1, restartsMax: 2 },
      onState: (state) => {
        states.push(state)
        if (state.type === "failed") failed.resolve()
      }
    })
    await failed.promise
    return states
  }
  const thrice = ["starting", "waiting", "starting", "waiting", "starting", "failed"]

  it("gives up on a program that is not there, and counts each start once", async () => {
    const states = await untilFailed(join(data, "no-such-program"), [])
    expect(states.map(({ type }) => type)).toEqual(thrice)
    expect(states.at(-1)).toMatchObject({ reason: expect.stringContaining("ENOENT") as string })
  })

  it("gives up on a server that ends again and again, and says what it said", async () => {
    const words = 'console.log(JSON.stringify({ event: "failed", code: 1, message: "No luck." }))'
    const states = await untilFailed(process.execPath, ["-e", words, "--"])
    expect(states.map(({ type }) => type)).toEqual(thrice)
    expect(states.at(-1)).toEqual({ type: "failed", reason: "No luck." })
    expect(states.filter(({ type }) => type === "waiting")).toEqual([
      { type: "waiting", reason: "No luck.", waitMillis: 1 },
      { type: "waiting", reason: "No luck.", waitMillis: 2 }
    ])
  })
})

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
