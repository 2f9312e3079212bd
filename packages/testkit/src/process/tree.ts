/** The processes below a process, as the system lists them now. */
import { execFile } from "node:child_process"
import { readdir, readFile } from "node:fs/promises"
import { setTimeout } from "node:timers/promises"
import { promisify } from "node:util"

export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  readonly command: string
  /** When it was started, in the system's own terms: with the pid it names one process for ever. */
  readonly started: string
}

/** All of them, children before their own children. Empty when the process is gone. */
export const descendants = async (pid: number): Promise<ReadonlyArray<ProcessInfo>> => {
  const all = await (process.platform === "linux" ? fromProc() : fromPs())
  const found: Array<ProcessInfo> = []
  const below = new Set([pid])
  for (let before = -1; found.length !== before;) {
    before = found.length
    for (const one of all) {
      if (!below.has(one.parent) || below.has(one.pid)) continue
      below.add(one.pid)
      found.push(one)
    }
  }
  return found
}

/** True while this very process runs: not another one with its number, not one that waits to be collected. */
export const isAlive = async (one: Pick<ProcessInfo, "pid" | "started">): Promise<boolean> => {
  const now = process.platform === "linux" ? await readProc(String(one.pid)) : await findInPs(one.pid)
  return now?.started === one.started
}

/** SIGKILL, if this very process still runs. Resolves when it is gone. */
export const endProcess = async (one: Pick<ProcessInfo, "pid" | "started">): Promise<void> => {
  if (!(await isAlive(one))) return
  try {
    process.kill(one.pid, "SIGKILL")
  } catch {
    // It ended between the two lines.
  }
  await gone(one)
}

/**
 * Resolves when this process has ended. The system tells only a parent about that, so it is asked again
 * and again; after the deadline that is an error.
 */
export const gone = async (one: Pick<ProcessInfo, "pid" | "started">, deadlineMs = 30_000): Promise<void> => {
  const deadline = performance.now() + deadlineMs
  while (await isAlive(one)) {
    if (performance.now() > deadline) throw new Error(`Process ${one.pid} still runs after ${deadlineMs} ms.`)
    await setTimeout(5)
  }
}

const fromProc = async (): Promise<ReadonlyArray<ProcessInfo>> => {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name))
  const entries = await Promise.all(names.map(readProc))
  return entries.filter((entry) => entry !== null)
}

/** Null for what has ended, also while it still waits to be collected. */
const readProc = async (name: string): Promise<ProcessInfo | null> => {
  try {
    const stat = await readFile(`/proc/${name}/stat`, "utf8")
    // The program's name is in parentheses and may itself hold blanks and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const [state, parent] = fields
    if (state === "Z" || state === "X") return null
    const command = (await readFile(`/proc/${name}/cmdline`, "utf8")).replaceAll("\0", " ").trim()
    return { pid: Number(name), parent: Number(parent), command, started: fields[19] ?? "" }
  } catch {
    return null
  }
}

const fromPs = async (): Promise<ReadonlyArray<ProcessInfo>> => {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,lstart=,command="], {
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 16 * 1024 * 1024
  })
  return stdout.split("\n").flatMap((line) => {
    // lstart is five words: Sat Nov 21 07:38:47 2026
    const found = /^\s*(\d+)\s+(\d+)\s+(\S+\s+\S+\s+\d+\s+\S+\s+\d+)\s+(.*)$/.exec(line)
    if (found === null) return []
    const [, pid, parent, started = "", command = ""] = found
    return [{ pid: Number(pid), parent: Number(parent), started, command }]
  })
}

const findInPs = async (pid: number) => (await fromPs()).find((one) => one.pid === pid)
