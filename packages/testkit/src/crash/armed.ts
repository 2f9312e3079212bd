/**
 * The real server, with an ear for the points at which it is to kill itself (`points.ts`). It listens in
 * node's own modules, below the server and its adapters: nothing of the server knows of it, and a server
 * that is started otherwise has none of it.
 *
 *     TURNKEEPER_CRASH_POINTS=DIRECTORY node armed.ts serve …
 *
 * A point of start-up counts from the first statement to the ready line; any other one from SIGUSR2 on.
 */
import childProcess from "node:child_process"
import type { ChildProcess } from "node:child_process"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { basename } from "node:path"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { directoryVariable, isOfStart, pointFilesIn } from "./points.ts"
import type { Point } from "./points.ts"

const files = pointFilesIn(process.env[directoryVariable] ?? ".")
const first = files.takeArmed()

let armed: Point | null = first !== null && isOfStart(first) ? first : null
let passes = 0

const print = process.stdout.write.bind(process.stdout)
process.stdout.write = ((...args: Parameters<typeof print>) => {
  // The first that it prints is its ready line: whoever reads it finds a server.
  if (armed !== null && isOfStart(armed)) armed = null
  return print(...args)
}) as typeof print

process.on("SIGUSR2", () => {
  const next = files.takeArmed()
  armed = next === null || isOfStart(next) ? null : next
  passes = 0
})

const pass = (name: Point["name"]) => {
  if (armed?.name !== name) return
  passes += 1
  if (passes === armed.at) die(armed)
}

const die = (point: Point) => {
  files.noteHit(point)
  process.kill(process.pid, "SIGKILL")
  // The signal may take a moment; nothing more is done in it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

// The database

const texts = new WeakMap<StatementSync, string>()
const real = {
  prepare: DatabaseSync.prototype.prepare,
  run: StatementSync.prototype.run,
  all: StatementSync.prototype.all
}
/** The transaction that is open has the marker of a send in it. */
let holdsMarker = false

DatabaseSync.prototype.prepare = function (this: DatabaseSync, text: string) {
  const statement = real.prepare.call(this, text)
  texts.set(statement, text)
  return statement
}

const stepping = <A>(statement: StatementSync, values: ReadonlyArray<unknown>, step: () => A): A => {
  const text = texts.get(statement) ?? ""
  pass("in start-up")
  if (text.startsWith("BEGIN")) holdsMarker = false
  if (values.includes("turn.send_started")) holdsMarker = true
  if (text.includes("INSERT INTO message_chunks")) pass("in mid-stream")
  if (text !== "COMMIT") return step()
  pass("before a commit")
  pass("before a commit of start-up")
  if (holdsMarker) pass("before the marker of a send")
  const done = step()
  pass("after a commit")
  pass("after a commit of start-up")
  if (holdsMarker) pass("after the marker of a send")
  holdsMarker = false
  return done
}

StatementSync.prototype.run = function (this: StatementSync, ...values: ReadonlyArray<never>) {
  return stepping(this, values, () => real.run.apply(this, values as never))
}
StatementSync.prototype.all = function (this: StatementSync, ...values: ReadonlyArray<never>) {
  return stepping(this, values, () => real.all.apply(this, values as never))
} as never

// The providers: what is written to a program, asked over HTTP, or, by the scripted one, into its record

const before = (isPrompt: boolean) => {
  pass("before a provider call")
  if (isPrompt) pass("before a prompt")
}

const after = (isPrompt: boolean) => {
  pass("after a provider call")
  if (isPrompt) pass("after a prompt")
}

/** Each prompt of a run names its turn. */
const mark = "[[id:"

const writing = <A>(text: unknown, write: () => A): A => {
  const isPrompt = String(text).includes(mark)
  before(isPrompt)
  const done = write()
  after(isPrompt)
  return done
}

const { spawn } = childProcess
const { appendFileSync } = fs
const { fetch } = globalThis

childProcess.spawn = ((...args: Parameters<typeof spawn>) => {
  const child: ChildProcess = spawn(...args)
  const { stdin } = child
  if (stdin === null) return child
  const write = stdin.write.bind(stdin)
  stdin.write = ((...written: Parameters<typeof write>) =>
    writing(written[0], () => write(...written))) as typeof write
  return child
}) as never

fs.appendFileSync = (...args: Parameters<typeof appendFileSync>) =>
  basename(String(args[0])).startsWith("conv-")
    ? writing(args[1], () => appendFileSync(...args))
    : appendFileSync(...args)

globalThis.fetch = async (...args: Parameters<typeof fetch>) => {
  const { body = null, method = "GET" } = args[1] ?? {}
  if (method === "GET") return fetch(...args)
  const isPrompt = String(body).includes(mark)
  before(isPrompt)
  const answer = await fetch(...args)
  after(isPrompt)
  return answer
}

syncBuiltinESMExports()

await import("../../../../apps/server/src/main.ts")
