/**
 * The recordings of the real program with something wrong in what it says and asks: fields of another type, huge or
 * poisonous, lines that are missing or doubled. Nothing breaks, what is told fits together, and each turn ends at
 * most once.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { brokenJson, tries } from "@turnkeeper/testkit/broken"
import { isEssential } from "@turnkeeper/testkit/brokenLines"
import * as fc from "fast-check"
import { readdirSync } from "node:fs"
import type { Native } from "../src/protocol.ts"
import { play, recording } from "./recording.ts"
import type { Line } from "./recording.ts"

const names = readdirSync(new URL("transcripts", import.meta.url))
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The SDK reads JSON, and hands on objects with the name of a type, whatever else is in them. */
const brokenSaid = (said: Native): fc.Arbitrary<ReadonlyArray<Line>> =>
  brokenJson(fc.constant(said)).map((made) =>
    isObject(made) && typeof (made as Native).type === "string" ? [{ recv: made as Native }] : []
  )

/** And asks for leave with an object as the tool's input. */
const brokenAsk = (ask: Extract<Line, { readonly ask: unknown }>["ask"]): fc.Arbitrary<ReadonlyArray<Line>> =>
  fc
    .record({
      tool: fc.constantFrom(ask.tool, "constructor", "__proto__", ""),
      input: brokenJson(fc.constant(ask.input))
    })
    .map(({ input, tool }) =>
      isObject(input) ? [{ ask: { ...ask, tool, input: input as typeof ask.input } }] : []
    )

/** What we asked for stays as it is. */
const brokenLine = (line: Line): fc.Arbitrary<ReadonlyArray<Line>> => {
  const asItIs = fc.constant<ReadonlyArray<Line>>([line])
  if ("send" in line) return asItIs
  return fc.oneof(
    { weight: 12, arbitrary: asItIs },
    { weight: 1, arbitrary: fc.constantFrom<ReadonlyArray<Line>>([], [line, line]) },
    { weight: 3, arbitrary: "recv" in line ? brokenSaid(line.recv) : brokenAsk(line.ask) }
  )
}

/** Turns that were told to have ended more than once. */
const endedTwice = (events: ReadonlyArray<ProviderEvent>): ReadonlyArray<string> => {
  const ends = events.flatMap((event) => (event.type === "turn.completed" ? [event.providerTurnId] : []))
  return ends.flatMap((id, index) => (id !== null && ends.indexOf(id) !== index ? [id] : []))
}

describe("a program that says what it should not", () => {
  for (const name of names) {
    it(`${name}: nothing breaks, what is told fits together, and each turn ends at most once`, () => {
      fc.assert(
        fc.property(fc.tuple(...recording(name).map(brokenLine)), (lines) => {
          const events = play(lines.flat())
          assert.deepStrictEqual(breachesOf(events, false).filter(isEssential), [])
          assert.deepStrictEqual(endedTwice(events), [])
        }),
        tries(400 / names.length, 10_000 / names.length)
      )
    })
  }
})
