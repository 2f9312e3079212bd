/** The scripted provider keeps every promise that is asked of a real one; else every test that uses it stands on sand. */
import { describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Capabilities } from "../src/Provider.ts"
import { conformance, type Driver } from "../src/testing/conformance.ts"
import {
  defaultCapabilities,
  makeScripted,
  type Scripted,
  type ScriptedOptions
} from "../src/testing/ScriptedProvider.ts"

const tickMs = 40

const driver = (capabilities: Partial<Capabilities>, recordDirectory: string | null): Driver<Scripted> => ({
  capabilities: { ...defaultCapabilities, ...capabilities },
  patience: { clock: "virtual", pass: TestClock.adjust(tickMs), stepMs: tickMs, deadlineMs: 120_000 },
  cwd: "/",
  prompts: {
    question: "[[question:Which colour?|Red|Blue]]",
    flood: "[[flood:6000]]",
    unknown: "[[unknown:thread/curious]]"
  },
  make: Effect.sync(() => {
    const options: ScriptedOptions = { instanceId: ProviderInstanceId.make("scripted"), capabilities, tickMs }
    return makeScripted(recordDirectory === null ? options : { ...options, recordDirectory })
  }),
  kill: ({ control }, threadId) => control.crash(threadId)
})

describe("the scripted provider, remembering in memory", () => {
  conformance("scripted", driver({}, null), it)
})

describe("the scripted provider, remembering in files", () => {
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-record-"))
  process.on("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  conformance("scripted", driver({}, directory), it)
})

describe("the scripted provider, able to do little", () => {
  const little = {
    steer: false,
    resume: false,
    history: false,
    approvals: true,
    questions: true,
    usage: false
  }
  conformance("scripted", driver(little, null), it)
})
