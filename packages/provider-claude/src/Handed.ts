/**
 * Which messages were handed to Claude, conversation by conversation: one small file each, written before
 * the message.
 *
 * Claude asks its model a moment before it writes the message to its own record. Killed in between, its
 * record does not know a message that the model has seen. So "it is not in the record" proves that it never
 * arrived only for a message that was never handed over, and this is what remembers that (L12).
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs"
import { join } from "node:path"
import { Schema } from "effect"

/** `taken`: Claude said that it works on it. */
const How = Schema.Literals(["handed", "taken"])
export type How = typeof How.Type

export interface Handed {
  /** The conversation is ours from its beginning: what is not noted was not handed over. */
  readonly begin: (sessionId: string) => void
  /** On the disk when it returns. */
  readonly note: (sessionId: string, uuid: string, how: How) => void
  /** By the message's name. Null where nothing is known of the conversation. */
  readonly read: (sessionId: string) => ReadonlyMap<string, How> | null
}

/** Only the newest messages can be in doubt: there is one at a time. */
const kept = 100

const Notes = Schema.Array(Schema.Tuple([Schema.String, How]))
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Notes))

export const make = (directory: string): Handed => {
  const fileOf = (sessionId: string) => join(directory, `${sessionId}.json`)

  const write = (sessionId: string, notes: ReadonlyMap<string, How>) => {
    mkdirSync(directory, { recursive: true })
    const fresh = `${fileOf(sessionId)}.new`
    const file = openSync(fresh, "w")
    try {
      writeSync(file, JSON.stringify([...notes].slice(-kept)))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    // Renamed into place: a reader never sees half of it.
    renameSync(fresh, fileOf(sessionId))
  }

  const read = (sessionId: string): ReadonlyMap<string, How> | null => {
    try {
      const notes = decode(readFileSync(fileOf(sessionId), "utf8"))
      return notes._tag === "Some" ? new Map(notes.value) : null
    } catch {
      return null
    }
  }

  return {
    begin: (sessionId) => write(sessionId, read(sessionId) ?? new Map()),
    note: (sessionId, uuid, how) => write(sessionId, new Map([...(read(sessionId) ?? []), [uuid, how]])),
    read
  }
}
