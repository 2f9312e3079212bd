/**
 * Whether somebody else's trouble is felt: a user's commands on a quiet thread, alone and beside a
 * provider that has fallen silent, a client that does not read, and a provider that says more than
 * anybody reads. Each time first without it and then with it, on the same server.
 */
import { Chat, dispatch, newId } from "@turnkeeper/testkit/Chat"
import { startServer } from "@turnkeeper/testkit/process/Server"
import type { RunningServer } from "@turnkeeper/testkit/process/Server"
import { openView } from "@turnkeeper/testkit/View"
import { WebSocket } from "ws"
import { inDirectory } from "./directory.ts"
import { figure, median, percentile, repeated } from "./report.ts"
import type { Figure } from "./report.ts"

const repetitions = 3
const commands = 300
const troubled = 10
/** What ran on the same machine in the same minute differs by as much. */
const targets = { ratio: 1.2, floodP99: 25 }

export const neighbours = async (): Promise<ReadonlyArray<Figure>> => {
  const figures: Array<Figure> = []
  for (const [name, trouble] of Object.entries(troubles)) {
    const runs: Array<Run> = []
    for (let n = 0; n < repetitions; n++) {
      runs.push(await inDirectory((directory) => measured(directory, trouble)))
    }
    for (const percent of [50, 99] as const) {
      const of = (which: keyof Run) => runs.map((run) => percentile(run[which], percent / 100))
      const present = repeated(of("present"))
      const ratio = median(of("present").map((ms, n) => ms / of("absent")[n]!))
      figures.push(
        figure({
          name: `neighbours.${name}.p${percent}`,
          unit: "ms per command",
          ...present,
          compared: median(of("absent")),
          against: "ms without",
          ratio,
          ...targetOf(name, percent, ratio, present.value)
        })
      )
    }
  }
  return figures
}

/** A flood takes processor time from everybody: what it may not take is the answer. */
const targetOf = (name: string, percent: number, ratio: number, ms: number) => {
  if (name === "flood") {
    return percent === 99 ? { target: `≤ ${targets.floodP99}`, met: ms <= targets.floodP99 } : {}
  }
  return percent === 50 ? { target: `ratio ≤ ${targets.ratio}`, met: ratio <= targets.ratio } : {}
}

interface Run {
  readonly absent: ReadonlyArray<number>
  readonly present: ReadonlyArray<number>
}

/** `before`: what goes on in either case. Both resolve when it is there. */
interface Trouble {
  readonly before: (server: RunningServer, chat: Chat) => Promise<ReadonlyArray<string>>
  readonly trouble: (server: RunningServer, chat: Chat, threads: ReadonlyArray<string>) => Promise<unknown>
}

const begun = async (server: RunningServer, chat: Chat, script: string): Promise<ReadonlyArray<string>> => {
  const watcher = await server.connect()
  const messages = await Promise.all(Array.from({ length: troubled }, () => chat.begin(script)))
  for (const { threadId } of messages) {
    const view = await openView(watcher, threadId)
    await view.until((seen) => seen.entries.some((entry) => entry.kind === "assistant" && entry.text !== ""))
    await view.close()
  }
  await watcher.close()
  return messages.map(({ threadId }) => threadId)
}

const nothing = () => Promise.resolve([])

const troubles: { readonly [name: string]: Trouble } = {
  hung: { before: nothing, trouble: (server, chat) => begun(server, chat, "[[stall]]") },
  stalled: {
    before: (server, chat) => begun(server, chat, "[[slow:1000000]]"),
    trouble: async (server, _, threads) => {
      const socket = new WebSocket(`${server.url.replace(/^http/, "ws")}/jsonrpc`, {
        perMessageDeflate: false,
        headers: { authorization: `Bearer ${await server.token()}` }
      })
      await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
      for (const [id, threadId] of threads.entries()) {
        const params = { threadId }
        socket.send(JSON.stringify({ jsonrpc: "2.0", id, method: "orchestration.subscribeThread", params }))
      }
      socket.pause()
    }
  },
  flood: {
    before: nothing,
    // One after another, for as long as is measured.
    trouble: (server, chat) =>
      begun(server, chat, Array.from({ length: 20 }, () => "[[flood:100000]]").join(" "))
  }
}

const measured = async (directory: string, { before, trouble }: Trouble): Promise<Run> => {
  const server = await startServer({ directory, providers: [{ id: "scripted", kind: "scripted" }] })
  try {
    const client = await server.connect()
    const chat = await Chat.open(client, { provider: "scripted", directory })
    const threadId = newId("thread")
    await dispatch(client, {
      type: "thread.create",
      threadId,
      projectId: chat.projectId,
      title: "Quiet",
      provider: "scripted"
    })
    const times = async () => {
      const taken: Array<number> = []
      for (let n = 0; n < commands; n++) {
        const from = performance.now()
        await dispatch(client, { type: "thread.update", threadId, title: `Title ${n} of ${from}` })
        taken.push(performance.now() - from)
      }
      return taken
    }
    await times()
    const threads = await before(server, chat)
    const absent = await times()
    await trouble(server, chat, threads)
    return { absent, present: await times() }
  } finally {
    await server.dispose()
  }
}
