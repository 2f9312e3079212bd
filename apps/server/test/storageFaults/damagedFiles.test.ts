/**
 * A data directory that somebody or something has damaged, and the real server started on it: it refuses with
 * its exit code and a sentence that says what to do, or it works with what can still be read. In no case does
 * it end by accident, and a file it cannot read is left as it was.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Commit } from "../../src/engine/Commit.ts"
import { codes } from "../../src/cli/Outcome.ts"
import { author, created, next, queued, storeAt, temporaryDirectory } from "../store/fixtures.ts"
import { canMount, smallDisk } from "./smallDisk.ts"

interface Ended {
  /** Null: it answered, and was asked to end. */
  readonly refusal: number | null
  readonly words: string
}

const main = join(import.meta.dirname, "../../src/main.ts")

/** Starts the server on the directory; ends it as soon as it answers. */
const started = (directory: string) =>
  Effect.promise(
    () =>
      new Promise<Ended>((resolve) => {
        const args = [main, "serve", "--data", directory, "--port", "0", "--json"]
        const config = fs.mkdtempSync(join(tmpdir(), "turnkeeper-providers-"))
        const providers = join(config, "providers.json")
        fs.writeFileSync(providers, JSON.stringify({ providers: [{ id: "scripted", kind: "scripted" }] }))
        const child = spawn(process.execPath, [...args, "--provider-config", providers], {
          env: { PATH: process.env["PATH"], HOME: config, NO_COLOR: "1" }
        })
        let words = ""
        let answered = false
        const hear = (chunk: Buffer) => {
          words += String(chunk)
          if (answered || !words.includes('"ready"')) return
          answered = true
          child.kill("SIGTERM")
        }
        child.stdout.on("data", hear)
        child.stderr.on("data", hear)
        child.once("exit", () => fs.rmSync(config, { recursive: true, force: true, maxRetries: 5 }))
        child.once("exit", (code) => resolve({ refusal: answered ? null : (code ?? -1), words }))
      })
  )

/** With time for several starts of the real server. */
const onDamaged = (name: string, body: Effect.Effect<void, unknown, Scope.Scope>, isPossible = true) =>
  it.live.skipIf(!isPossible)(name, () => body, 60_000)

const threads = 20

const threadsBegun = Effect.gen(function* () {
  const { submit } = yield* Commit
  for (let n = 0; n < threads; n++)
    yield* submit(next(author(`t${n}`), [created, queued("a", "words ".repeat(500))]))
})

/** A directory with a database of many pages, closed in order: no side files. */
const made = Effect.gen(function* () {
  const directory = join(yield* temporaryDirectory, "data")
  fs.mkdirSync(directory)
  yield* write(join(directory, "turnkeeper.db"))
  return directory
})

const write = (database: string) => threadsBegun.pipe(Effect.provide(storeAt(database)))

/** As `made`, as a crash leaves it: with the log of what was not yet brought into the database. */
const crashed = Effect.gen(function* () {
  const directory = join(yield* temporaryDirectory, "data")
  const source = yield* temporaryDirectory
  fs.mkdirSync(directory)
  const copied = Effect.sync(() => {
    for (const file of ["turnkeeper.db", "turnkeeper.db-wal"])
      fs.copyFileSync(join(source, file), join(directory, file))
  })
  yield* Effect.andThen(threadsBegun, copied).pipe(Effect.provide(storeAt(join(source, "turnkeeper.db"))))
  return directory
})

const databaseOf = (directory: string) => join(directory, "turnkeeper.db")
const walOf = (directory: string) => join(directory, "turnkeeper.db-wal")

/** Other bytes, the same for each run. */
const garble = (file: string, from: number, to: number) => {
  const bytes = fs.readFileSync(file)
  for (let at = from; at < Math.min(to, bytes.length); at++) bytes[at] = (at * 131 + 89) & 0xff
  fs.writeFileSync(file, bytes)
}

const count = (directory: string) => {
  const database = new DatabaseSync(databaseOf(directory), { readOnly: true })
  try {
    const row = database.prepare("SELECT count(*) AS n FROM threads").get() as { readonly n: number }
    assert.deepInclude(database.prepare("PRAGMA integrity_check").get(), { integrity_check: "ok" })
    return row.n
  } finally {
    database.close()
  }
}

const works = ({ refusal, words }: Ended) => assert.isNull(refusal, words)

const refused = (ended: Ended, code: number, words: RegExp) => {
  assert.strictEqual(ended.refusal, code, ended.words)
  assert.match(ended.words, words)
  assert.notMatch(ended.words, /Something went wrong in this program/)
}

