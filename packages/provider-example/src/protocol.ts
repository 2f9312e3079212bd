/** The agent's own protocol, as schemas: what does not fit is counted and skipped, never guessed at. */
import { Schema } from "effect"

/** What is asked of it; each gets one answer with its id. */
export type Request =
  | { readonly do: "open"; readonly conversation: string | null }
  | { readonly do: "prompt"; readonly name: string; readonly text: string; readonly asks: boolean }
  | { readonly do: "interrupt"; readonly turn: string | null }
  | { readonly do: "answer"; readonly request: string; readonly decision: string }
  | { readonly do: "status"; readonly turn: string | null }

export const Reply = Schema.Struct({
  id: Schema.Int,
  ok: Schema.optionalKey(Schema.Unknown),
  no: Schema.optionalKey(Schema.Literals(["gone", "busy", "not running", "not waiting", "unknown"]))
})
export type Reply = typeof Reply.Type

export const How = Schema.Literals(["completed", "failed", "interrupted"])

export const Opened = Schema.Struct({ conversation: Schema.String })
export const Begun = Schema.Struct({ turn: Schema.String })
export const Status = Schema.Struct({
  running: Schema.NullOr(Schema.String),
  how: Schema.NullOr(How),
  why: Schema.NullOr(Schema.String)
})

const item = {
  turn: Schema.String,
  item: Schema.String,
  kind: Schema.Literals(["message", "command"]),
  title: Schema.String
}

/** What it says by itself. */
export const Said = Schema.Union([
  Schema.Struct({ say: Schema.tag("turn"), turn: Schema.String, name: Schema.String }),
  Schema.Struct({ say: Schema.tag("item"), ...item }),
  Schema.Struct({ say: Schema.tag("text"), turn: Schema.String, item: Schema.String, text: Schema.String }),
  Schema.Struct({
    say: Schema.tag("item-end"),
    ...item,
    how: Schema.Literals(["completed", "failed", "declined"]),
    text: Schema.NullOr(Schema.String)
  }),
  Schema.Struct({
    say: Schema.tag("ask"),
    turn: Schema.String,
    request: Schema.String,
    title: Schema.String
  }),
  Schema.Struct({
    say: Schema.tag("end"),
    turn: Schema.String,
    how: How,
    why: Schema.NullOr(Schema.String)
  })
])
export type Said = typeof Said.Type

/** A line of its record. */
export const Recorded = Schema.Union([
  Schema.Struct({ prompt: Schema.String, turn: Schema.String }),
  Schema.Struct({ turn: Schema.String, how: How, why: Schema.NullOr(Schema.String) }),
  Schema.Struct({ turn: Schema.String, item: Schema.String, text: Schema.String }),
  Schema.Struct({ opened: Schema.Boolean })
])
export type Recorded = typeof Recorded.Type
