/** What goes over the wire is the same text however many read it, and is made once. */
import { expect, it } from "@effect/vitest"
import { ThreadItem } from "@turnkeeper/contracts/Streams"
import { ItemId } from "@turnkeeper/domain/ids"
import { Effect, Schema } from "effect"
import { RpcSerialization } from "effect/rpc"
import { codecFor, messageOf } from "../../src/rpc/encoded.ts"

const items = [
  { type: "delta", itemId: ItemId.make("item-1"), offset: 3, text: '“quoted” " \n' },
  { type: "heartbeat", at: 1 }
] as const satisfies ReadonlyArray<ThreadItem>

const chunk = Schema.NonEmptyArray(ThreadItem)
const partsOf = (before: string, values: ReadonlyArray<unknown>, after: string) => {
  const message = messageOf(before, values, after)
  return typeof message === "object" && "own" in message ? [message.own, message.shared] : [message]
}
const textIn = (parts: ReadonlyArray<string | Uint8Array>) =>
  parts.map((part) => Buffer.from(part as Uint8Array).toString()).join("")
const textOf = (values: ReadonlyArray<unknown>) => textIn(partsOf("", values, ""))

const encodeChunk = Schema.encodeUnknownEffect(codecFor(chunk)) as (
  items: unknown
) => Effect.Effect<ReadonlyArray<unknown>, Schema.SchemaError>

it.effect("the items of a chunk come out as the JSON that they are", () =>
  Effect.gen(function* () {
    const plain = yield* Schema.encodeUnknownEffect(RpcSerialization.json.codecFor(chunk))(items)
    expect(textOf(yield* encodeChunk(items))).toBe(JSON.stringify(plain))
  })
)

it.effect("an item is encoded for the first who reads it, and then no more", () =>
  Effect.gen(function* () {
    let looks = 0
    const watched = new Proxy(items[0], {
      get: (target, name, receiver) => {
        looks += 1
        return Reflect.get(target, name, receiver) as unknown
      }
    })
    const first = textOf(yield* encodeChunk([watched]))
    const after = looks
    expect(after).toBeGreaterThan(0)
    expect(textOf(yield* encodeChunk([watched, items[1]]))).toBe(
      `${first.slice(0, -1)},{"type":"heartbeat","at":1}]`
    )
    expect(looks).toBe(after)
  })
)

it.effect("what is no item of its stream is refused, and not kept", () =>
  Effect.gen(function* () {
    const wrong = { type: "delta", itemId: "item-1", offset: "3", text: "a" }
    expect((yield* Effect.flip(encodeChunk([wrong])))._tag).toBe("SchemaError")
    expect((yield* Effect.flip(encodeChunk([wrong])))._tag).toBe("SchemaError")
  })
)

const long = (text: string) => ({ type: "delta", itemId: ItemId.make("item-1"), offset: 0, text }) as const

it.effect("a long message is the same text for everyone, and its bytes are made once for all", () =>
  Effect.gen(function* () {
    const said = [long("ä".repeat(3_000)), long("b".repeat(3_000))]
    const [one, other] = [yield* encodeChunk(said), yield* encodeChunk(said)]
    const [first, second] = [partsOf("first:", one, "}"), partsOf("second:", other, "}")]
    expect(textIn(first)).toBe(`first:${JSON.stringify(said)}}`)
    expect(textIn(second)).toBe(`second:${JSON.stringify(said)}}`)
    expect(first).toHaveLength(2)
    expect(second[1]).toBe(first[1])
  })
)

it.effect("who is given other items, or another end, gets bytes of its own", () =>
  Effect.gen(function* () {
    const said = [long("a".repeat(5_000)), long("b".repeat(5_000))]
    const whole = yield* encodeChunk(said)
    expect(textIn(partsOf("", whole, "}"))).toBe(`${JSON.stringify(said)}}`)
    expect(textIn(partsOf("", whole, "}}"))).toBe(`${JSON.stringify(said)}}}`)
    expect(textIn(partsOf("", whole.slice(0, 1), "}"))).toBe(`${JSON.stringify(said.slice(0, 1))}}`)
    expect(textIn(partsOf("", [...whole, whole[0]], "}"))).toBe(`${JSON.stringify([...said, said[0]])}}`)
  })
)