/** Each damages the database so that no start is possible, and what the refusal says. */
const hopeless: ReadonlyArray<readonly [string, (file: string) => void]> = [
  ["its header is not SQLite's", (file) => garble(file, 0, 100)],
  ["its first page is garbage behind the header", (file) => garble(file, 100, 4_096)],
  ["it is the beginning of itself", (file) => fs.truncateSync(file, 4_096)],
  ["half of it is missing", (file) => fs.truncateSync(file, (fs.statSync(file).size >> 13) << 12)],
  ["it is cut inside a page", (file) => fs.truncateSync(file, 10_000)]
]

/** Each damages the write-ahead log of this size from there on, and what is left of it. */
const fromThere: ReadonlyArray<readonly [string, (file: string, there: number, size: number) => void]> = [
  ["cut: the commits before the cut are there, whole", (file, there) => fs.truncateSync(file, there)],
  ["garbage in its middle: the commits before it are there, whole", garble]
]

describe("a damaged database", () => {
  for (const [what, damage] of hopeless) {
    onDamaged(
      `${what}: the start is refused with advice, and nothing of it is touched`,
      Effect.gen(function* () {
        const directory = yield* made
        damage(databaseOf(directory))
        const before = fs.readFileSync(databaseOf(directory))
        refused(yield* started(directory), codes.failed, /damaged.*Nothing was changed/)
        assert.isTrue(fs.readFileSync(databaseOf(directory)).equals(before))
      })
    )
  }

  onDamaged(
    "pages in its middle are garbage: what they hold is refused by type, at the start or when it is asked for",
    Effect.gen(function* () {
      const directory = yield* made
      const size = fs.statSync(databaseOf(directory)).size
      garble(databaseOf(directory), size >> 1, (size >> 1) + 16_384)
      const ended = yield* started(directory)
      if (ended.refusal !== null) refused(ended, codes.failed, /damaged|cannot be read/)
      assert.isAtLeast(fs.statSync(databaseOf(directory)).size, size)
    })
  )
})

describe("a damaged write-ahead log", () => {
  onDamaged(
    "whole: everything that was committed is there",
    Effect.gen(function* () {
      const directory = yield* crashed
      works(yield* started(directory))
      assert.strictEqual(count(directory), threads)
    })
  )

  for (const [what, damage] of fromThere) {
    onDamaged(
      what,
      Effect.gen(function* () {
        const directory = yield* crashed
        const { size } = fs.statSync(walOf(directory))
        damage(walOf(directory), Math.floor(size * 0.7), size)
        works(yield* started(directory))
        assert.isAbove(count(directory), 0)
        assert.isBelow(count(directory), threads)
      })
    )
  }

  onDamaged(
    "garbage from its first byte: the database is as it was before it",
    Effect.gen(function* () {
      const directory = yield* made
      const before = count(directory)
      fs.writeFileSync(walOf(directory), Buffer.alloc(100_000, 0xa7))
      works(yield* started(directory))
      assert.strictEqual(count(directory), before)
    })
  )
})

describe("the other files", () => {
  onDamaged(
    "a lock file that says nothing is nobody's; a guard that is no lock is refused with advice",
    Effect.gen(function* () {
      const directory = yield* made
      fs.writeFileSync(join(directory, "lock"), Buffer.alloc(1_000, 0xff))
      works(yield* started(directory))
      fs.writeFileSync(join(directory, "lock.guard"), Buffer.alloc(8_192, 0x55))
      refused(yield* started(directory), codes.failed, /lock\.guard.*Remove that file/)
      fs.rmSync(join(directory, "lock.guard"))
      works(yield* started(directory))
    })
  )

  for (const [what, damage] of [
    ["is a directory", (file: string) => fs.mkdirSync(file)],
    ["is empty", (file: string) => fs.writeFileSync(file, "")],
    ["is cut", (file: string) => fs.writeFileSync(file, "abc")]
  ] as const) {
    onDamaged(
      `a token file that ${what} is refused by its exit code, and not replaced`,
      Effect.gen(function* () {
        const directory = yield* made
        const token = join(directory, "token")
        damage(token)
        const before = fs.statSync(token).size
        refused(yield* started(directory), codes.allowed, /token/)
        assert.strictEqual(fs.statSync(token).size, before)
      })
    )
  }

  onDamaged(
    "a database that is a directory is refused",
    Effect.gen(function* () {
      const directory = yield* made
      fs.rmSync(databaseOf(directory))
      fs.mkdirSync(databaseOf(directory))
      refused(yield* started(directory), codes.failed, /cannot be/)
    })
  )

  onDamaged(
    "a file system that is read-only is refused with advice, and works again when it is not",
    Effect.gen(function* () {
      const disk = yield* smallDisk
      const directory = join(disk.directory, "data")
      fs.mkdirSync(directory)
      yield* write(databaseOf(directory))
      assert.isTrue(yield* disk.readOnly(true))
      const elsewhere = yield* started(directory)
      refused(elsewhere, codes.failed, /read-only|cannot be used/)
      assert.isTrue(yield* disk.readOnly(false))
      assert.strictEqual(count(directory), threads)
      works(yield* started(directory))
    }),
    canMount
  )
})
