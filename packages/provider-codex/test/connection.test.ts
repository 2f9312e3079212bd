/** The wire over real processes: small programs that behave as badly as one can. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Child from "../src/Child.ts"
import type { Handlers, Notification } from "../src/Connection.ts"
import * as Connection from "../src/Connection.ts"
import { ensureGone, isAlive, startTimeOf } from "@turnkeeper/provider-kit/processes"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import { wire } from "./player.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "codex-connection-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A program of a few lines; `say` writes one line of protocol, `on` hears each line of ours. */
const preamble = `
  const say = (value) => process.stdout.write(JSON.stringify(value) + "\\n")
  const on = (hear) => require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => hear(JSON.parse(line)))
`

const noHandlers: Handlers = { notification: () => Effect.void, request: () => Effect.void }

const connect = Effect.fnUntraced(function* (
  program: string,
  options: Connection.ConnectionOptions & { readonly handlers?: Handlers; readonly patience?: number } = {}
) {
  const directory = yield* temporary
  const ledger = ProcessLedger.make({ directory, owner: "test" })
  const transport = yield* Child.spawn({
    binary: process.execPath,
    arguments: ["-e", preamble + program],
    env: process.env,
    ledger,
    patience: options.patience ?? 2_000
  })
  const connection = yield* Connection.make(transport, options.handlers ?? noHandlers, options)
  const [file] = readdirSync(directory)
  const { pid, startTime } = JSON.parse(readFileSync(join(directory, file!), "utf8")) as {
    pid: number
    startTime: string
  }
  return { connection, transport, ledger, directory, process: { pid, startTime } }
})

const call = (connection: Connection.Connection, deadline: number | string = "10 seconds") =>
  connection.call("thread/loaded/list", {}, { deadline: deadline as "10 seconds" })

const echo = `on(({ id }) => say({ id, result: { data: ["a"], nextCursor: null } }))`

/** Collects notifications until one is called "end". */
const collector = Effect.gen(function* () {
  const heard: Array<Notification> = []
  const over = yield* Deferred.make<void>()
  const handlers: Handlers = {
    ...noHandlers,
    notification: (notification) => {
      heard.push(notification)
      return notification.method === "end" ? Effect.asVoid(Deferred.succeed(over, undefined)) : Effect.void
    }
  }
  return { heard, over: Deferred.await(over), handlers }
})

