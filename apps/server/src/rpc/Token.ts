/**
 * The bearer token of a data directory: made once, readable by its owner only, compared in constant time.
 */
import { files } from "@turnkeeper/contracts/Discovery"
import { Context, Effect, FileSystem, Layer, Path, Redacted, Schema } from "effect"
import { randomBytes } from "node:crypto"
import { sameText } from "../http/secret.ts"

/** The token file could not be made or read, or it holds no token. */
export class TokenUnreadable extends Schema.TaggedError<TokenUnreadable>()("TokenUnreadable", {
  path: Schema.String
}) {}

export class Token extends Context.Service<
  Token,
  {
    /** For the owner's own programs. Never printed, never logged. */
    readonly value: Redacted.Redacted
    /** Whether this is the token. Takes the same time wherever the difference lies. */
    readonly matches: (candidate: string) => boolean
  }
>()("server/rpc/Token") {
  /** `other`: one that was handed over some other way, e.g. on a file descriptor, and is as good. */
  static readonly layer = (dataDirectory: string, other?: Redacted.Redacted) =>
    Layer.effect(Token, make(dataDirectory, other))
  static readonly layerFrom = (value: Redacted.Redacted) => Layer.succeed(Token, fromValue(value))
}

const make = Effect.fn("Token.make")(function* (dataDirectory: string, other?: Redacted.Redacted) {
  const path = (yield* Path.Path).join(dataDirectory, files.token)
  const read = yield* readOrCreate(path).pipe(Effect.mapError(() => new TokenUnreadable({ path })))
  const value = read.trim()
  if (value.length < tokenLengthMin) return yield* new TokenUnreadable({ path })
  return fromValue(Redacted.make(value, { label: "token" }), other)
})

const tokenLengthMin = 16

const fromValue = (value: Redacted.Redacted, other?: Redacted.Redacted): Token["Service"] => ({
  value,
  matches: (candidate) =>
    sameText(candidate, Redacted.value(value)) ||
    (other !== undefined && sameText(candidate, Redacted.value(other)))
})

/**
 * The file is created whole under another name and linked into place: whoever comes second reads what the
 * first one made, and nobody ever reads half a token.
 */
const readOrCreate = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  if (yield* fs.exists(path)) return yield* fs.readFileString(path)
  const mine = `${path}.${randomBytes(6).toString("hex")}`
  yield* fs.writeFileString(mine, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" })
  yield* fs.link(mine, path).pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "AlreadyExists",
      () => Effect.void
    ),
    Effect.ensuring(Effect.ignore(fs.remove(mine)))
  )
  return yield* fs.readFileString(path)
})
