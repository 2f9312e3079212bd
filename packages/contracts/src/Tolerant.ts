/**
 * How a client reads a newer server: what it does not know becomes `unknown`, never a failure.
 *
 * Unknown fields are ignored by the schemas as they are; the helpers here are for the members of
 * enumerations and unions. Only a string, or a tagged object, can be such a member: null stays null.
 */
import { Schema, SchemaGetter } from "effect"

const AnyOtherString = Schema.String.pipe(
  Schema.decodeTo(Schema.Literal("unknown"), {
    decode: SchemaGetter.transform(() => "unknown" as const),
    encode: SchemaGetter.transform((unknown): string => unknown)
  })
)

/** The literals, and `unknown` for every other string. */
export const tolerant = <const L extends ReadonlyArray<string>>(literals: Schema.Literals<L>) =>
  Schema.Union([literals, AnyOtherString])

const AnyOtherType = Schema.Struct({ type: Schema.String }).pipe(
  Schema.decodeTo(Schema.Struct({ type: Schema.Literal("unknown") }), {
    decode: SchemaGetter.transform(() => ({ type: "unknown" as const })),
    encode: SchemaGetter.transform((unknown): { readonly type: string } => unknown)
  })
)

/** The union discriminated by `type`, and `{ type: "unknown" }` for a member this build does not know. */
export const tolerantUnion = <S extends Schema.Codec<{ readonly type: string }, { readonly type: string }>>(
  union: S
) => Schema.Union([union, AnyOtherType])
