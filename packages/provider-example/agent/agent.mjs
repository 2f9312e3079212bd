#!/usr/bin/env node
/**
 * A small agent without a model: the program behind the example adapter. One JSON object per line, both ways.
 *
 *     → {"id":1,"do":"open","conversation":null}          ← {"id":1,"ok":{"conversation":"c1f…"}}
 *     → {"id":2,"do":"prompt","name":"n","text":"run ls","asks":true}
 *                                                          ← {"id":2,"ok":{"turn":"c1f….1"}}
 *     ← {"say":"turn"} {"say":"item"} {"say":"text"} {"say":"ask"} {"say":"item-end"} {"say":"end"} …
 *     → {"id":3,"do":"answer"|"interrupt"|"status", …}    ← {"id":3,"ok":{…}} or {"id":3,"no":"not running"}
 *
 * What it can do: `run COMMAND`, `count N`, `flood N`, `wait`, `hum`, `fail WORDS`; else it repeats what was
 * said. Its record is one file per conversation in EXAMPLE_HOME, written before it answers.
 */
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"

if (process.argv.includes("--version")) {
  process.stdout.write("1.0.0\n")
  process.exit(0)
}

const home = process.env.EXAMPLE_HOME ?? "."
const paceMs = Number(process.env.EXAMPLE_PACE_MS ?? 20)
/** Commands that only look, or only wait, are run without asking. */
const harmless = new Set(["ls", "pwd", "echo", "sleep"])

let conversation = null
let turns = 0
/** The turn that runs: `{turn, isOver, stop, request}`. */
let active = null

const say = (message) =>
  process.stdout.write(`${JSON.stringify(message)}\n`) ||
  new Promise((go) => process.stdout.once("drain", go))
const file = (name) => join(home, `${name}.jsonl`)
const record = (entry) => appendFileSync(file(conversation), `${JSON.stringify(entry)}\n`)
const recorded = () =>
  readFileSync(file(conversation), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line))

const does = {
  open: ({ conversation: wanted }) => {
    if (wanted !== null && !existsSync(file(wanted))) return { no: "gone" }
    mkdirSync(home, { recursive: true })
    conversation = wanted ?? randomUUID()
    // Whatever has no end before this was cut off with the process that worked on it.
    record({ opened: true })
    turns = recorded().filter((entry) => entry.prompt !== undefined).length
    return { ok: { conversation } }
  },
  prompt: ({ name, text, asks }) => {
    if (active !== null) return { no: "busy" }
    turns += 1
    const turn = `${conversation}.${turns}`
    record({ prompt: name, turn })
    // Begun after the answer is written.
    setImmediate(work, turn, name, text, asks)
    active = { turn, isOver: false, stop: null, request: null }
    return { ok: { turn } }
  },
  interrupt: ({ turn }) => {
    if (active === null || (turn !== null && turn !== active.turn)) return { no: "not running" }
    active.isOver = true
    active.stop?.()
    return { ok: {} }
  },
  answer: ({ request, decision }) => {
    if (active?.request?.name !== request) return { no: "not waiting" }
    const { decided } = active.request
    active.request = null
    decided(decision)
    return { ok: {} }
  },
  status: ({ turn }) => {
    const end = recorded().find((entry) => entry.turn === turn && entry.how !== undefined)
    return { ok: { running: active?.turn ?? null, how: end?.how ?? null, why: end?.why ?? null } }
  }
}

/** One turn, from its beginning to its one end. */
const work = async (turn, name, text, asks) => {
  await say({ say: "turn", turn, name })
  let end = { how: "completed", why: null }
  try {
    await act(turn, text, asks)
  } catch (error) {
    end = { how: "failed", why: error.message }
  }
  if (active.isOver) end = { how: "interrupted", why: null }
  record({ turn, ...end })
  active = null
  await say({ say: "end", turn, ...end })
}

const act = async (turn, text, asks) => {
  const [verb = "", ...rest] = text.trim().split(/\s+/)
  const words = rest.join(" ")
  switch (verb) {
    case "run":
      return (await runs(turn, words, asks))
        ? speak(turn, "That is done.")
        : speak(turn, "I have not run it.")
    case "count":
      return speak(turn, numbers(Number(words)), paceMs)
    case "flood":
      return speak(turn, numbers(Number(words)))
    case "wait":
      return speak(turn, "I am waiting. ", 0, () => stopped())
    case "hum":
      await say({ say: "humming", tune: "Ode to Joy" })
      return speak(turn, "That was a tune.")
    case "fail":
      throw new Error(words)
    default:
      return speak(turn, `You said: ${text}`)
  }
}

const numbers = (count) => Array.from({ length: count }, (_, index) => `w${index + 1} `).join("")

/** A message, word by word; what was said before an interrupt stays. */
const speak = async (turn, text, pace = 0, then = null) => {
  const item = randomUUID()
  await say({ say: "item", turn, item, kind: "message", title: "" })
  let said = ""
  for (const word of text.match(/\S+\s*/g) ?? []) {
    if (active.isOver) break
    said += word
    await say({ say: "text", turn, item, text: word })
    // A turn of the event loop at least, so that an interrupt is heard.
    await (pace === 0 ? new Promise(setImmediate) : within(pace))
  }
  await then?.()
  if (active.isOver) return
  record({ turn, item, text: said })
  await say({ say: "item-end", turn, item, kind: "message", title: "", how: "completed", text: said })
}

const stopped = () => new Promise((resolve) => (active.isOver ? resolve() : (active.stop = resolve)))
const within = (ms) => Promise.race([new Promise((resolve) => setTimeout(resolve, ms)), stopped()])

/** Runs a command, after it was allowed. Says whether it ran. */
const runs = async (turn, command, asks) => {
  const item = randomUUID()
  const about = { turn, item, kind: "command", title: command }
  await say({ say: "item", ...about })
  const allowed = !asks || harmless.has(command.split(" ")[0]) || (await mayRun(turn, command))
  if (active.isOver) return false
  const code = allowed ? await run(command) : null
  if (active.isOver) return false
  await say({
    say: "item-end",
    ...about,
    how: code === null ? "declined" : code === 0 ? "completed" : "failed",
    text: null
  })
  return allowed
}

const mayRun = async (turn, command) => {
  const request = randomUUID()
  const decided = new Promise((resolve) => (active.request = { name: request, decided: resolve }))
  await say({ say: "ask", turn, request, title: command })
  const decision = await Promise.race([decided, stopped()])
  active.request = null
  if (decision === "cancel") active.isOver = true
  return decision === "accept"
}

/** Its exit code. It is in our process group, so it ends with us, whatever happens. */
const run = (command) =>
  new Promise((resolve) => {
    const child = spawn("sh", ["-c", `exec ${command}`], { stdio: "ignore" })
    child.once("error", () => resolve(127))
    child.once("exit", (code) => resolve(code ?? 1))
    active.stop = () => child.kill("SIGKILL")
  })

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, do: what, ...rest } = JSON.parse(line)
    const answer = Object.hasOwn(does, what) ? does[what](rest) : { no: "unknown" }
    void say({ id, ...answer })
  })
  .on("close", () => {
    active?.stop?.()
    process.exit(0)
  })
