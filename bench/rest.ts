/**
 * What the server holds in memory when nobody asks anything of it: the bundle that `npm start` runs, with one
 * client connected and following.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { setTimeout } from "node:timers/promises"
import { servedFrom } from "@turnkeeper/testkit/process/program"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { inDirectory } from "./directory.ts"
import { buildServer } from "./program.ts"
import { figure, median, repeated } from "./report.ts"
import type { Figure } from "./report.ts"

const repetitions = 3
const target = 120
/** Until what the start has left is gone, as far as it goes by itself. */
const settleMs = 5_000

export const rest = async (): Promise<ReadonlyArray<Figure>> => {
  buildServer()
  const runs: Array<Memory> = []
  for (let n = 0; n < repetitions; n++) runs.push(await inDirectory(atRest))
  const rss = repeated(runs.map((run) => run.rss))
  const bare = median(await Promise.all([bareNode(), bareNode(), bareNode()]))
  return [
    figure({
      name: "rest.rss",
      unit: "MB",
      ...rss,
      compared: bare,
      against: "MB, Node alone",
      ratio: rss.value / bare,
      target: `≤ ${target}`,
      met: rss.value <= target
    }),
    figure({ name: "rest.anonymous", unit: "MB", ...repeated(runs.map((run) => run.anonymous)) }),
    figure({ name: "rest.start", unit: "ms to the ready line", ...repeated(runs.map((run) => run.readyMs)) })
  ]
}

interface Memory {
  readonly rss: number
  /** Without the program's own files, which the system can share and drop. */
  readonly anonymous: number
  readonly readyMs: number
}

const atRest = async (directory: string): Promise<Memory> => {
  const server = await startServer({
    directory,
    program: servedFrom.bundle,
    providers: [{ id: "scripted", kind: "scripted" }]
  })
  try {
    const client = await server.connect()
    const shell = await client.subscribe("orchestration.subscribeShell")
    await shell[Symbol.asyncIterator]().next()
    await setTimeout(settleMs)
    return { ...(await memoryOf(server.pid)), readyMs: server.readyMs }
  } finally {
    await server.dispose()
  }
}

/** As the system counts it: in units of 1,000,000 bytes. */
export const memoryOf = async (pid: number) => {
  const status = await readFile(`/proc/${pid}/status`, "utf8")
  const field = (name: string) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1_024) / 1e6
  return { rss: field("VmRSS"), anonymous: field("RssAnon") }
}

const bareNode = async (): Promise<number> => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6); console.log('up')"], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  try {
    await once(child.stdout, "data")
    return (await memoryOf(child.pid!)).rss
  } finally {
    child.kill("SIGKILL")
    await once(child, "exit")
  }
}
