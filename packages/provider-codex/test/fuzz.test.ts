/**
 * The recordings of the real program with something wrong in what it says: lines that are missing, doubled, cut
 * or strewn with other characters, fields of another type, huge or poisonous. The session never breaks: each turn
 * ends at most once, and when the program is gone the session ends, once.
 */
import { describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { tries } from "@turnkeeper/testkit/broken"
import { brokenLines, holdsForAll } from "@turnkeeper/testkit/brokenLines"
import type { Program } from "@turnkeeper/testkit/brokenLines"
import { Effect } from "effect"
import { readdirSync } from "node:fs"
import * as Codex from "../src/Codex.ts"
import type { Frame } from "./player.ts"
import { recording, said } from "./player.ts"

const names = readdirSync(new URL("transcripts", import.meta.url))
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))

/** What the program answered in the recording, by method. */
const answersOf = (name: string): ReadonlyMap<unknown, Frame> => {
  const methods = new Map<unknown, unknown>()
  const answers = new Map<unknown, Frame>()
  for (const entry of recording(name)) {
    if ("send" in entry && "method" in entry.send) methods.set(entry.send["id"], entry.send["method"])
    else if ("recv" in entry && !("method" in entry.recv)) {
      const method = methods.get(entry.recv["id"])
      if (!answers.has(method)) answers.set(method, entry.recv)
    }
  }
  return answers
}

const refused = { error: { code: -32_601, message: "not in the recording" } }

const programOf =
  (name: string) =>
  (all: ReadonlyArray<Frame | string>): Program => {
    const answers = answersOf(name)
    return {
      make: (wired) =>
        Codex.make({ ...wired, instanceId: ProviderInstanceId.make("codex"), timeouts: { close: 0 } }),
      answer: ({ method }) => answers.get(method) ?? refused,
      prompted: Effect.repeat(Effect.yieldNow, { times: 20 }),
      said: () => all
    }
  }

describe("a program that says what it should not", () => {
  for (const name of names) {
    it.effect(
      `${name}: nothing breaks, each turn ends at most once, and the session ends once`,
      () =>
        holdsForAll(
          brokenLines(said(name).filter((frame) => "method" in frame)),
          programOf(name),
          tries(200 / names.length, 5_000 / names.length)
        ),
      120_000
    )
  }
})
