/**
 * The system's processes: who they are, who is below whom, and how to be sure that they are gone.
 *
 * A process id alone proves nothing, because it is used again: a process is its id together with the time
 * at which it was started, as the kernel tells it.
 */
import { execFileSync } from "node:child_process"
import { accessSync, constants, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"
import { Effect, Schedule } from "effect"

export interface ProcessId {
  readonly pid: number
  readonly startTime: string
}

/** The kernel's word for when a process started, or null when there is no such process. */
export const startTimeOf = (pid: number): string | null =>
  process.platform === "linux" ? (statOf(pid)?.startTime ?? null) : startTimeByPs(pid)

export const isAlive = ({ pid, startTime }: ProcessId): boolean => startTimeOf(pid) === startTime

/** All processes below this one, at this moment. Where the system has no /proc there is none to be found. */
export const descendantsOf = (pid: number): ReadonlyArray<ProcessId> => {
  if (process.platform !== "linux") return []
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? [])
  const found = new Map<number, ProcessId>()
  const below = new Set([pid])
  for (let before = -1; before !== found.size;) {
    before = found.size
    for (const { pid, parent, startTime } of all) {
      if (!below.has(parent) || below.has(pid)) continue
      below.add(pid)
      found.set(pid, { pid, startTime })
    }
  }
  return [...found.values()]
}

/**
 * All processes whose environment says `name=value`, or a value that begins so: a mark that every child
 * inherits finds those that have left their parent and its group. Where the system has no /proc there is none.
 */
export const marked = (name: string, value: string): ReadonlyArray<ProcessId> =>
  process.platform !== "linux"
    ? []
    : readdirSync("/proc")
        .filter((entry) => /^\d+$/.test(entry) && entry !== String(process.pid))
        .flatMap((entry) =>
          environmentOf(entry).includes(`\0${name}=${value}`) ? (statOf(Number(entry)) ?? []) : []
        )

/** Whether this process was started with `name=value`, or a value that begins so, in its environment. */
export const isMarked = (pid: number, name: string, value: string): boolean =>
  environmentOf(String(pid)).includes(`\0${name}=${value}`)

/**
 * Whether this process, or one below it, is the one that listens on this TCP port: whoever asks there then
 * talks to it and to nobody else. False where the system has no /proc.
 */
export const listensOn = (pid: number, port: number): boolean => {
  const sockets = listeningSockets(pid, port)
  return (
    sockets.size > 0 &&
    [pid, ...descendantsOf(pid).map((below) => below.pid)].some((one) =>
      openFilesOf(one).some((file) => sockets.has(file))
    )
  )
}

/** As the links of open files name them. All processes of one network share this table. */
const listeningSockets = (pid: number, port: number): ReadonlySet<string> => {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0")
  const lines = ["tcp", "tcp6"].flatMap((table) => {
    try {
      return readFileSync(`/proc/${pid}/net/${table}`, "latin1").split("\n").slice(1)
    } catch {
      return []
    }
  })
  return new Set(
    lines.flatMap((line) => {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/)
      return state === listening && local.endsWith(`:${wanted}`) ? [`socket:[${inode}]`] : []
    })
  )
}

/** TCP_LISTEN, as the kernel writes it. */
const listening = "0A"

const openFilesOf = (pid: number): ReadonlyArray<string> => {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((name) => linkOf(`/proc/${pid}/fd/${name}`) ?? [])
  } catch {
    return []
  }
}

const linkOf = (path: string): string | null => {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}

const environmentOf = (pid: string): string => {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}`
  } catch {
    return ""
  }
}

/** What a process was called with, or nothing when it is gone or the system does not tell. */
export const argumentsOf = ({ pid }: ProcessId): ReadonlyArray<string> => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
  } catch {
    return []
  }
}

/** A program by its path, or by its name on the environment's path; null when there is none to run. */
export const findProgram = (
  wanted: string,
  env: Readonly<Record<string, string | undefined>>
): string | null => {
  if (isAbsolute(wanted) || wanted.includes("/")) return isExecutable(wanted) ? wanted : null
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")
  return folders.map((folder) => join(folder, wanted)).find(isExecutable) ?? null
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Signals a whole group. True when there was somebody to signal. */
export const signalGroup = (pid: number, signal: NodeJS.Signals): boolean => signalProcess(-pid, signal)

/** How long a killed process may take to disappear: 100 looks, 20 ms apart. */
const looks = { schedule: Schedule.spaced("20 millis"), times: 100 }

/** Kills those that still live, and waits, bounded, until they are gone. Returns those that are not. */
export const ensureGone = (processes: ReadonlyArray<ProcessId>): Effect.Effect<ReadonlyArray<ProcessId>> =>
  Effect.sync(() => {
    const left = processes.filter(isAlive)
    for (const { pid } of left) signalProcess(pid, "SIGKILL")
    return left
  }).pipe(
    Effect.repeat({ ...looks, until: (left) => left.length === 0 }),
    Effect.andThen(Effect.sync(() => processes.filter(isAlive)))
  )

/** Signals one process. True when it was there. */
export const signalProcess = (pid: number, signal: NodeJS.Signals): boolean => {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

interface Stat extends ProcessId {
  readonly parent: number
}

const statOf = (pid: number): Stat | null => {
  try {
    // The name of the program, in parentheses, may hold anything: fields are counted after the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const [state, parent] = fields
    const startTime = fields[19]
    // A zombie has ended; it only waits for its parent to notice.
    if (state === "Z" || parent === undefined || startTime === undefined) return null
    return { pid, parent: Number(parent), startTime }
  } catch {
    return null
  }
}

const startTimeByPs = (pid: number): string | null => {
  try {
    const line = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      timeout: 2_000
    })
    return line.trim() || null
  } catch {
    return null
  }
}
