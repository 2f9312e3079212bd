import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { DataDirectory } from "../../src/store/DataDirectory.ts"
import { temporaryDirectory } from "./fixtures.ts"

const open = (directory: string) =>
  Effect.map(DataDirectory, ({ database }) => database).pipe(Effect.provide(DataDirectory.layer(directory)))

/** Another server process on the directory; ended with the test. */
const holder = (directory: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = spawn(process.execPath, [`${import.meta.dirname}/holdDirectory.ts`, directory], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      const [line] = await once(child.stdout, "data")
      assert.strictEqual(String(line), "held\n")
      return child
    }),
    end
  )

const end = (child: ChildProcess) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  })

const lockOf = (directory: string) => JSON.parse(fs.readFileSync(`${directory}/lock`, "utf8"))

describe("DataDirectory", () => {
  it.effect("makes the directory for its owner alone, with a lock that names this process", () =>
    Effect.gen(function* () {
      const directory = `${yield* temporaryDirectory}/deep/data`
      yield* Effect.gen(function* () {
        const { database, announce } = yield* DataDirectory
        assert.strictEqual(fs.statSync(directory).mode & 0o777, 0o700)
        assert.strictEqual(fs.statSync(database).mode & 0o777, 0o600)
        assert.deepInclude(lockOf(directory), { pid: process.pid, address: null })
        yield* announce("http://127.0.0.1:1234")
        assert.deepInclude(lockOf(directory), { pid: process.pid, address: "http://127.0.0.1:1234" })
      }).pipe(Effect.provide(DataDirectory.layer(directory)))
      assert.isFalse(fs.existsSync(`${directory}/lock`))
      yield* open(directory)
    }).pipe(Effect.scoped)
  )

  it.effect("E10: a second owner is refused, in the same process too", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        const error = yield* Effect.flip(open(directory))
        assert.deepInclude(error, { _tag: "DataDirectoryInUse", pid: process.pid, address: null })
        assert.deepInclude(lockOf(directory), { pid: process.pid })
      }).pipe(Effect.provide(DataDirectory.layer(directory)))
    }).pipe(Effect.scoped)
  )

  it.live("E10: a second server is told who has the directory and where; after kill -9 it may have it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const child = yield* holder(directory)
      const error = yield* Effect.flip(open(directory))
      assert.deepInclude(error, {
        _tag: "DataDirectoryInUse",
        pid: child.pid ?? null,
        address: "http://127.0.0.1:4000"
      })
      yield* end(child)
      assert.deepInclude(lockOf(directory), { pid: child.pid ?? null })
      yield* open(directory)
    }).pipe(Effect.scoped)
  )

  it.live("E10: a stopped owner is not a dead one", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const child = yield* holder(directory)
      child.kill("SIGSTOP")
      assert.deepInclude(yield* Effect.flip(open(directory)), {
        _tag: "DataDirectoryInUse",
        pid: child.pid ?? null
      })
    }).pipe(Effect.scoped)
  )

  it.live("E10: the lock file alone protects a living owner", () =>
    Effect.gen(function* () {
      const [directory, other] = [yield* temporaryDirectory, yield* temporaryDirectory]
      const child = yield* holder(other)
      fs.copyFileSync(`${other}/lock`, `${directory}/lock`)
      assert.deepInclude(yield* Effect.flip(open(directory)), {
        _tag: "DataDirectoryInUse",
        pid: child.pid ?? null
      })
      yield* end(child)
      yield* open(directory)
    }).pipe(Effect.scoped)
  )

  it.effect("E10: a pid that belongs to a later process is a dead owner's", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const write = (lock: object) => fs.writeFileSync(`${directory}/lock`, JSON.stringify(lock))
      write({ pid: process.pid, startTime: "another boot:1", address: null })
      yield* open(directory)
      write({ pid: process.pid, startTime: null, address: null })
      assert.strictEqual((yield* Effect.flip(open(directory)))._tag, "DataDirectoryInUse")
      fs.writeFileSync(`${directory}/lock`, "{ cut off")
      yield* open(directory)
    }).pipe(Effect.scoped)
  )

  it.live("of two that take it from the dead at once exactly one gets it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      fs.writeFileSync(
        `${directory}/lock`,
        JSON.stringify({ pid: 2 ** 22 - 1, startTime: "gone:1", address: null })
      )
      const children = [0, 1].map(() =>
        spawn(process.execPath, [`${import.meta.dirname}/holdDirectory.ts`, directory], {
          stdio: ["pipe", "pipe", "inherit"]
        })
      )
      yield* Effect.addFinalizer(() => Effect.forEach(children, end))
      const lines = yield* Effect.promise(() =>
        Promise.all(children.map(async (child) => String((await once(child.stdout, "data"))[0])))
      )
      assert.lengthOf(
        lines.filter((line) => line === "held\n"),
        1
      )
    }).pipe(Effect.scoped)
  )

  it.effect("a place where no directory can be made is a typed error", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      fs.writeFileSync(`${directory}/file`, "")
      const error = yield* Effect.flip(open(`${directory}/file/data`))
      assert.deepInclude(error, { _tag: "DataDirectoryUnusable", code: "ENOTDIR" })
    }).pipe(Effect.scoped)
  )
})
