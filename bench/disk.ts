/**
 * What an ordinary turn leaves in the log: a scripted turn of the real server that thinks, runs a command
 * and answers with 20 KB, streamed word by word.
 */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Chat } from "@turnkeeper/testkit/Chat"
import { textBytesOf } from "@turnkeeper/server/projection/rowText"
import { eventBytes } from "@turnkeeper/server/store/EventLog"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { openView } from "@turnkeeper/testkit/View"
import type { View } from "@turnkeeper/testkit/View"
import { inDirectory } from "./directory.ts"
import { figure } from "./report.ts"
import type { Figure } from "./report.ts"

const targets = { events: 20, ratio: 1.3 }

/** Numbered words, between five and seven bytes each. */
const words = 3_700
const answerBytes = 20 * 1_024

export const disk = (): Promise<ReadonlyArray<Figure>> =>
  inDirectory(async (directory) => {
    const server = await startServer({
      directory,
      providers: [{ id: "scripted", kind: "scripted", tickMs: 1 }]
    })
    try {
      const client = await server.connect()
      const chat = await Chat.open(client, { provider: "scripted", directory })
      // The thread's making and the session's start are not the turn's.
      const first = await chat.begin("Hello. [[text:Hello.]]")
      const view = await openView(client, first.threadId)
      await whole(view, first.turnId)
      const before = view.version
      const { turnId } = await chat.say(
        first.threadId,
        `[[think:Let me see.]] [[shell:ls -l]] [[slow:${words}]]`
      )
      await whole(view, turnId)
      const answered = Buffer.byteLength(view.answer(turnId))
      if (answered < answerBytes) throw new Error(`The answer is of ${answered} bytes only.`)
      await client.close()
      await server.terminate()
      return figuresOf(read(join(server.dataDirectory, "turnkeeper.db"), first.threadId, before, turnId))
    } finally {
      await server.dispose()
    }
  })

const whole = async (view: View, turnId: string) => {
  const { state, reason } = await view.settled(turnId, 60_000)
  if (state !== "completed") throw new Error(`The turn ended as ${state}: ${reason}`)
}

interface Found {
  readonly events: number
  readonly logBytes: number
  readonly payloadBytes: number
  readonly transcriptBytes: number
}

/** The log after the version, and what the turn's rows hold for its readers. */
const read = (filename: string, threadId: string, after: number, turnId: string): Found => {
  const database = new DatabaseSync(filename, { readOnly: true })
  try {
    const one = (sql: string, ...cells: ReadonlyArray<string | number>) =>
      database.prepare(sql).get(...cells) as Record<string, number>
    const log = one(
      `SELECT count(*) AS events, sum(${eventBytes}) AS payload,
        sum(${eventBytes} + octet_length(cause) + octet_length(stream) + octet_length(type)
          + coalesce(octet_length(command_id), 0) + 4 * 8) AS bytes
        FROM events WHERE stream = ? AND version > ?`,
      `thread:${threadId}`,
      after
    )
    const messages = one(
      `SELECT sum(${textBytesOf("messages")}) AS bytes FROM messages WHERE turn_id = ?`,
      turnId
    )
    const items = one(
      `SELECT coalesce(sum(${textBytesOf("items")} + octet_length(title) + octet_length(detail)), 0) AS bytes
        FROM items WHERE turn_id = ?`,
      turnId
    )
    return {
      events: log["events"]!,
      logBytes: log["bytes"]!,
      payloadBytes: log["payload"]!,
      transcriptBytes: messages["bytes"]! + items["bytes"]!
    }
  } finally {
    database.close()
  }
}

const figuresOf = (found: Found): ReadonlyArray<Figure> => {
  const ratio = found.logBytes / found.transcriptBytes
  return [
    figure({
      name: "disk.events",
      value: found.events,
      unit: "events of one turn",
      target: `≤ ${targets.events}`,
      met: found.events <= targets.events
    }),
    figure({
      name: "disk.log",
      value: found.logBytes,
      unit: "bytes of whole rows",
      compared: found.transcriptBytes,
      against: "bytes of transcript",
      ratio,
      target: `ratio ≤ ${targets.ratio}`,
      met: ratio <= targets.ratio
    }),
    figure({ name: "disk.payload", value: found.payloadBytes, unit: "bytes of the events alone" })
  ]
}
