/**
 * L11: a command id is answered once. The same id with the same body gets the same answer; with another
 * body it is refused. A rejection is not an answer to keep: a later retry may succeed (C4).
 */
import { Schema } from "effect"
import { CommandId } from "./ids.ts"

export class CommandIdReused extends Schema.TaggedError<CommandIdReused>()("CommandIdReused", {
  commandId: CommandId
}) {}

export type Repetition = "new" | "repeated" | "reused"

/** `stored`: the hash of the body that was accepted under this id, or null. */
export const repetition = (stored: string | null, hash: string): Repetition =>
  stored === null ? "new" : stored === hash ? "repeated" : "reused"