describe("a connection", () => {
  it.live("matches answers to calls, in whatever order they come", () =>
    Effect.gen(function* () {
      const { connection } = yield* connect(`
        const held = []
        on((m) => { held.push(m); if (held.length === 2) for (const { id } of held.reverse()) say({ id, result: { data: [String(id)], nextCursor: null } }) })
      `)
      const [one, two] = yield* Effect.all([call(connection), call(connection)], { concurrency: 2 })
      assert.deepEqual([one.data, two.data], [["1"], ["2"]])
    })
  )

  it.live("skips and counts what is not of the protocol, and goes on", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { connection } = yield* connect(
        `process.stdout.write("garbage\\n\\n[1]\\n{}\\n"); say({ id: 77, result: 1 }); say({ id: null, error: 1 }); say({ method: "end" }); on(() => {})`,
        { handlers: ear.handlers }
      )
      yield* ear.over
      assert.equal(connection.malformed(), 5)
      assert.equal(ear.heard.length, 1)
    })
  )

  it.live("skips a line that is too long, and reads the next", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { connection } = yield* connect(
        `say({ method: "long", params: "x".repeat(300000) }); say({ method: "end" }); on(() => {})`,
        { handlers: ear.handlers, lineBytesMax: 100_000 }
      )
      yield* ear.over
      assert.deepEqual(
        ear.heard.map(({ method }) => method),
        ["end"]
      )
      assert.equal(connection.malformed(), 1)
    })
  )

  it.live("keeps characters whole that arrive in pieces", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      yield* connect(
        `
        const bytes = Buffer.from(JSON.stringify({ method: "text", params: "\u00e4\u20ac\u{1f980}" }) + "\\n" + JSON.stringify({ method: "end" }) + "\\n")
        let at = 0
        const next = () => { if (at < bytes.length) process.stdout.write(bytes.subarray(at, ++at), () => setImmediate(next)) }
        next(); on(() => {})
        `,
        { handlers: ear.handlers }
      )
      yield* ear.over
      assert.equal(ear.heard[0]?.params, "\u00e4\u20ac\u{1f980}")
    })
  )

  it.live("hears a request whose id is 0, and can refuse it", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<Connection.ServerRequest>()
      const ear = yield* collector
      const { connection } = yield* connect(
        `say({ method: "may I", id: 0, params: {} }); on((m) => say({ method: "end", params: m }))`,
        {
          handlers: { ...ear.handlers, request: (request) => Effect.asVoid(Deferred.succeed(asked, request)) }
        }
      )
      const request = yield* Deferred.await(asked)
      yield* connection.refuse(request.id, "no")
      yield* ear.over
      assert.deepEqual(ear.heard[0]?.params, { id: 0, error: { code: -32601, message: "no" } })
    })
  )

  it.effect("a slow handler stops the reading: what is not handled stays with the program", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const gate = yield* Deferred.make<void>()
      const ear = yield* collector
      let heard = 0
      let pulled = 0
      const chunks = Stream.range(1, 10_000).pipe(
        Stream.rechunk(1),
        Stream.map((n) => {
          pulled++
          return Buffer.from(`${JSON.stringify({ method: n === 10_000 ? "end" : "tick" })}\n`)
        })
      )
      yield* Connection.make(
        { ...ends.transport, input: chunks },
        {
          ...noHandlers,
          notification: (notification) => {
            heard++
            return Effect.andThen(Deferred.await(gate), ear.handlers.notification(notification))
          }
        }
      )
      for (let turn = 0; turn < 1_000; turn++) yield* Effect.yieldNow
      assert.deepEqual([heard, pulled], [1, 1])
      yield* Deferred.succeed(gate, undefined)
      yield* ear.over
      assert.equal(heard, 10_000)
    })
  )

  it.effect("a call that is not answered in time fails, and its late answer is still told", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const connection = yield* Connection.make(ends.transport, noHandlers)
      const told = yield* Deferred.make<unknown>()
      const calling = yield* Effect.forkScoped(
        Effect.flip(
          connection.call(
            "thread/loaded/list",
            {},
            {
              deadline: "10 seconds",
              onAnswer: (answer) =>
                Effect.asVoid(Deferred.succeed(told, Exit.isSuccess(answer) && answer.value.data))
            }
          )
        )
      )
      const { id } = yield* ends.heard
      yield* TestClock.adjust("10 seconds")
      assert.equal((yield* Fiber.join(calling))._tag, "NoAnswer")
      yield* ends.say({ id, result: { data: ["late"], nextCursor: null } })
      assert.deepEqual(yield* Deferred.await(told), ["late"])
    })
  )

  it.effect("what comes behind an answer is handled after whoever waits for the answer was told", () =>
    Effect.gen(function* () {
      const ends = yield* wire
      const order: Array<string> = []
      const over = yield* Deferred.make<void>()
      const connection = yield* Connection.make(ends.transport, {
        ...noHandlers,
        notification: ({ method }) => {
          order.push(method)
          return Effect.asVoid(Deferred.succeed(over, undefined))
        }
      })
      yield* Effect.forkScoped(
        connection.call(
          "thread/loaded/list",
          {},
          {
            deadline: "1 second",
            onAnswer: () =>
              Effect.andThen(
                Effect.yieldNow,
                Effect.sync(() => order.push("answer"))
              )
          }
        )
      )
      const { id } = yield* ends.heard
      yield* ends.say({ id, result: {} }, { method: "behind" })
      yield* Deferred.await(over)
      assert.deepEqual(order, ["answer", "behind"])
    })
  )
})

describe("a handler that breaks", () => {
  it.live("ends the program, and with it every waiting call", () =>
    Effect.gen(function* () {
      const { connection } = yield* connect(`on(() => say({ method: "odd" }))`, {
        handlers: { ...noHandlers, notification: () => Effect.die("broken on purpose") }
      })
      assert.equal((yield* Effect.flip(call(connection)))._tag, "TransportBroke")
      assert.equal((yield* connection.closed).how, "killed")
    })
  )
})

