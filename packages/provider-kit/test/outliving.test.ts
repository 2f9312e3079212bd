/** A program that lives on is taken over when it is proven to be ours, ended when it is of no use, else left alone. */
import { assert, it } from "@effect/vitest"
import { Effect, Schedule, Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ownerMark } from "../src/Child.ts"
import * as Outliving from "../src/Outliving.ts"
import * as ProcessLedger from "../src/ProcessLedger.ts"
import { ensureGone, isAlive, listensOn, marked, startTimeOf } from "../src/processes.ts"
import type { ProcessId } from "../src/processes.ts"
import { markName, optionsIn } from "./fixtures/listening.ts"

/** A data directory of its own; whatever was started from it is gone with the test. */
const world = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "outliving-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )
  const owner = ownerMark(directory, "one")
  yield* Effect.addFinalizer(() => Effect.suspend(() => ensureGone(marked(markName, owner))))
  const options = (changes: Partial<Outliving.OutlivingOptions> = {}) => ({
    ...optionsIn(directory),
    ...changes
  })
  return { directory, owner, options }
})

/** What a server that is killed leaves: the program runs, and nobody closes its scope. */
const leftBehind = (options: Outliving.OutlivingOptions) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const attached = yield* Outliving.acquire(options).pipe(Scope.provide(scope))
    return { attached, scope }
  })

const identified = (pid: number): ProcessId => ({ pid, startTime: startTimeOf(pid) ?? "" })

const recordOf = (directory: string) => {
  const name = readdirSync(directory).find((one) => one.endsWith(".json"))
  return name === undefined ? null : join(directory, name)
}

const linux = it.live.skipIf(!Outliving.isPossible)

linux(
  "it is taken over by the next server with its address and secret, and ended with that one's scope",
  () =>
    Effect.gen(function* () {
      const { directory, options, owner } = yield* world
      const { attached } = yield* leftBehind(options())
      const program = identified(attached.pid)
      assert.equal(statSync(recordOf(directory)!).mode & 0o777, 0o600)
      const again = yield* Effect.scoped(
        Effect.gen(function* () {
          const taken = yield* Outliving.acquire(options())
          assert.isFalse(taken.isGone())
          const answer = yield* Effect.promise(async () => (await fetch(taken.address)).text())
          assert.equal(answer, taken.secret)
          return taken
        })
      )
      assert.deepEqual(
        [again.pid, again.address, again.secret],
        [attached.pid, attached.address, attached.secret]
      )
      // The scope has ended it, what had left its group, its watcher, and its files.
      assert.isTrue(again.isGone())
      assert.isFalse(isAlive(program))
      assert.deepEqual(marked(markName, owner), [])
      assert.deepEqual(readdirSync(directory), [])
    })
)

linux("its end by another hand is noticed, and what it had started ends with it", () =>
  Effect.gen(function* () {
    const { options, owner } = yield* world
    const attached = yield* Outliving.acquire(options())
    process.kill(attached.pid, "SIGKILL")
    assert.equal((yield* attached.gone).how, "by itself")
    assert.deepEqual(yield* ensureGone(marked(markName, owner)), [])
  })
)

linux("with other settings it is of no use: it is ended, and another one is started", () =>
  Effect.gen(function* () {
    const { options } = yield* world
    const { attached } = yield* leftBehind(options())
    const first = identified(attached.pid)
    const next = yield* Outliving.acquire(options({ settings: { version: 2 } }))
    assert.notEqual(next.pid, attached.pid)
    assert.isFalse(isAlive(first))
  })
)

linux("a server that wants none of it ends it by the ledger", () =>
  Effect.gen(function* () {
    const { directory, options, owner } = yield* world
    const { attached } = yield* leftBehind(options())
    const reaped = yield* ProcessLedger.make({ directory, owner: "one" }).reap
    assert.deepEqual(reaped, { killed: [attached.pid], survived: [] })
    yield* ensureGone(marked(markName, owner))
    assert.deepEqual(readdirSync(directory), [])
  })
)

linux("one of ours that no longer listens at its address is not spoken to there, but ended", () =>
  Effect.gen(function* () {
    const { directory, options } = yield* world
    const { attached } = yield* leftBehind(options())
    const foreign = yield* stranger
    const file = recordOf(directory)!
    writeFileSync(file, readFileSync(file, "utf8").replace(attached.address, foreign.address))
    assert.isNull(Outliving.find(options()))
    const next = yield* Outliving.acquire(options())
    assert.notInclude([attached.pid, foreign.pid], next.pid)
    assert.isFalse(isAlive(identified(attached.pid)))
    assert.isTrue(isAlive(foreign))
    assert.deepEqual(foreign.asked(), [])
  })
)

linux("a foreign process under the recorded number is left alone, whatever it listens on", () =>
  Effect.gen(function* () {
    const { directory, options } = yield* world
    const { attached } = yield* leftBehind(options())
    const file = recordOf(directory)!
    const foreign = yield* stranger
    const record = JSON.parse(readFileSync(file, "utf8")) as { outliving: { address: string } }
    yield* attached.kill
    // Its number and start time are right, as after a restart of the machine; the mark is not there.
    writeFileSync(
      file,
      JSON.stringify({
        ...record,
        pid: foreign.pid,
        startTime: foreign.startTime,
        outliving: { ...record.outliving, address: foreign.address }
      })
    )
    assert.isTrue(listensOn(foreign.pid, Number(new URL(foreign.address).port)))
    assert.isNull(Outliving.find(options()))
    const next = yield* Outliving.acquire(options())
    assert.notEqual(next.pid, foreign.pid)
    assert.isTrue(isAlive(foreign))
    assert.deepEqual(foreign.asked(), [])
  })
)

linux(
  "when its server is killed and none comes, its watcher ends it and what it had started",
  () =>
    Effect.gen(function* () {
      const { directory, owner } = yield* world
      const server = spawn(process.execPath, [join(import.meta.dirname, "fixtures/holder.ts"), directory], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => server.kill("SIGKILL")))
      yield* Effect.promise(() => once(server.stdout, "data"))
      const all = marked(markName, owner)
      // The program, what has left its group, and the watcher.
      assert.isAtLeast(all.length, 3)
      server.kill("SIGKILL")
      yield* waitUntilGone(all)
    }),
  20_000
)

const waitUntilGone = (all: ReadonlyArray<ProcessId>) =>
  Effect.suspend(() => (all.some(isAlive) ? Effect.fail("alive") : Effect.void)).pipe(
    Effect.retry({ times: 1_000, schedule: Schedule.spaced("20 millis") }),
    Effect.orDie
  )

/** A server of somebody else's, in a process of its own. */
const stranger = Effect.gen(function* () {
  const child = spawn(
    process.execPath,
    [
      "-e",
      `const server = require("node:http").createServer((request, response) => { console.log("asked"); response.end() })
       server.listen(0, "127.0.0.1", () => console.log(server.address().port))`
    ],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
  let printed = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text))
  yield* Effect.promise(() => once(child.stdout, "data"))
  const port = Number(printed.split("\n")[0])
  return {
    ...identified(child.pid!),
    address: `http://127.0.0.1:${port}`,
    asked: () => printed.split("\n").filter((line) => line === "asked")
  }
})
