/** The commands of `turnkeeper`: their flags, and what they print. */
import { defaultDataDirectory } from "@turnkeeper/contracts/Discovery"
import type { ProjectRow, ThreadRow } from "@turnkeeper/contracts/Rows"
import type { ShellItem } from "@turnkeeper/contracts/Streams"
import { Scope } from "@turnkeeper/contracts/Scope"
import { durationWords, threadWords } from "@turnkeeper/contracts/Words"
import { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import { Clock, Effect, Option, Result, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { homedir } from "node:os"
import { resolve } from "node:path"
import { createToken, listTokens, pair, revokeToken } from "./access.ts"
import type { Approve } from "./approve.ts"
import { discover } from "./connect.ts"
import { desktop } from "./desktop.ts"
import { doctor } from "./doctor.ts"
import { follow, visit } from "./follow.ts"
import { backupData, rebuildData, verifyData } from "./maintain.ts"
import { wrongUsage } from "./Outcome.ts"
import { makePrinter, printJson, terminal } from "./print.ts"
import { listProviders, printSchema, providerLine, refreshProviders } from "./providers.ts"
import { search } from "./search.ts"
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

const providerConfig = Flag.String("provider-config").pipe(
  Flag.withDescription("The providers' settings file. Default: providers.json in the data directory"),
  Flag.optional,
  Flag.map(Option.map((file) => resolve(file)))
)

const usualPort = 4317

const serveCommand = Command.make(
  "serve",
  {
    data,
    json,
    host: Flag.String("host").pipe(
      Flag.withDescription("The address to listen on; anything but loopback lets other machines in"),
      Flag.withDefault("127.0.0.1")
    ),
    port: Flag.Int("port").pipe(
      Flag.withDescription(`0: any that is free. Default: ${usualPort}, with --desktop 0`),
      Flag.optional
    ),
    origin: Flag.String("origin").pipe(
      Flag.withDescription("An origin beside our own that a web client may come from; may be repeated"),
      Flag.atLeast(0)
    ),
    providerConfig,
    desktop: Flag.Boolean("desktop").pipe(
      Flag.withDescription("As the child of a desktop app, which hands over a secret and is told one line"),
      Flag.withDefault(false)
    ),
    secretFd: Flag.Int("secret-fd").pipe(
      Flag.withDescription("With --desktop: the descriptor of the pipe that the secret comes on"),
      Flag.withDefault(0)
    )
  },
  ({ data: dataDirectory, providerConfig, origin, desktop: isDesktop, secretFd, json, ...flags }) =>
    Effect.gen(function* () {
      const port = Option.getOrElse(flags.port, () => (isDesktop ? 0 : usualPort))
      if (port < 0 || port > 65_535) return yield* wrongUsage("--port has to be 0 to 65535.")
      if (isDesktop && json) return yield* wrongUsage("--desktop speaks JSON already: leave out --json.")
      const server = yield* Effect.promise(() => import("../server.ts"))
      const config = Option.getOrNull(providerConfig)
      const options = { dataDirectory, host: flags.host, port, providerConfig: config, origins: origin }
      yield* isDesktop
        ? desktop({ ...options, secretFd }, server.serve)
        : serve({ ...options, json }, server.serve)
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
      ...providers.map(providerLine)
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

const searchCommand = Command.make(
  "search",
  {
    words: Argument.String("words").pipe(Argument.variadic()),
    data,
    json,
    thread: Flag.String("thread").pipe(Flag.withDescription("In this thread alone"), Flag.optional)
  },
  ({ words, thread, ...options }) =>
    Effect.gen(function* () {
      const query = words.join(" ").trim()
      if (query === "") return yield* wrongUsage("There is nothing to look for. Give the words as arguments.")
      yield* search(options, query, Option.isSome(thread) ? yield* toThreadId(thread.value) : null)
    })
).pipe(Command.withDescription("Find words in prompts and answers, the newest first"))

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

const scope = (description: string, usual: Scope) =>
  Flag.Literals("scope", Scope.literals).pipe(Flag.withDescription(description), Flag.withDefault(usual))

const pairCommand = Command.make(
  "pair",
  { data, json, scope: scope("What the browser may do", "operate") },
  ({ scope, ...options }) => pair(options, scope)
).pipe(Command.withDescription("A link that signs one browser in"))

const tokensCommand = Command.make("tokens").pipe(
  Command.withDescription("The tokens of programs, and the browsers that are signed in"),
  Command.withSubcommands([
    Command.make("list", { data, json }, listTokens).pipe(Command.withDescription("Who may come in")),
    Command.make(
      "create",
      {
        name: Argument.String("name"),
        data,
        json,
        scope: scope("What the program may do", "read"),
        days: Flag.Int("days").pipe(Flag.withDescription("How long. Default: until revoked"), Flag.optional)
      },
      ({ name, scope, days, ...options }) => createToken(options, name, scope, Option.getOrNull(days))
    ).pipe(Command.withDescription("A token for a program; it is shown once")),
    Command.make("revoke", { id: Argument.String("id"), data, json }, ({ id, ...options }) =>
      revokeToken(options, id)
    ).pipe(Command.withDescription("Take a token or a browser's sign-in back, at once"))
  ])
)

const providersCommand = Command.make("providers", { data, json }, listProviders).pipe(
  Command.withDescription("The providers, and how each is doing"),
  Command.withSubcommands([
    Command.make("refresh", { data, json }, refreshProviders).pipe(
      Command.withDescription("Read the settings file again and ask each provider anew")
    ),
    Command.make("schema", {}, () => printSchema).pipe(
      Command.withDescription("The JSON Schema of the settings file, for editors")
    )
  ])
)

const doctorCommand = Command.make(
  "doctor",
  { data, json, providerConfig },
  ({ providerConfig, ...options }) => doctor({ ...options, providerConfig: Option.getOrNull(providerConfig) })
).pipe(Command.withDescription("What is wrong on this machine, and how to mend it"))

const verifyCommand = Command.make("verify", { data, json }, verifyData).pipe(
  Command.withDescription("Hold the tables against the log; a server may work meanwhile")
)

const rebuildCommand = Command.make("rebuild", { data, json }, rebuildData).pipe(
  Command.withDescription("Make the tables anew from the log; a server works on meanwhile")
)

const backupCommand = Command.make(
  "backup",
  { file: Argument.String("file"), data, json },
  ({ file, ...options }) => backupData(options, resolve(file))
).pipe(Command.withDescription("Copy the database into a new file; a server may work meanwhile"))

export const turnkeeper = Command.make("turnkeeper").pipe(
  Command.withDescription(
    "Keeps the turns of coding agents: none left hanging, no message lost or sent twice"
  ),
  Command.withSubcommands([
    serveCommand,
    statusCommand,
    threadsCommand,
    sendCommand,
    tailCommand,
    searchCommand,
    providersCommand,
    doctorCommand,
    verifyCommand,
    rebuildCommand,
    backupCommand,
    pairCommand,
    tokensCommand
  ])
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
