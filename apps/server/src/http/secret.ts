/**
 * Secrets that are given away once and known here only by their hash.
 *
 * A secret's text is `<id>.<256 random bits>`. The id is no secret: it says which hash to compare with, so
 * that the comparison is one, and in constant time.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"

export interface Issued {
  readonly id: string
  /** Told to its holder and to nobody else; never kept. */
  readonly text: string
  readonly hash: string
}

export const issue = (): Issued => {
  const id = randomBytes(6).toString("hex")
  const secret = randomBytes(32).toString("base64url")
  return { id, text: `${id}.${secret}`, hash: hashOf(secret) }
}

export interface Presented {
  readonly id: string
  readonly secret: string
}

/** Null for what no secret of ours looks like. */
export const parse = (text: string): Presented | null => {
  const match = /^([0-9a-f]{12})\.([A-Za-z0-9_-]{43})$/.exec(text)
  if (match === null) return null
  const [, id = "", secret = ""] = match
  return { id, secret }
}

export const isRight = ({ secret }: Presented, hash: string): boolean => sameText(hashOf(secret), hash)

/** Hashing makes the lengths equal, which the comparison in constant time asks for. */
export const sameText = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))

// The secret is random and long: a slow hash would protect nothing.
const hashOf = (secret: string) => digest(secret).toString("base64url")
const digest = (text: string) => createHash("sha256").update(text).digest()
