/**
 * Where a text stops being JSON. The engine's own error quotes the text, which may hold keys, and often does
 * not say the place: so the place is found here, and nothing is quoted.
 */

const token =
  /([{}[\],:])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy

/** What may come next. `…OrEnd`: or the end of what was just begun. */
type Expected = "value" | "valueOrEnd" | "key" | "keyOrEnd" | "colon" | "commaOrEnd"

/** `line 3, column 5`, both from 1, of the first character that cannot stand there. */
export const jsonPlace = (text: string): string => {
  const before = text.slice(0, offsetOf(text))
  const lines = before.split("\n")
  return `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`
}

const offsetOf = (text: string): number => {
  const open: Array<"{" | "["> = []
  let expected: Expected = "value"
  let at = 0
  for (;;) {
    at += /^[ \t\r\n]*/.exec(text.slice(at))?.[0].length ?? 0
    token.lastIndex = at
    const found = token.exec(text)
    const next: Expected | null =
      found === null ? null : after(expected, found[1] ?? null, found[2] !== undefined, open)
    if (found === null || next === null) return at
    expected = next
    at = token.lastIndex
  }
}

/** The step of one token; null: it cannot stand here. */
const after = (
  expected: Expected,
  sign: string | null,
  isText: boolean,
  open: Array<"{" | "[">
): Expected | null => {
  const wantsValue = expected === "value" || expected === "valueOrEnd"
  switch (sign) {
    case null:
      if (wantsValue) return "commaOrEnd"
      return isText && (expected === "key" || expected === "keyOrEnd") ? "colon" : null
    case ":":
      return expected === "colon" ? "value" : null
    case ",":
      if (expected !== "commaOrEnd" || open.length === 0) return null
      return open.at(-1) === "{" ? "key" : "value"
    case "{":
    case "[":
      if (!wantsValue) return null
      open.push(sign)
      return sign === "{" ? "keyOrEnd" : "valueOrEnd"
    default: {
      const mayEnd = expected === "commaOrEnd" || expected === (sign === "}" ? "keyOrEnd" : "valueOrEnd")
      if (!mayEnd || open.pop() !== (sign === "}" ? "{" : "[")) return null
      return "commaOrEnd"
    }
  }
}
