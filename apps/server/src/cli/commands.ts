/** The commands of `turnkeeper`: their flags, and what they print. */
import { defaultDataDirectory } from "@turnkeeper/contracts/Discovery"
import type { ProjectRow, ThreadRow } from "@turnkeeper/contracts/Rows"
import type { ShellItem } from "@turnkeeper/contracts/Streams"
import { durationWords, threadWords } from "@turnkeeper/contracts/Words"
import { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import { Clock, Effect, Option, Result, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { homedir } from "node:os"
import { resolve } from "node:path"
import type { Approve } from "./approve.ts"
import { discover } from "./connect.ts"
import { follow, visit } from "./follow.ts"
import { wrongUsage } from "./Outcome.ts"
import { makePrinter, printJson, terminal } from "./print.ts"
import { send } from "./send.ts"
import { serve } from "./serve.ts"
import { Stop } from "./Stop.ts"

const data = Flag.String("data").pipe(
  Flag.withDescription("The data directory. Default: $TURNKEEPER_HOME, else ~/.turnkeeper"),
  Flag.optional,
  Flag.map((directory) =>
    resolve(Option.getOrElse(directory, () => defaultDataDirectory(process.env, homedir())))
  )
)
const json = Flag.Boolean("json").pipe(
  Flag.withDescription("One JSON document per line"),
  Flag.withDefault(false)
)

const serveCommand = Command.make(
  "serve",
  {
    data,
    json,
    host: Flag.String("host").pipe(
      Flag.withDescription("The address to listen on; anything but loopback lets other machines in"),
      Flag.withDefault("127.0.0.1")
    ),
    port: Flag.Int("port").pipe(Flag.withDescription("0: any that is free"), Flag.withDefault(4317)),
    providerConfig: Flag.String("provider-config").pipe(
      Flag.withDescription("A JSON file that lists the providers"),
      Flag.optional
    )
  },
  ({ data: dataDirectory, providerConfig, ...options }) =>
    Effect.gen(function* () {
      if (options.port < 0 || options.port > 65_535) return yield* wrongUsage("--port has to be 0 to 65535.")
      const server = yield* Effect.promise(() => import("../server.ts"))
      const config = Option.map(providerConfig, (file) => resolve(file))
      yield* serve({ ...options, dataDirectory, providerConfig: Option.getOrNull(config) }, server.serve)
    })
).pipe(Command.withDescription("Run the server"))

const statusCommand = Command.make("status", { data, json }, ({ data, json }) =>
  Effect.gen(function* () {
    const endpoint = yield* discover(data)
    const { hello, providers, shell } = yield* visit(data, (client, hello) =>
      Effect.all({
        hello: Effect.succeed(hello),
        providers: client["providers.list"]({}),
        shell: snapshotOf(client["orchestration.subscribeShell"]({}))
      })
    )
    const now = yield* Clock.currentTimeMillis
    const { url, pid } = endpoint
    const threads = shell.threads.length
    const busy = shell.threads.filter((row) => threadWords(row) !== "Ready").length
    if (json) return printJson({ url, pid, data, ...hello, providers, threads, busy })
    lines([
      `Turnkeeper ${hello.server.version} at ${url}, process ${pid}, up ${durationWords(now - hello.server.startedAt)}`,
      `${threads} threads, ${busy} not at rest`,
      ...providers.map(
        ({ id, displayName, health }) =>
          `${id}  ${displayName}  ${health.status}${health.advice === null ? "" : `: ${health.advice}`}`
      )
    ])
  })
).pipe(Command.withDescription("Is the server there, and what does it have"))

const threadsCommand = Command.make("threads", { data, json }, ({ data, json }) =>
  Effect.gen(function* () {
    const shell = yield* visit(data, (client) => snapshotOf(client["orchestration.subscribeShell"]({})))
    if (json) return shell.threads.forEach(printJson)
    const now = yield* Clock.currentTimeMillis
    if (shell.threads.length === 0)
      return terminal.note("There are no threads yet. Begin one with: turnkeeper send …")
    lines(
      shell.threads.map(
        (row) =>
          `${row.threadId}  ${threadWords(row, now)}  ${durationWords(now - row.lastActivityAt)} ago  ${row.title}`
      )
    )
  })
).pipe(Command.withDescription("List the threads"))

const threadId = Schema.decodeUnknownResult(ThreadId)
const toThreadId = (text: string) =>
  Result.match(threadId(text), {
    onSuccess: Effect.succeed,
    onFailure: () => Effect.fail(wrongUsage(`${JSON.stringify(text)} cannot be the id of a thread.`))
  })

const tailCommand = Command.make(
  "tail",
  { thread: Argument.String("thread"), data, json },
  ({ thread, data, json }) =>
    Effect.gen(function* () {
      const stop = yield* Stop
      const printer = makePrinter(null, terminal)
      const following = follow(data, yield* toThreadId(thread)).pipe(
        Stream.runForEach((item) =>
          Effect.sync(() => {
            if (!json) printer.show(item)
            else if (item.type !== "heartbeat") printJson(item)
          })
        )
      )
      yield* Effect.raceFirst(following, stop.asked)
      printer.finish()
    })
).pipe(Command.withDescription("Follow a thread until Ctrl-C"))

const sendCommand = Command.make(
  "send",
  {
    text: Argument.String("text").pipe(Argument.variadic()),
    data,
    json,
    thread: Flag.String("thread").pipe(Flag.withDescription("Go on in this thread"), Flag.optional),
    project: Flag.String("project").pipe(
      Flag.withDescription("The directory of a new thread's project. Default: this one"),
      Flag.withDefault(".")
    ),
    provider: Flag.String("provider").pipe(
      Flag.withDescription("The provider's id. Default: the thread's, else the first that is ready"),
      Flag.optional
    ),
    approve: Flag.Literals("approve", ["accept", "decline"]).pipe(
      Flag.withDescription("Answer approvals without asking"),
      Flag.optional
    )
  },
  ({ text, thread, provider, approve, ...options }) =>
    Effect.gen(function* () {
      const message = text.join(" ").trim()
      if (message === "") return yield* wrongUsage("There is nothing to send. Give the message as arguments.")
      yield* send({
        ...options,
        text: message,
        thread: Option.isSome(thread) ? yield* toThreadId(thread.value) : null,
        provider: Option.isSome(provider) ? yield* toProviderId(provider.value) : null,
        approve: Option.getOrElse(approve, (): Approve =>
          process.stdin.isTTY && process.stderr.isTTY ? "ask" : "wait"
        )
      })
    })
).pipe(Command.withDescription("Send a message to an agent and print its answer"))

const providerId = Schema.decodeUnknownResult(ProviderInstanceId)
const toProviderId = (text: string) =>
  Result.match(providerId(text), {
    onSuccess: Effect.succeed,
    onFailure: () => Effect.fail(wrongUsage(`${JSON.stringify(text)} cannot be the id of a provider.`))
  })

export const turnkeeper = Command.make("turnkeeper").pipe(
  Command.withDescription(
    "Keeps the turns of coding agents: none left hanging, no message lost or sent twice"
  ),
  Command.withSubcommands([serveCommand, statusCommand, threadsCommand, sendCommand, tailCommand])
)

/** The shell as it is now: what comes before `synchronized`. */
const snapshotOf = <E>(items: Stream.Stream<ShellItem, E>) =>
  items.pipe(
    Stream.takeWhile((item) => item.type !== "synchronized"),
    Stream.runFold(
      () => ({ projects: [] as ReadonlyArray<ProjectRow>, threads: [] as ReadonlyArray<ThreadRow> }),
      (shell, item) => {
        if (item.type === "snapshot") return { projects: item.projects, threads: item.threads }
        return item.type === "thread" ? { ...shell, threads: [...shell.threads, item.row] } : shell
      }
    )
  )

const lines = (all: ReadonlyArray<string>) =>
  void process.stdout.write(all.map((line) => `${line}\n`).join(""))
