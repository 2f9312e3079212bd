/**
 * An item of a stream is encoded once, however many clients read it.
 *
 * Those who follow a thread are handed the same item object. Its JSON is made for the first of them and kept
 * for as long as the item is; a frame is then put together from bytes. So a reader more costs its socket and
 * its acknowledgement, and no work that grows with what is said.
 */
import { Api } from "@turnkeeper/contracts/Api"
import { Effect, Schema, SchemaGetter, SchemaParser } from "effect"
import { RpcSchema, RpcSerialization } from "effect/rpc"

/** The JSON of one item in the bytes that go over the wire, ready for any frame. */
interface Encoded {
  readonly json: Buffer
}

/** As everywhere with JSON, but the items of a chunk come out as `Encoded`. */
export const codecFor: RpcSerialization.CodecFor = <S extends Schema.Top>(schema: S) =>
  (isChunk(schema) ? encodedOnce(schema.value) : RpcSerialization.json.codecFor(schema)) as ReturnType<
    typeof RpcSerialization.json.codecFor<S>
  >

/** A frame with the JSON array of a chunk's items between what comes before and after it. */
export const frameOf = (before: string, values: ReadonlyArray<unknown>, after: string): Uint8Array => {
  const parts: Array<Buffer> = []
  for (const { json } of values as ReadonlyArray<Encoded>) parts.push(parts.length === 0 ? open : comma, json)
  return Buffer.concat([Buffer.from(before), ...parts, Buffer.from(`]${after}`)])
}

const open = Buffer.from("[")
const comma = Buffer.from(",")

const items: ReadonlySet<unknown> = new Set(
  [...Api.requests.values()].flatMap(({ successSchema }) =>
    RpcSchema.isStreamSchema(successSchema) ? [successSchema.success] : []
  )
)

const isChunk = (schema: object): schema is Schema.NonEmptyArray<Schema.Top> =>
  "value" in schema && items.has(schema.value)

/** Of every item that somebody still holds; an item is of one stream, and both protocols say it alike. */
const known = new WeakMap<object, Encoded>()

const encodedOnce = (item: Schema.Top) => {
  const encode = SchemaParser.encodeUnknownEffect(RpcSerialization.json.codecFor(item))
  const once = SchemaGetter.transformEffect((value: unknown, options) => {
    const before = known.get(value as object)
    if (before !== undefined) return Effect.succeed(before)
    return Effect.map(encode(value, options), (plain): Encoded => {
      const encoded = { json: Buffer.from(JSON.stringify(plain)) }
      known.set(value as object, encoded)
      return encoded
    })
  })
  // The server never reads a chunk, so there is nothing to decode.
  const wire = Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Unknown, { decode: SchemaGetter.passthrough(), encode: once })
  )
  return Schema.NonEmptyArray(wire)
}
