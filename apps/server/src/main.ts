#!/usr/bin/env node
/**
 * The process: arguments in, signals, exit code out.
 *
 * The first SIGINT or SIGTERM asks what runs to stop in order; a second one ends the process at once.
 */
// Works by being loaded before any schema is made: decoding is then several times as fast.
// oxlint-disable-next-line import/no-unassigned-import
import "effect/schema/SchemaJITCompiler/enable"
import { NodeServices } from "@effect/platform-node"
import { Cause, Deferred, Effect, Exit, Layer } from "effect"
import { CliError, Command } from "effect/cli"
import { turnkeeper } from "./cli/commands.ts"
import { codes, CommandFailed } from "./cli/Outcome.ts"
import { printJson, terminal } from "./cli/print.ts"
import { Stop } from "./cli/Stop.ts"
import { version } from "./rpc/ServerInfo.ts"

const asked = Deferred.makeUnsafe<void>()
let askedAt: number | null = null
const onSignal = () => {
  // Run by npm, one Ctrl-C arrives twice: from the terminal and passed on.
  if (askedAt !== null && performance.now() - askedAt > 500) process.exit(codes.stopped)
  askedAt ??= performance.now()
  Deferred.doneUnsafe(asked, Exit.void)
}
process.on("SIGINT", onSignal)
process.on("SIGTERM", onSignal)
// Whoever reads our output may leave before we are done, as `head` does.
process.stdout.on("error", () => process.exit(codes.done))

const argv = process.argv.slice(2)
const stop = Layer.succeed(Stop, { asked: Deferred.await(asked) })

Effect.runCallback(
  Command.runWith(turnkeeper, { version })(argv).pipe(Effect.provide([stop, NodeServices.layer])),
  { onExit: (exit) => process.exit(Exit.isSuccess(exit) ? codes.done : report(exit.cause)) }
)

/** Says what went wrong, and answers with the exit code for it. */
function report(cause: Cause.Cause<unknown>): number {
  const error = Cause.squash(cause)
  if (CliError.isCliError(error))
    return error._tag === "ShowHelp" && error.errors.length === 0 ? codes.done : codes.usage
  if (error instanceof CommandFailed) {
    const { code, message, rule } = error
    if (argv.includes("--json")) printJson({ event: "failed", code, message, rule })
    else terminal.note(message)
    return code
  }
  terminal.note(`Something went wrong in this program: ${String(error)}`)
  return codes.failed
}
