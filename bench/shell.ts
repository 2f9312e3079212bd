/**
 * A row of the sidebar that changed: from the answer to the command until the row is with a client that
 * watches 1,000 threads, against one that watches 10. The changes come one by one, further apart than the
 * time in which rows are gathered, so that only the work is measured.
 */
import { setTimeout } from "node:timers/promises"
import { limits } from "@turnkeeper/contracts/Limits"
import { Chat, dispatch, newId } from "@turnkeeper/testkit/Chat"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { inDirectory } from "./directory.ts"
import { figure, median, percentile, repeated, spreadOf } from "./report.ts"
import type { Figure } from "./report.ts"

const repetitions = 3
const sizes = { few: 10, many: 1_000 }
const changes = 60
/** More than the time in which rows are gathered, and the client's acknowledgement. */
const quietMs = limits.shellGatherMillis + 50
const now = () => performance.now()
const target = 5

export const shell = async (): Promise<ReadonlyArray<Figure>> => {
  const runs: Array<{ readonly few: ReadonlyArray<number>; readonly many: ReadonlyArray<number> }> = []
  for (let n = 0; n < repetitions; n++) {
    runs.push({
      few: await inDirectory((directory) => measured(directory, sizes.few)),
      many: await inDirectory((directory) => measured(directory, sizes.many))
    })
  }
  return ([50, 99] as const).map((percent) => {
    const of = (which: "few" | "many") => runs.map((run) => percentile(run[which], percent / 100))
    const taken = repeated(of("many"))
    return figure({
      name: `shell.row.p${percent}`,
      unit: `ms with ${sizes.many} threads`,
      ...taken,
      compared: median(of("few")),
      against: `ms with ${sizes.few}, ${spreadOf(of("few"))
        .map((ms) => ms.toPrecision(2))
        .join(" to ")}`,
      ratio: taken.value / median(of("few")),
      ...(percent === 50 && { target: `≤ ${target}`, met: taken.value <= target })
    })
  })
}

interface ShellTold {
  readonly type: string
  readonly row?: { readonly title: string }
}

/** Milliseconds of each change, the first ones left out. */
const measured = async (directory: string, threads: number): Promise<ReadonlyArray<number>> => {
  const server = await startServer({ directory, providers: [{ id: "scripted", kind: "scripted" }] })
  try {
    const client = await server.connect()
    const { projectId } = await Chat.open(client, { provider: "scripted", directory })
    const ids = Array.from({ length: threads }, () => newId("thread"))
    const create = (threadId: string) =>
      dispatch(client, { type: "thread.create", threadId, projectId, title: "Thread", provider: "scripted" })
    // No more at once than a connection may have under way.
    for (let n = 0; n < threads; n += 50) await Promise.all(ids.slice(n, n + 50).map(create))
    const watcher = await server.connect()
    const told = await watcher.subscribe<ShellTold>("orchestration.subscribeShell")
    const items = told[Symbol.asyncIterator]()
    const until = async (fits: (item: ShellTold) => boolean) => {
      for (;;) {
        const { done, value } = await items.next()
        if (done === true) throw new Error("The subscription has ended.")
        if (fits(value)) return
      }
    }
    await until(({ type }) => type === "synchronized")
    const taken: Array<number> = []
    for (let n = 0; n < changes; n++) {
      await setTimeout(quietMs)
      const title = `Title ${n}`
      const [answered, told] = await Promise.all([
        dispatch(client, { type: "thread.update", threadId: ids[n % threads]!, title }).then(now),
        until(({ row }) => row?.title === title).then(now)
      ])
      taken.push(Math.max(0, told - answered))
    }
    return taken.slice(changes / 5)
  } finally {
    await server.dispose()
  }
}
