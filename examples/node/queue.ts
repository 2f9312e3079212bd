/**
 * Takes a message whether the server runs or not. What was not delivered is in a file, and goes out once, the
 * next time this is run: under its own command id, so that nothing is sent twice.
 *
 *     node examples/node/queue.ts OUTBOX-FILE THREAD "Go on with the tests"
 */
import { until } from "../../packages/client/src/index.ts"
import type { OutboxStorage, StoredCommand } from "../../packages/client/src/index.ts"
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { connectHere } from "./local.ts"

/** A JSON file that is replaced as a whole: after a crash it holds what was before, or what is now. */
const fileOutbox = (path: string): OutboxStorage => {
  const read = (): ReadonlyArray<StoredCommand> =>
    existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as ReadonlyArray<StoredCommand>) : []
  const write = (all: ReadonlyArray<StoredCommand>) => {
    writeFileSync(`${path}.new`, JSON.stringify(all))
    renameSync(`${path}.new`, path)
  }
  const others = (commandId: string) => read().filter(({ command }) => command.commandId !== commandId)
  return {
    load: read,
    save: (stored) => write([...others(stored.command.commandId), stored]),
    remove: (commandId) => write(others(commandId))
  }
}

const [file = "outbox.json", threadId, text] = process.argv.slice(2)
const client = connectHere({ outbox: fileOutbox(file) })
if (threadId !== undefined && text !== undefined) void client.send({ threadId, text })

try {
  const isOver = ({ entries, storage }: ReturnType<typeof client.outbox.get>) =>
    storage !== "loading" && entries.every(({ state }) => state === "refused")
  const { entries } = await until(client.outbox, isOver, AbortSignal.timeout(5_000))
  for (const { failure } of entries) process.stdout.write(`refused: ${failure?._tag}\n`)
  process.stdout.write("delivered\n")
} catch {
  process.stdout.write(`${client.connection.get().status}: ${client.outbox.get().entries.length} kept\n`)
} finally {
  await client.close()
}
