/**
 * A payload that always decodes: what does not fit arrives as `Malformed`, with what is wrong in words.
 *
 * A payload that fails to decode would end as a defect of the call. This way the handler sees it and
 * answers with the typed `InvalidRequest`, the same on every transport.
 */
import { Data, Result, Schema, SchemaGetter, SchemaIssue } from "effect"

/** One thing that is wrong with a payload, and where. Never holds the value itself. */
export const Issue = Schema.Struct({ path: Schema.String, message: Schema.String })
export type Issue = typeof Issue.Type

export class Malformed extends Data.TaggedClass("Malformed")<{ readonly issues: ReadonlyArray<Issue> }> {}

/** More would not help anybody. */
const issuesMax = 20

const format = SchemaIssue.makeFormatterStandardSchemaV1()

export const issuesOf = (issue: SchemaIssue.Issue): ReadonlyArray<Issue> =>
  format(issue)
    .issues.slice(0, issuesMax)
    .map(({ path, message }) => ({ path: (path ?? []).map(keyOf).join("."), message: message.slice(0, 500) }))

const keyOf = (segment: PropertyKey | { readonly key: PropertyKey }) =>
  String(typeof segment === "object" ? segment.key : segment)

export const checked = <T, E>(schema: Schema.Codec<T, E>) => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all" })
  const encode = Schema.encodeSync(schema)
  return Schema.Unknown.pipe(
    Schema.decodeTo(
      Schema.declare((_: unknown): _ is T | Malformed => true),
      {
        decode: SchemaGetter.transform((input) =>
          Result.match(decode(input), {
            onSuccess: (value): T | Malformed => value,
            onFailure: (error) => new Malformed({ issues: issuesOf(error.issue) })
          })
        ),
        encode: SchemaGetter.transform((value) => (value instanceof Malformed ? null : encode(value)))
      }
    )
  )
}
