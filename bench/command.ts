/**
 * From a user's command to its durable answer over the socket: a title is changed, one command at a time,
 * each on the disk (`synchronous = FULL`) before it is answered. Against a WebSocket echo of the same bytes
 * from a process of its own. Command, echo and the bare writing of one page to the disk take turns, so that
 * whatever else the machine does meets all three.
 *
 * `command.idle`: nothing else goes on. `command.busy`: 50 threads stream, one of them watched by a second
 * client.
 */
import { open } from "node:fs/promises"
import { join } from "node:path"
import { Chat, dispatch, newId } from "@turnkeeper/testkit/Chat"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { openView } from "@turnkeeper/testkit/View"
import { inDirectory } from "./directory.ts"
import { startEcho } from "./startEcho.ts"
import { figure, percentile, repeated } from "./report.ts"
import type { Figure } from "./report.ts"

const repetitions = 3
const commands = 500
const streaming = 50
/** Each thread speaks 100 words a second. */
const tickMs = 10
const targets = { idle: { p50: 3, p99: 10 }, busy: { p50: null, p99: 25 } }

export const command = async (): Promise<ReadonlyArray<Figure>> => {
  const runs: Array<Run> = []
  for (let n = 0; n < repetitions; n++) runs.push(await inDirectory(measured))
  const figures = (["idle", "busy"] as const).flatMap((which) =>
    ([50, 99] as const).flatMap((percent) => {
      const of = (name: keyof Times) =>
        repeated(runs.map((run) => percentile(run[which][name], percent / 100)))
      const taken = of("commands")
      const echo = of("echoes").value
      const target = percent === 50 ? targets[which].p50 : targets[which].p99
      return [
        figure({
          name: `command.${which}.p${percent}`,
          unit: "ms",
          ...taken,
          compared: echo,
          against: "ms, raw ws echo",
          ratio: taken.value / echo,
          ...(target !== null && { target: `≤ ${target}`, met: taken.value <= target })
        }),
        figure({
          name: `command.${which}.write.p${percent}`,
          unit: "ms, one page to the disk",
          ...of("writes")
        })
      ]
    })
  )
  const words = repeated(runs.map((run) => run.words))
  return [...figures, figure({ name: "command.busy.words", unit: "words/s streamed meanwhile", ...words })]
}

interface Times {
  readonly commands: ReadonlyArray<number>
  readonly echoes: ReadonlyArray<number>
  readonly writes: ReadonlyArray<number>
}

interface Run {
  readonly idle: Times
  readonly busy: Times
  /** Words a second that all threads together streamed meanwhile. */
  readonly words: number
}

const measured = async (directory: string): Promise<Run> => {
  const server = await startServer({
    directory,
    providers: [{ id: "scripted", kind: "scripted", tickMs }]
  })
  const echo = await startEcho()
  const page = await openPage(directory)
  try {
    const client = await server.connect()
    const chat = await Chat.open(client, { provider: "scripted", directory })
    const quiet = newId("thread")
    await dispatch(client, {
      type: "thread.create",
      threadId: quiet,
      projectId: chat.projectId,
      title: "Quiet",
      provider: "scripted"
    })
    const measure = () =>
      times({
        commands: (n) => dispatch(client, renaming(quiet, n)),
        echoes: (n) => echo.exchange(JSON.stringify(renaming(quiet, n))),
        writes: page.write
      })
    // The first ones warm both sides up.
    await measure()
    const idle = await measure()
    const threads = await Promise.all(Array.from({ length: streaming }, () => chat.begin("[[slow:1000000]]")))
    const watcher = await server.connect()
    const view = await openView(watcher, threads[0]!.threadId)
    await view.until((seen) => seen.entries.some((entry) => entry.text.length > 100))
    const said = () => view.entries.reduce((sum, entry) => sum + entry.text.split(" ").length, 0)
    const [wordsBefore, from] = [said(), performance.now()]
    const busy = await measure()
    const words = ((said() - wordsBefore) * streaming * 1_000) / (performance.now() - from)
    if (view.isSettled(threads[0]!.turnId)) throw new Error("The threads did not stream to the end.")
    return { idle, busy, words }
  } finally {
    await page.close()
    await echo.end()
    await server.dispose()
  }
}

const times = async (exchanges: {
  readonly [Name in keyof Times]: (n: number) => Promise<unknown>
}): Promise<Times> => {
  const taken = { commands: new Array<number>(), echoes: new Array<number>(), writes: new Array<number>() }
  for (let n = 0; n < commands; n++) {
    for (const name of ["commands", "echoes", "writes"] as const) {
      const from = performance.now()
      await exchanges[name](n)
      taken[name].push(performance.now() - from)
    }
  }
  return taken
}

const renaming = (threadId: string, n: number) =>
  ({ type: "thread.update", threadId, title: `Title ${n} of ${performance.now()}` }) as const

/** One page, on the disk when it resolves. */
const openPage = async (directory: string) => {
  const file = await open(join(directory, "page"), "w")
  const bytes = Buffer.alloc(4_096, 1)
  return {
    write: async () => {
      await file.write(bytes)
      await file.sync()
    },
    close: () => file.close()
  }
}
