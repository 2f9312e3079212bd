/**
 * The recordings of the real program with something wrong in them: lines that are missing, doubled or moved,
 * fields of another type, huge or poisonous. Whatever is heard, nothing breaks, what is told fits together, and
 * each turn ends at most once.
 */
import { assert, describe, it } from "@effect/vitest"
import { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { brokenJson, tries } from "@turnkeeper/testkit/broken"
import { isEssential } from "@turnkeeper/testkit/brokenLines"
import * as fc from "fast-check"
import { readdirSync } from "node:fs"
import * as Conversation from "../src/Conversation.ts"
import type { Native } from "../src/protocol.ts"
import type { Line } from "./recording.ts"
import { isNative, recording } from "./recording.ts"

const names = readdirSync(new URL("transcripts", import.meta.url))
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))

/** What is done to a line; the places are counted round the recording. */
type Wrong =
  | { readonly type: "drop" | "double" | "move"; readonly at: number; readonly to: number }
  | { readonly type: "break"; readonly at: number; readonly line: unknown }

const wrongs = (lines: ReadonlyArray<Line>): fc.Arbitrary<ReadonlyArray<Wrong>> => {
  const natives = lines.filter(isNative)
  const place = fc.nat(lines.length - 1)
  return fc.array(
    fc.oneof(
      fc.record({ type: fc.constantFrom("drop", "double", "move"), at: place, to: place }),
      fc.record({ type: fc.constant("break"), at: place, line: brokenJson(fc.constantFrom(...natives)) })
    ) as fc.Arbitrary<Wrong>,
    { minLength: 1, maxLength: 12 }
  )
}

/** What we asked for stays as it is. Its echo may be lost as everything else. */
const isOurs = (line: unknown) => (Object(line) as { send?: unknown }).send !== undefined

const applied = (lines: ReadonlyArray<Line>, all: ReadonlyArray<Wrong>): ReadonlyArray<unknown> =>
  all.reduce<ReadonlyArray<unknown>>((now, wrong) => {
    const at = wrong.at % Math.max(1, now.length)
    if (isOurs(now[at])) return now
    if (wrong.type === "break") return now.with(at, wrong.line)
    if (wrong.type === "double") return now.toSpliced(at, 0, now[at])
    const without = now.toSpliced(at, 1)
    if (wrong.type === "drop") return without
    const to = wrong.to % now.length
    // Nothing is answered before it was asked.
    const passed = now.slice(Math.min(at, to), Math.max(at, to) + 1)
    return passed.some(isOurs) ? now : without.toSpliced(to, 0, now[at])
  }, lines)

/** As the adapter hands it on: anything with the name of a type. */
const nativeOf = (line: unknown): Native | null => {
  const { type, properties } = Object(line) as { type?: unknown; properties?: unknown }
  return typeof type === "string" ? ({ type, properties } as Native) : null
}

const ours = TurnId.make("turn-ours")

const heard = (lines: ReadonlyArray<unknown>) => {
  const conversation = Conversation.make()
  const events: Array<ProviderEvent> = []
  for (const line of lines) {
    const { send, messageID } = Object(line) as { send?: unknown; messageID?: unknown }
    if (send === "prompt" && typeof messageID === "string") conversation.sendBegan(messageID, ours)
    const native = nativeOf(line)
    if (native !== null) events.push(...conversation.hear(native))
  }
  return { events, active: conversation.active()?.id ?? null }
}

/** Turns that were told to have begun, and not to have ended. */
const openIn = (events: ReadonlyArray<ProviderEvent>): ReadonlyArray<string> => {
  const open = new Set<string>()
  for (const event of events) {
    if (event.type === "turn.started") open.add(event.providerTurnId)
    if (event.type === "turn.completed" || event.type === "turn.aborted")
      open.delete(event.providerTurnId ?? "")
  }
  return [...open]
}

describe("a program that says what it should not", () => {
  for (const name of names) {
    const lines = recording(name)
    it(`${name}: nothing breaks, each turn ends at most once, and none is forgotten`, () => {
      fc.assert(
        fc.property(wrongs(lines), (all) => {
          const { events, active } = heard(applied(lines, all))
          assert.deepStrictEqual(breachesOf(events, false).filter(isEssential), [])
          assert.deepStrictEqual(openIn(events), active === null ? [] : [active])
        }),
        tries(600 / names.length, 20_000 / names.length)
      )
    })
  }
})
