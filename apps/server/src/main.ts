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
import { codes, CommandFailed, wrongUsage } from "./cli/Outcome.ts"
import { printJson, terminal } from "./cli/print.ts"
import { Stop } from "./cli/Stop.ts"
import * as Streams from "./cli/streams.ts"
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
const inJson = argv.includes("--json")
const stop = Layer.succeed(Stop, { asked: Deferred.await(asked) })

Effect.runCallback(
  Command.runWith(turnkeeper, { version })(argv).pipe(
    Effect.provide([stop, Streams.layer, NodeServices.layer])
  ),
  { onExit: (exit) => process.exit(Exit.isSuccess(exit) ? codes.done : report(exit.cause)) }
)

/** Says what went wrong, and answers with the exit code for it. */
function report(cause: Cause.Cause<unknown>): number {
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) {
    // What is wrong with the call has been said on standard error, with the help.
    const wrong = error._tag === "ShowHelp" ? error.errors : [error]
    if (wrong.length === 0) return codes.done
    if (inJson) failedInJson(wrongUsage(wrong.map(({ message }) => message).join(" ")))
    return codes.usage
  }
  if (error instanceof CommandFailed) {
    if (inJson) failedInJson(error)
    else terminal.note(error.message)
    return error.code
  }
  terminal.note(`Something went wrong in this program: ${String(error)}`)
  return codes.failed
}

function failedInJson({ code, message, rule }: CommandFailed): void {
  printJson({ event: "failed", code, message, rule })
}
