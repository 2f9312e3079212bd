/**
 * Records what the real program says, against the fake model: one JSON object per line, with what was asked of
 * it in between. Paths and whatever else belongs to this machine are made neutral.
 *
 *     TURNKEEPER_CLAUDE_SDK=… node test/recorder.ts        writes test/transcripts/*.jsonl
 */
import { claudeEnvironment } from "@turnkeeper/testkit/claudeHome"
import { start } from "@turnkeeper/testkit/fakeModel/server"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Inbox from "../src/Inbox.ts"
import type { Native } from "../src/protocol.ts"
import type { PermissionResult, Query, SpawnedProcess } from "../src/sdk.ts"
import * as Sdk from "../src/sdk.ts"
import { flagsOf } from "../src/settings.ts"
import type { Line } from "./recording.ts"

interface Recorder {
  readonly query: Query
  readonly say: (text: string) => string
  /** Resolves when so many messages of this kind were heard. */
  readonly heard: (name: string, count?: number) => Promise<void>
  readonly note: (line: Line) => void
  readonly kill: () => void
}

type Scenario = (recorder: Recorder) => Promise<void>

const scenarios: Readonly<Record<string, Scenario>> = {
  text: async ({ say, heard }) => {
    say("[[text:one two three]]")
    await heard("lifecycle completed")
    say("[[think:because]]")
    await heard("lifecycle completed", 2)
  },
  approval: async ({ say, heard }) => {
    for (const [index, decision] of ["accept", "decline", "cancel"].entries()) {
      say(`[[shell:touch ${decision}]]`)
      await heard("result", index + 1)
    }
  },
  tools: async ({ say, heard }) => {
    say("[[write:new.txt|hello]]")
    await heard("result")
    say('[[tool:Edit|{"file_path":"new.txt","old_string":"hello","new_string":"bye"}]]')
    await heard("result", 2)
  },
  interrupt: async ({ query, say, heard, note }) => {
    say("[[slow]]")
    await heard("stream_event", 6)
    note({ send: "interrupt" })
    await query.interrupt()
    await heard("result")
    say("[[text:and on]]")
    await heard("result", 2)
  },
  queued: async ({ query, say, heard, note }) => {
    say("[[slow]]")
    await heard("stream_event", 6)
    say("[[text:the second]]")
    await heard("lifecycle queued", 2)
    note({ send: "interrupt" })
    await query.interrupt()
    await heard("result", 2)
  },
  retry: async ({ say, heard }) => {
    say("[[drop:2]]")
    await heard("result")
    say("[[failed:1]]")
    await heard("result", 2)
  },
  error: async ({ say, heard }) => {
    say("[[http:400]]")
    await heard("result")
    say("[[drop]]")
    await heard("result", 2)
  },
  background: async ({ say, heard }) => {
    say('[[tool:Bash|{"command":"sleep 0.3","description":"d","run_in_background":true}]]')
    await heard("result", 2)
  },
  agent: async ({ say, heard }) => {
    say(
      '[[tool:Agent|{"description":"look","prompt":"[[text:from the helper] ]","subagent_type":"general-purpose"}]]'
    )
    await heard("result")
  },
  killed: async ({ say, heard, kill }) => {
    say("[[slow]]")
    await heard("stream_event", 6)
    kill()
  }
}

