/**
 * How a command of the command line ends: an exit code that scripts can act on, and words for people.
 *
 *     0 done   1 failed   2 wrong usage   3 cannot connect   4 not allowed   5 refused by the rules
 *     6 another server works on the data directory (desktop mode)
 */
import { isRejection } from "@turnkeeper/contracts/Errors"
import { refusalWords } from "@turnkeeper/contracts/Words"
import { Schema } from "effect"

export const codes = {
  done: 0,
  failed: 1,
  usage: 2,
  connect: 3,
  allowed: 4,
  refused: 5,
  inUse: 6,
  stopped: 130
} as const

/** What happened, and what to do. `rule` names the rule that refused, where one did. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  code: Schema.Int,
  message: Schema.String,
  rule: Schema.NullOr(Schema.String)
}) {}

export const failed = (message: string) => new CommandFailed({ code: codes.failed, message, rule: null })
export const wrongUsage = (message: string) => new CommandFailed({ code: codes.usage, message, rule: null })
export const cannotConnect = (message: string) =>
  new CommandFailed({ code: codes.connect, message, rule: null })
export const notAllowed = (message: string) => new CommandFailed({ code: codes.allowed, message, rule: null })

/** An error of a call, as this command's end. The connection itself failing is one of them. */
export const fromCall = (error: { readonly _tag: string }): CommandFailed => {
  if (error._tag === "CommandFailed") return error as CommandFailed
  if (error._tag === "RpcClientError") return cannotConnect("The connection to the server was lost.")
  const rule = isRejection(error) ? error._tag : null
  return new CommandFailed({
    code: rule === null ? codes.failed : codes.refused,
    message: refusalWords(error),
    rule
  })
}
