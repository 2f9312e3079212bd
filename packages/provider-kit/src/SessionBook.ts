/**
 * Which conversations of a program that lives on are whose: what a later server needs to find its sessions
 * in it again. One small file beside the program's record, written before anything is said in a conversation.
 *
 * Promise: a prompt that may have been written to the program is on record as that, whatever ends this
 * process and when. What is not on record was never written.
 */
import { Generation, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"

const Entry = Schema.Struct({
  /** The provider's own name of the conversation. */
  name: Schema.String,
  threadId: ThreadId,
  generation: Generation,
  /** Where it works, for a provider that keeps its conversations by that. */
  directory: Schema.NullOr(Schema.String),
  /** The newest turn whose prompt was begun to be written. */
  sent: Schema.NullOr(TurnId)
})
export type Entry = typeof Entry.Type

export interface SessionBook {
  readonly entries: () => ReadonlyArray<Entry>
  /** A session of ours is open on this conversation, in place of an earlier generation's. */
  readonly opened: (
    name: string,
    session: { readonly threadId: ThreadId; readonly generation: Generation; readonly directory?: string }
  ) => void
  /** The prompt of this turn is about to be written. */
  readonly sends: (name: string, turnId: TurnId) => void
  /** Turns whose prompts an earlier server may have been cut off writing. */
  readonly inherited: ReadonlySet<TurnId>
  /** Does nothing where another generation has taken the conversation over. */
  readonly closed: (name: string, generation: Generation) => void
}

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Entry)))

/** `file: null`: kept in memory only, for a program that ends with us. */
export const make = (file: string | null): SessionBook => {
  const entries = new Map((file === null ? [] : read(file)).map((entry) => [entry.name, entry]))

  const inherited = new Set([...entries.values()].flatMap(({ sent }) => sent ?? []))

  const write = () => {
    if (file === null) return
    mkdirSync(dirname(file), { recursive: true })
    // Renamed into place: a reader never sees half a book.
    writeFileSync(`${file}.new`, JSON.stringify([...entries.values()]), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  const put = (entry: Entry) => {
    entries.set(entry.name, entry)
    write()
  }

  return {
    entries: () => [...entries.values()],
    opened: (name, { directory, generation, threadId }) =>
      put({
        name,
        threadId,
        generation,
        directory: directory ?? null,
        sent: entries.get(name)?.sent ?? null
      }),
    sends: (name, turnId) => {
      const entry = entries.get(name)
      if (entry !== undefined) put({ ...entry, sent: turnId })
    },
    inherited,
    closed: (name, generation) => {
      if (entries.get(name)?.generation !== generation) return
      entries.delete(name)
      // With the program its files are gone, and stay so.
      if (file !== null && existsSync(file)) write()
    }
  }
}

const read = (file: string): ReadonlyArray<Entry> => {
  try {
    const found = decode(readFileSync(file, "utf8"))
    return found._tag === "Some" ? found.value : []
  } catch {
    return []
  }
}
