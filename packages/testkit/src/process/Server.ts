/**
 * The real server as a real process, to be killed, stopped and started again on the same data.
 *
 * It is spoken to as any program would: its address from the ready line on stdout, its token from the
 * data directory, its API over `/jsonrpc`. Whatever happens, `dispose` leaves no process behind.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { connect } from "../jsonrpc/Client.ts"
import type { Client, ConnectOptions } from "../jsonrpc/Client.ts"
import { servedFrom } from "./program.ts"
import { descendants, endProcess } from "./tree.ts"
import type { ProcessInfo } from "./tree.ts"

/** One entry of the server's provider configuration. */
export type ProviderConfig =
  | {
      readonly id: string
      readonly kind: "codex"
      readonly binary: string
      readonly home: string
      readonly env?: Readonly<Record<string, string>>
    }
  | {
      readonly id: string
      readonly kind: "opencode"
      readonly binary: string
      readonly env?: Readonly<Record<string, string>>
    }
  | {
      readonly id: string
      readonly kind: "claude"
      readonly sdk: string
      readonly env?: Readonly<Record<string, string>>
    }
  | {
      readonly id: string
      readonly kind: "acp"
      readonly command: string
      readonly args: ReadonlyArray<string>
      readonly env?: Readonly<Record<string, string>>
    }
  | {
      readonly id: string
      readonly kind: "scripted"
      /** Where it keeps what it received, as a real provider keeps its history. */
      readonly recordDirectory?: string
      readonly tickMs?: number
    }

export interface ServerOptions {
  /** A folder for everything of this server: `data/`, the provider configuration, and its home. */
  readonly directory: string
  readonly providers: ReadonlyArray<ProviderConfig>
  readonly port?: number
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** What is run instead of the server's `main.ts serve`. */
  readonly program?: ReadonlyArray<string>
  readonly readyMs?: number
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface RunningServer {
  readonly url: string
  readonly pid: number
  readonly dataDirectory: string
  /** Milliseconds from the start of the process to its ready line. */
  readonly readyMs: number
  readonly exited: Promise<Exit>
  /** The newest part of what it wrote to stderr. */
  readonly stderr: () => string
  readonly token: () => Promise<string>
  readonly connect: (options?: ConnectOptions) => Promise<Client>
  /** The processes it has started that still run, and theirs. */
  readonly children: () => Promise<ReadonlyArray<ProcessInfo>>
  /** `SIGSTOP`, `SIGCONT` and the like; harmless when it has ended. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** SIGKILL. Resolves when it has ended. */
  readonly kill: () => Promise<Exit>
  /** SIGTERM, and SIGKILL after the deadline. */
  readonly terminate: (deadlineMs?: number) => Promise<Exit>
  /** Starts another process on the same data; this one must have ended. */
  readonly restart: () => Promise<RunningServer>
  /** Ends it and every process it has started, also those that outlived a kill. */
  readonly dispose: () => Promise<void>
}

/** The server did not become ready. */
export class ServerFailed extends Error {
  override readonly name = "ServerFailed"
  readonly exit: Exit | null
  readonly stderr: string

  constructor(what: string, exit: Exit | null, stderr: string) {
    super(`${what}\n${stderr.slice(-4_000)}`)
    this.exit = exit
    this.stderr = stderr
  }
}

const stderrMax = 256 * 1024

export const startServer = (options: ServerOptions): Promise<RunningServer> => start(options, new Map())

/** `seen`: every process any server on this data has started, so that none outlives the test. */
const start = async (options: ServerOptions, seen: Map<number, ProcessInfo>): Promise<RunningServer> => {
  const { directory, port = 0 } = options
  const dataDirectory = join(directory, "data")
  const config = join(directory, "providers.json")
  await mkdir(directory, { recursive: true })
  await writeFile(config, `${JSON.stringify({ providers: options.providers }, null, 2)}\n`)

  const program = options.program ?? servedFrom.sources
  const args = ["--data", dataDirectory, "--port", String(port), "--json", "--provider-config", config]
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...program, ...args, ...(options.args ?? [])], {
    cwd: directory,
    env: { PATH: process.env["PATH"], HOME: directory, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const stderr = collect(child)
  const exited = exitOf(child)
  const ready = await readyLine(child, exited, stderr, options.readyMs ?? 40_000)

  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  const children = async () => {
    // Its number may be another program's by now.
    if (hasEnded()) return []
    const found = await descendants(ready.pid)
    for (const one of found) seen.set(one.pid, one)
    return found
  }
  const signal = (name: NodeJS.Signals) => {
    child.kill(name)
  }
  const token = async () => (await readFile(join(dataDirectory, "token"), "utf8")).trim()
  const kill = async () => {
    // It stands still while they are counted: one that it starts after that would outlive the test.
    child.kill("SIGSTOP")
    try {
      await children()
    } finally {
      child.kill("SIGKILL")
    }
    return exited
  }
  const terminate = async (deadlineMs = 20_000) => {
    await children()
    child.kill("SIGTERM")
    const late = setTimeout(() => child.kill("SIGKILL"), deadlineMs)
    const exit = await exited
    clearTimeout(late)
    return exit
  }
  return {
    url: ready.url,
    pid: ready.pid,
    dataDirectory,
    readyMs: performance.now() - startedAt,
    exited,
    stderr,
    token,
    connect: async (connectOptions) => connect(ready.url, await token(), connectOptions),
    children,
    signal,
    kill,
    terminate,
    restart: async () => {
      if (!hasEnded()) {
        throw new Error("A server that still runs can not be started again on its data.")
      }
      return start(options, seen)
    },
    dispose: async () => {
      await kill()
      await Promise.all([...seen.values()].map(endProcess))
    }
  }
}

const collect = (child: ChildProcess) => {
  let kept = ""
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    kept = (kept + text).slice(-stderrMax)
  })
  return () => kept
}

const exitOf = (child: ChildProcess): Promise<Exit> =>
  new Promise((resolve) => {
    child.once("error", () => resolve({ code: null, signal: null }))
    child.once("exit", (code, signal) => resolve({ code, signal }))
  })

interface Ready {
  readonly url: string
  readonly pid: number
}

const readyLine = async (
  child: ChildProcess,
  exited: Promise<Exit>,
  stderr: () => string,
  deadlineMs: number
): Promise<Ready> => {
  const lines = createInterface({ input: child.stdout! })
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), deadlineMs)
  try {
    const first = await Promise.race([
      once(lines, "line", { signal: deadline.signal }).then(([line]) => String(line)),
      exited
    ])
    if (typeof first !== "string") {
      const how = first.signal === null ? `status ${first.code}` : first.signal
      throw new ServerFailed(`The server ended before it was ready: ${how}.`, first, stderr())
    }
    const ready = parseReady(first)
    if (ready === null)
      throw new ServerFailed(`The server's first line is not its ready line: ${first}`, null, stderr())
    // What it prints later is read and dropped, so that a full pipe never holds it up.
    lines.on("line", () => {})
    return ready
  } catch (error) {
    child.kill("SIGKILL")
    // It is gone when its author hears of it: nobody else could wait for it.
    await exited
    if (error instanceof ServerFailed) throw error
    throw new ServerFailed(`The server was not ready within ${deadlineMs} ms.`, null, stderr())
  } finally {
    clearTimeout(timer)
  }
}

const parseReady = (line: string): Ready | null => {
  try {
    const { event, pid, url } = JSON.parse(line) as Record<string, unknown>
    return event === "ready" && typeof url === "string" && typeof pid === "number" ? { url, pid } : null
  } catch {
    return null
  }
}
