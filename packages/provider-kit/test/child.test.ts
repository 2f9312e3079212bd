/** A program as a child of ours: however it behaves, nothing of it is left. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Child from "../src/Child.ts"
import { ensureGone, isAlive, startTimeOf } from "../src/processes.ts"
import * as ProcessLedger from "../src/ProcessLedger.ts"
import { call, collector, connect, echo, programOf, temporary } from "./fixtures/program.ts"

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
      assert.equal(end.message, "The program ended with exit code 3: Error: bad config")
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
      assert.deepEqual(yield* connection.closed, {
        how: "closed",
        message: "The program ended with exit code 0."
      })
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
      assert.equal((yield* connection.closed).message, "The program ended by SIGKILL.")
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

  it.live("takes with it what has left its group, also when nobody asked it to end", () =>
    Effect.gen(function* () {
      const ear = yield* collector
      const { child, connection } = yield* connect(
        `
        const left = require("node:child_process").spawn("sleep", ["600"], { stdio: "ignore", detached: true })
        say({ method: "end", params: left.pid }); on(() => {})
        `,
        { handlers: ear.handlers }
      )
      yield* ear.over
      const pid = ear.heard[0]!.params as number
      const left = { pid, startTime: startTimeOf(pid)! }
      assert.isTrue(isAlive(left))
      process.kill(child.pid, "SIGKILL")
      yield* connection.closed
      assert.isTrue(yield* child.close)
      assert.isFalse(isAlive(left))
    })
  )

  it.live(
    "a program that is not there, or may not be run, is told as missing; a directory that is not is not",
    () =>
      Effect.gen(function* () {
        const ledger = { record: () => {}, forget: () => {} }
        const startWith = (changes: Partial<Child.ChildOptions>) =>
          Effect.flip(Child.start({ ...programOf(""), ledger, ...changes }))
        assert.isTrue((yield* startWith({ program: "/no/such/program" })).missing)
        const forbidden = join(yield* temporary, "file")
        writeFileSync(forbidden, "")
        assert.isTrue((yield* startWith({ program: forbidden })).missing)
        const elsewhere = yield* startWith({ cwd: "/no/such/directory" })
        assert.isFalse(elsewhere.missing)
        assert.include(elsewhere.message, "/no/such/directory")
        assert.isFalse((yield* startWith({ arguments: ["a\0b"] })).missing)
      })
  )
})

/** A program on record whose server is gone: nobody ends it with its scope. */
const orphan = (directory: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const ledger = ProcessLedger.make({ directory, owner: "one" })
      const scope = yield* Scope.make()
      const recorded: Array<number> = []
      yield* Scope.provide(
        Child.start({
          ...programOf("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"),
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
      const { killed, survived } = yield* ProcessLedger.make({ directory, owner: "one" }).reap
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
        const ledger = ProcessLedger.make({ directory, owner: "one" })
        const child = yield* orphan(directory)
        const [file] = readdirSync(directory)
        const record = JSON.parse(readFileSync(join(directory, file!), "utf8")) as object
        writeFileSync(join(directory, file!), JSON.stringify({ ...record, startTime: "1" }))
        writeFileSync(join(directory, "one.99.json"), "{ half a rec")
        writeFileSync(join(directory, `other.${child.pid}.json`), JSON.stringify(record))
        assert.deepEqual(yield* ledger.reap, { killed: [], survived: [] })
        assert.isTrue(isAlive(child))
        assert.deepEqual(readdirSync(directory), [`other.${child.pid}.json`])
      })
  )

  it.live("without a directory there is nothing to do", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporary, "none")
      assert.deepEqual(yield* ProcessLedger.make({ directory, owner: "one" }).reap, {
        killed: [],
        survived: []
      })
      assert.isFalse(existsSync(directory))
    })
  )
})
