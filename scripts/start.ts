/**
 * `npm start`: the server with whatever providers this machine has, its page in the browser, and what to
 * type next. `npm start -- --no-open`, or TURNKEEPER_NO_OPEN, leaves the browser alone.
 *
 * The data directory is $TURNKEEPER_HOME, else ~/.turnkeeper. The port is 4317, or any free one when that
 * is taken. Ctrl-C stops the server in order. Exit code 3: another server works on the directory already.
 */
// Works by being loaded before any schema is made: decoding is then several times as fast.
// oxlint-disable-next-line import/no-unassigned-import
import "effect/schema/SchemaJITCompiler/enable"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { once } from "node:events"
import { createServer } from "node:net"
import { homedir } from "node:os"
import { resolve } from "node:path"
import { openBrowser } from "../apps/server/src/cli/openBrowser.ts"
import { linkWords } from "../apps/server/src/cli/serve.ts"
import type { Ready, StartError } from "../apps/server/src/cli/serve.ts"
import { serve } from "../apps/server/src/server.ts"
import { defaultDataDirectory } from "../packages/contracts/src/Discovery.ts"

const host = "127.0.0.1"
const usualPort = 4317
const codes = { stopped: 0, failed: 1, owned: 3, killed: 130 } as const

const say = (...lines: ReadonlyArray<string>) => process.stdout.write(`${lines.join("\n")}\n`)
const complain = (...lines: ReadonlyArray<string>) => process.stderr.write(`${lines.join("\n")}\n`)

/** Asked beforehand: a server that finds its port taken only at the end has begun to work by then. */
const isFree = async (port: number): Promise<boolean> => {
  const probe = createServer()
  try {
    probe.listen(port, host)
    await once(probe, "listening")
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}

const cli = process.platform === "win32" ? "npm run turnkeeper --" : "npx turnkeeper"

const welcome = (dataDirectory: string, port: number) => (info: Ready) =>
  Effect.map(info.newLink("operate"), (link) => {
    const other = port === usualPort ? [] : [`(Port ${usualPort} is taken, so this is another one.)`]
    say(
      "",
      `Turnkeeper answers at ${info.url}`,
      ...other,
      `It keeps its data in ${dataDirectory}`,
      "",
      "Open this in a browser:",
      "",
      `  ${link.url}`,
      "",
      linkWords,
      "",
      "Or, in a second terminal, in this directory:",
      "",
      `  ${cli} send "Hello"                      a chat with the scripted provider: no key, no account`,
      `  ${cli} send "[[ask:git push]]"           an agent that asks before it acts`,
      `  ${cli} send --provider codex "Hello"     Codex, where it is installed and signed in`,
      `  ${cli} status                            the server and which providers are ready`,
      `  ${cli} --help                            everything else`,
      "",
      "Ctrl-C stops the server. What runs is ended in order, and its thread says so.",
      ""
    )
    if (!process.argv.includes("--no-open")) openBrowser(link.url)
  })

/** What is in the way and what to do about it; the exit code. */
const explain = (error: StartError, dataDirectory: string): number => {
  if (error._tag === "DataDirectoryInUse") {
    const who = error.pid === null ? "Another server" : `Another server (process ${error.pid})`
    complain(
      `${who} works on ${dataDirectory} already${error.address === null ? "" : `, at ${error.address}`}.`,
      `Use that one: ${cli} send "Hello", or in a browser by the link of: ${cli} pair`,
      "Or start this one beside it: TURNKEEPER_HOME=another/directory npm start"
    )
    return codes.owned
  }
  complain(`The server did not start. ${error.message === "" ? error._tag : error.message}`)
  if (error._tag === "DataDirectoryUnusable" || error._tag === "DatabaseUnusable") {
    complain("Another directory can be given: TURNKEEPER_HOME=another/directory npm start")
  }
  return codes.failed
}

const codeOf = (exit: Exit.Exit<never, StartError>, dataDirectory: string): number => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return codes.stopped
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isSome(error)) return explain(error.value, dataDirectory)
  complain(`Something went wrong in this program: ${Cause.pretty(exit.cause)}`)
  return codes.failed
}

const dataDirectory = resolve(defaultDataDirectory(process.env, homedir()))
const port = (await isFree(usualPort)) ? usualPort : 0
const running = Effect.runFork(
  serve({ dataDirectory, host, port, providerConfig: null, json: false }, welcome(dataDirectory, port))
)

/** Under `npm start` one Ctrl-C arrives twice, from the terminal and from npm: that is still one. */
const sameMs = 500
let askedAt: number | null = null
const onSignal = () => {
  const now = performance.now()
  if (askedAt !== null && now - askedAt > sameMs) process.exit(codes.killed)
  if (askedAt !== null) return
  askedAt = now
  say("", "Stopping …")
  void Effect.runPromise(Fiber.interrupt(running))
}
process.on("SIGINT", onSignal)
process.on("SIGTERM", onSignal)

const exit = await Effect.runPromise(Fiber.await(running))
const code = codeOf(exit, dataDirectory)
if (code === codes.stopped) say("Stopped.")
process.exit(code)