const record = async (sdk: Sdk.Sdk, scenario: Scenario): Promise<ReadonlyArray<Line>> => {
  const directory = mkdtempSync(join(tmpdir(), "claude-recorder-"))
  const project = join(directory, "project")
  mkdirSync(project)
  const model = await start({ slowDelayMs: 20, delayMs: 5 })
  const lines: Array<Line> = []
  const inbox = Inbox.make()
  const decisions: Array<PermissionResult["behavior"] | "interrupt"> = ["allow", "deny", "interrupt"]
  let pid = 0
  const query = sdk.query({
    prompt: inbox,
    options: {
      cwd: project,
      env: {
        PATH: process.env["PATH"],
        ...claudeEnvironment(join(directory, "home"), { modelUrl: model.url, retries: 2 }),
        CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1"
      },
      sessionId: randomUUID(),
      permissionMode: "default",
      settings: flagsOf({ runtimeMode: "approval_required", interactionMode: "default" }),
      includePartialMessages: true,
      systemPrompt: { type: "preset", preset: "claude_code" },
      canUseTool: async (tool, input, { signal: _, ...context }) => {
        lines.push({ ask: { tool, input, context } })
        const behavior = tool === "Bash" ? (decisions.shift() ?? "allow") : "allow"
        lines.push({ send: "answer", behavior })
        return behavior === "allow"
          ? { behavior, updatedInput: input }
          : { behavior: "deny", message: "no", interrupt: behavior === "interrupt" }
      },
      spawnClaudeCodeProcess: ({ command, args, cwd, env }) => {
        const child = spawn(command, args, {
          cwd,
          env: { ...env },
          detached: true,
          stdio: ["pipe", "pipe", "ignore"]
        })
        pid = child.pid ?? 0
        return child as unknown as SpawnedProcess
      }
    }
  })
  let look = () => {}
  const reading = (async () => {
    for await (const native of query) {
      lines.push({ recv: slim(native as Native) })
      look()
    }
  })().catch(() => {})
  const heard = (name: string, count = 1) =>
    new Promise<void>((resolve) => {
      look = () => {
        if (lines.filter((line) => nameOf(line) === name).length >= count) resolve()
      }
      look()
    })
  await scenario({
    query,
    heard,
    note: (line) => lines.push(line),
    kill: () => process.kill(-pid, "SIGKILL"),
    say: (text) => {
      const uuid = randomUUID()
      lines.push({ send: "prompt", uuid, text })
      const message = { role: "user", content: [{ type: "text", text }] } as const
      inbox.push({ type: "user", message, parent_tool_use_id: null, uuid })
      return uuid
    }
  })
  // What follows by itself, such as the end of the last message's lifecycle.
  await new Promise((resolve) => setTimeout(resolve, 500))
  inbox.end()
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It was killed by the scenario.
  }
  await reading
  await model.close()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  return lines.map((line) => neutral(line, project, directory))
}

const nameOf = (line: Line): string => {
  if (!("recv" in line)) return ""
  const { type, state } = line.recv as { type: string; state?: string }
  return type === "command_lifecycle" ? `lifecycle ${state}` : type
}

/** Without what is long, of this machine, and not looked at. */
const slim = (native: Native): Native =>
  native.type === "system" && native.subtype === "init"
    ? ({
        type: native.type,
        subtype: native.subtype,
        uuid: native.uuid,
        session_id: native.session_id,
        permissionMode: (native as Native & { permissionMode?: string }).permissionMode,
        ...(native.user_message_uuids && { user_message_uuids: native.user_message_uuids })
      } as Native)
    : native

const neutral = (line: Line, project: string, directory: string): Line =>
  JSON.parse(
    JSON.stringify(line)
      .replaceAll(project, "/home/user/project")
      .replaceAll(directory, "/home/user")
      // Where Claude keeps what its background work prints.
      .replaceAll(/\/tmp\/claude-[^"\s]*\/tasks\//g, "/home/user/tasks/")
  ) as Line

const found = Sdk.find(undefined, process.env)
if (found === null) throw new Error("Which SDK? Name it in TURNKEEPER_CLAUDE_SDK.")
const sdk = await Effect.runPromise(Sdk.load(found))
const wanted = process.argv.slice(2)
for (const [name, scenario] of Object.entries(scenarios)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const lines = await record(sdk, scenario)
  const file = new URL(`transcripts/${name}.jsonl`, import.meta.url)
  writeFileSync(file, `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`)
  process.stdout.write(`${name}: ${lines.length} lines\n`)
}
process.exit(0)