describe("the end of the program", () => {
  it.live("fails every waiting call at once: it was written, so it may have been read", () =>
    Effect.gen(function* () {
      const { connection } = yield* connect(`on(() => process.kill(process.pid, "SIGKILL"))`)
      const error = yield* Effect.flip(call(connection))
      assert.isTrue(error._tag === "TransportBroke" && error.delivered === "unknown")
      const after = yield* Effect.flip(call(connection))
      assert.isTrue(after._tag === "TransportBroke" && after.delivered === "no")
      assert.equal((yield* connection.closed).how, "by itself")
    })
  )

  it.live("is told with its last words handled, and with the reason it gave", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { connection } = yield* connect(
        `say({ method: "end" }); process.stderr.write("\\u001b[31mError\\u001b[0m: bad config\\n"); process.exitCode = 3`,
        { handlers: ear.handlers }
      )
      const end = yield* connection.closed
      assert.equal(ear.heard.length, 1)
      assert.equal(end.message, "Codex ended with exit code 3: Error: bad config")
    })
  )

  it.live("does not wait for a command that keeps the output open", () =>
    Effect.gen(function* () {
      const { connection } = yield* connect(`
        require("node:child_process").spawn("sleep", ["600"], { stdio: "inherit" }).on("spawn", () => process.exit(1))
      `)
      const end = yield* Effect.timeout(connection.closed, "5 seconds")
      assert.equal(end.how, "by itself")
    })
  )

  it.live("by closing its input is enough for a program that listens", () =>
    Effect.gen(function* () {
      const { connection, process: child, directory } = yield* connect(echo)
      yield* call(connection)
      yield* connection.close
      assert.deepEqual(yield* connection.closed, { how: "closed", message: "Codex ended with exit code 0." })
      assert.isFalse(isAlive(child))
      assert.deepEqual(readdirSync(directory), [])
    })
  )

  it.live("comes by SIGKILL for one that listens to nothing, and takes its commands with it", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { connection, process: child } = yield* connect(
        `
        process.on("SIGTERM", () => {})
        const { spawn } = require("node:child_process")
        const own = spawn("sleep", ["600"], { stdio: "ignore" }), detached = spawn("sleep", ["600"], { stdio: "ignore", detached: true })
        say({ method: "end", params: [own.pid, detached.pid] })
        setInterval(() => {}, 1000)
        `,
        { handlers: ear.handlers, patience: 100 }
      )
      yield* ear.over
      const children = (ear.heard[0]!.params as ReadonlyArray<number>).map((pid) => ({
        pid,
        startTime: startTimeOf(pid)!
      }))
      assert.isTrue(children.every(isAlive))
      yield* connection.close
      assert.equal((yield* connection.closed).message, "Codex ended by SIGKILL.")
      assert.deepEqual([child, ...children].filter(isAlive), [])
    })
  )

  it.live("also ends a program that is stopped", () =>
    Effect.gen(function* () {
      const { connection, process: child } = yield* connect(echo)
      yield* call(connection)
      process.kill(child.pid, "SIGSTOP")
      yield* connection.kill
      assert.isFalse(isAlive(child))
    })
  )

  it.live("comes with the scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { process: child } = yield* Scope.provide(connect(echo), scope)
      assert.isTrue(isAlive(child))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(child))
    })
  )

  it.live("a program that is not there, or may not be run, is told as missing", () =>
    Effect.gen(function* () {
      const ledger = { record: () => {}, forget: () => {} }
      const options = { arguments: [], env: {}, ledger }
      const missing = yield* Effect.flip(Child.spawn({ ...options, binary: "/no/such/program" }))
      assert.isTrue(missing.missing)
      const forbidden = join(yield* temporary, "file")
      writeFileSync(forbidden, "")
      assert.isTrue((yield* Effect.flip(Child.spawn({ ...options, binary: forbidden }))).missing)
    })
  )
})

/** A program on record whose server is gone: nobody ends it with its scope. */
const orphan = (directory: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const ledger = ProcessLedger.make({ directory, owner: "codex" })
      const scope = yield* Scope.make()
      const recorded: Array<number> = []
      yield* Scope.provide(
        Child.spawn({
          binary: process.execPath,
          arguments: ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"],
          env: process.env,
          ledger: {
            record: (pid, command) => {
              recorded.push(pid)
              ledger.record(pid, command)
            },
            forget: () => {}
          }
        }),
        scope
      )
      return { pid: recorded[0]!, startTime: startTimeOf(recorded[0]!)! }
    }),
    (child) => ensureGone([child])
  )

describe("the ledger", () => {
  it.live("L12: a program that a killed server left behind is dead before anything else is done", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const child = yield* orphan(directory)
      assert.isTrue(isAlive(child))
      const { killed, survived } = yield* ProcessLedger.make({ directory, owner: "codex" }).reap
      assert.deepEqual([killed, survived], [[child.pid], []])
      assert.isFalse(isAlive(child))
      assert.deepEqual(readdirSync(directory), [])
    })
  )

  it.live(
    "another process with a recorded id, another owner's child and a damaged record are left alone",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        const ledger = ProcessLedger.make({ directory, owner: "codex" })
        const child = yield* orphan(directory)
        const [file] = readdirSync(directory)
        const record = JSON.parse(readFileSync(join(directory, file!), "utf8")) as object
        writeFileSync(join(directory, file!), JSON.stringify({ ...record, startTime: "1" }))
        writeFileSync(join(directory, "codex.99.json"), "{ half a rec")
        writeFileSync(join(directory, `other.${child.pid}.json`), JSON.stringify(record))
        assert.deepEqual(yield* ledger.reap, { killed: [], survived: [] })
        assert.isTrue(isAlive(child))
        assert.deepEqual(readdirSync(directory), [`other.${child.pid}.json`])
      })
  )

  it.live("without a directory there is nothing to do", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporary, "none")
      assert.deepEqual(yield* ProcessLedger.make({ directory, owner: "codex" }).reap, {
        killed: [],
        survived: []
      })
      assert.isFalse(existsSync(directory))
    })
  )
})

describe("finding the program", () => {
  it.live("takes the one named, else the one of the environment, else the first on the path", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const program = join(directory, "codex")
      assert.isNull(Child.findBinary(undefined, { PATH: directory }))
      writeFileSync(program, "", { mode: 0o755 })
      assert.equal(Child.findBinary(undefined, { PATH: `/nowhere:${directory}` }), program)
      assert.equal(Child.findBinary(undefined, { PATH: "", TURNKEEPER_CODEX_BIN: program }), program)
      assert.equal(Child.findBinary(program, { TURNKEEPER_CODEX_BIN: "/other" }), program)
      assert.isNull(Child.findBinary("/no/such/program", { PATH: directory }))
    })
  )
})
