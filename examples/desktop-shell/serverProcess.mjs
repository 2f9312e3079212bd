/**
 * Keeps one Turnkeeper server running as a child of this process: start, secret, ready line, restart with
 * back-off, stop. Knows nothing of Electron, so that any program can use it and a test can run it.
 *
 *     starting ──▶ ready ──▶ (it ended) ──▶ waiting ──▶ starting …
 *         │                                     │
 *         ├──▶ in_use: another server has the   └──▶ failed: too often in a row
 *         │    data directory                   stop() ──▶ stopped
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { createInterface } from "node:readline"

const usual = {
  readyMillis: 30_000,
  stopMillis: 25_000,
  backoffMillis: 500,
  backoffMillisMax: 30_000,
  /** A server that ran this long has started well: the next end begins to count anew. */
  steadyMillis: 60_000,
  /** Ends in a row that are followed by another start. */
  restartsMax: 8
}

/** @type {import("./serverProcess.d.mts").keepServer} */
export const keepServer = (options) => {
  const bounds = { ...usual, ...options.bounds }
  let state = { type: "starting" }
  let child = null
  let secret = ""
  let ends = 0
  let timer = null
  let isStopping = false

  const become = (next) => {
    state = next
    options.onState?.(next)
  }

  const start = () => {
    timer = null
    become({ type: "starting" })
    // Another one for each start: nothing of an earlier server is good for this one.
    secret = randomBytes(32).toString("base64url")
    const startedAt = performance.now()
    const started = spawn(
      options.command,
      [...options.args, "serve", "--desktop", "--data", options.dataDirectory, ...(options.serverArgs ?? [])],
      // The secret goes through standard input, where nobody else can read it, and the pipe stays open: the
      // server ends when it closes, so also when this process is killed.
      { env: options.env ?? process.env, stdio: ["pipe", "pipe", options.stderr ?? "inherit"] }
    )
    child = started
    const late = setTimeout(() => started.kill("SIGKILL"), bounds.readyMillis)
    started.stdin.on("error", () => {})
    started.stdin.write(`${secret}\n`)
    let line = null
    createInterface({ input: started.stdout }).once("line", (text) => {
      clearTimeout(late)
      line = parse(text)
      if (line?.event === "ready" && !isStopping)
        become({ type: "ready", url: line.url, pid: line.pid, secret })
    })
    let isOver = false
    const ended = (how) => {
      if (isOver) return
      isOver = true
      clearTimeout(late)
      child = null
      afterEnd(line, how, performance.now() - startedAt)
    }
    // Without a number it was never started; Node may say that it is closed besides.
    started.on("error", (error) => started.pid === undefined && ended(error.message))
    // After "close" everything that it printed was read.
    started.once("close", (code, signal) => ended(signal ?? `code ${code}`))
  }

  const afterEnd = (line, how, ranMillis) => {
    if (isStopping) return become({ type: "stopped" })
    if (line?.event === "in_use") return become({ type: "in_use", url: line.url, pid: line.pid })
    ends = ranMillis >= bounds.steadyMillis ? 1 : ends + 1
    const reason = line?.event === "failed" ? line.message : `The server ended: ${how}`
    if (ends > bounds.restartsMax) return become({ type: "failed", reason })
    const waitMillis = Math.min(bounds.backoffMillis * 2 ** (ends - 1), bounds.backoffMillisMax)
    become({ type: "waiting", reason, waitMillis })
    timer = setTimeout(start, waitMillis)
  }

  /** Closing the pipe asks the server to end in order; it gets so long, and then it is killed. */
  const stop = async () => {
    isStopping = true
    if (timer !== null) clearTimeout(timer)
    if (child === null) return state.type === "stopped" ? undefined : become({ type: "stopped" })
    const running = child
    const force = setTimeout(() => running.kill("SIGKILL"), bounds.stopMillis)
    const closed = new Promise((resolve) => running.once("close", resolve))
    running.stdin.end()
    await closed
    clearTimeout(force)
  }

  start()
  return { state: () => state, stop }
}

/** @type {import("./serverProcess.d.mts").signInLink} */
export const signInLink = async (url, token) => {
  const response = await fetch(`${url}/auth/links`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ scope: "operate" })
  })
  if (!response.ok) throw new Error(`The server at ${url} gave no link: status ${response.status}.`)
  return (await response.json()).url
}

const parse = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
