/**
 * An item of a stream is encoded once, however many clients read it.
 *
 * Those who follow a thread are handed the same item object. Its JSON is made for the first of them and kept
 * for as long as the item is; a message is then put together from bytes, which those who read the same share.
 * So a reader more costs its socket and its acknowledgement, and no work that grows with what is said.
 */
import { Api } from "@turnkeeper/contracts/Api"
import { Effect, Schema, SchemaGetter, SchemaParser } from "effect"
import { RpcSchema, RpcSerialization } from "effect/rpc"
import type { Message } from "./TextSocket.ts"

/** The JSON of one item in the bytes that go over the wire, ready for any frame. */
interface Encoded {
  readonly json: Buffer
}

/** As everywhere with JSON, but the items of a chunk come out as `Encoded`. */
export const codecFor: RpcSerialization.CodecFor = <S extends Schema.Top>(schema: S) =>
  (isChunk(schema) ? encodedOnce(schema.value) : RpcSerialization.json.codecFor(schema)) as ReturnType<
    typeof RpcSerialization.json.codecFor<S>
  >

/**
 * The message with the JSON array of a chunk's items between what comes before and after it. Where there is
 * much of it, all but the beginning is shared: clients that are given the same items are given the same bytes.
 */
export const messageOf = (before: string, values: ReadonlyArray<unknown>, after: string): Message => {
  const items = values as ReadonlyArray<Encoded>
  const bytes = items.reduce((sum, { json }) => sum + json.length, 0)
  return bytes < sharedMin
    ? Buffer.concat([Buffer.from(before), ...joined(items, after)])
    : { own: before, shared: sharedBytes(items, after) }
}

/** Less than this is copied faster than written in two parts. Bytes. */
const sharedMin = 4_096

const joined = (items: ReadonlyArray<Encoded>, after: string): ReadonlyArray<Buffer> => [
  ...items.flatMap(({ json }, index) => [index === 0 ? open : comma, json]),
  Buffer.from(`]${after}`)
]

const open = Buffer.from("[")
const comma = Buffer.from(",")

interface Joined {
  readonly items: ReadonlyArray<Encoded>
  readonly after: string
  readonly bytes: Buffer
}

/** What was last joined from an item on. Clients that keep up are given the same items in the same chunks. */
const lastJoined = new WeakMap<Encoded, Joined>()

const sharedBytes = (items: ReadonlyArray<Encoded>, after: string): Buffer => {
  const [first] = items
  const last = first === undefined ? undefined : lastJoined.get(first)
  if (last !== undefined && last.after === after && areSame(last.items, items)) return last.bytes
  const bytes = Buffer.concat(joined(items, after))
  if (first !== undefined) lastJoined.set(first, { items, after, bytes })
  return bytes
}

const areSame = (some: ReadonlyArray<Encoded>, others: ReadonlyArray<Encoded>) =>
  some.length === others.length && some.every((item, index) => item === others[index])

const items: ReadonlySet<unknown> = new Set(
  [...Api.requests.values()].flatMap(({ successSchema }) =>
    RpcSchema.isStreamSchema(successSchema) ? [successSchema.success] : []
  )
)

const isChunk = (schema: object): schema is Schema.NonEmptyArray<Schema.Top> =>
  "value" in schema && items.has(schema.value)

/** Of every item that somebody still holds; an item is of one stream, and both protocols say it alike. */
const known = new WeakMap<object, Encoded>()

/** A chunk whose items are all known costs a look at each, and no more. */
const encodedOnce = (item: Schema.Top) => {
  const encode = SchemaParser.encodeUnknownEffect(RpcSerialization.json.codecFor(item))
  const once = SchemaGetter.transformEffect((values: unknown, options) => {
    const chunk = values as ReadonlyArray<object>
    if (chunk.every((value) => known.has(value)))
      return Effect.succeed(chunk.map((value) => known.get(value)))
    return Effect.forEach(chunk, (value) => {
      const encoded = known.get(value)
      if (encoded !== undefined) return Effect.succeed(encoded)
      return Effect.map(encode(value, options), (plain): Encoded => {
        const made = { json: Buffer.from(JSON.stringify(plain)) }
        known.set(value, made)
        return made
      })
    })
  })
  // The server never reads a chunk, so there is nothing to decode.
  return Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Unknown, { decode: SchemaGetter.passthrough(), encode: once })
  )
}
