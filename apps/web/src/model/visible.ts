/** Text of programs, made safe to look at: what it shows is what is there. Pure. */

// oxlint-disable-next-line no-control-regex
const escapes = /\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)?|[@-_])/g

/**
 * The output of a command as a terminal would leave it, without colours: escape sequences are taken out, and a
 * line that was written over by a carriage return shows what it said last.
 */
export const plainOutput = (output: string): string =>
  output
    .replace(escapes, "")
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => (line.includes("\r") ? (line.split("\r").findLast((part) => part !== "") ?? "") : line))
    .join("\n")

/** The newest part of a long output, from the beginning of a line; `hidden` counts the lines before it. */
export const tailOf = (
  text: string,
  lines: number,
  units: number
): { readonly text: string; readonly hidden: number } => {
  const all = text.replace(/\n$/, "").split("\n")
  let kept = all.slice(-lines)
  while (kept.length > 1 && kept.join("\n").length > units) kept = kept.slice(Math.ceil(kept.length / 4))
  const joined = kept.join("\n")
  return { text: joined.length > units ? joined.slice(-units) : joined, hidden: all.length - kept.length }
}

/** A shortened text with a line that says what is left out, and where. */
export const withGap = (
  text: string,
  omitted: { readonly from: number; readonly length: number } | null
): string =>
  omitted === null
    ? text
    : `${text.slice(0, omitted.from)}\n… ${omitted.length} characters left out …\n${text.slice(omitted.from)}`

/** One piece of a command. `odd`: it can destroy something, or it hides what it is. */
export interface CommandPart {
  readonly text: string
  readonly odd: "plain" | "danger" | "hidden"
}

/** What reorders, hides or fakes text; shown by its code point. Line breaks and tabs are ordinary. */
const unseen =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]/

/** What takes something away for good, asks for more rights, or runs what comes from elsewhere. */
const dangers: ReadonlyArray<RegExp> = [
  /\bsudo\b|\bdoas\b|\bsu -/,
  /\brm\s+(?:-[a-zA-Z]*[rRfF][a-zA-Z]*|--(?:recursive|force))(?:\s+-\S+)*/,
  /\b(?:mkfs(?:\.\w+)?|shred|wipefs|fdisk)\b|\bdd\s+\S*(?:if|of)=/,
  /\bgit\s+(?:push\b[^\n;&|]*\s(?:--force(?:-with-lease)?|-f|--delete|--mirror)\b|reset\s+--hard|clean\s+-\w*f\w*|checkout\s+--\s)/,
  /\bchmod\s+(?:-\w+\s+)?(?:0?777|a\+rwx)|\bchown\s+-R\b/,
  /\|\s*(?:sudo\s+)?(?:ba|z|da|fi)?sh\b/,
  /\b(?:DROP|TRUNCATE)\s+(?:TABLE|DATABASE|SCHEMA)\b/i,
  /\b(?:kubectl|terraform|docker|helm)\s+(?:delete|destroy|rm|prune|uninstall|system\s+prune)\b/,
  /\bfind\b[^\n;&|]*\s-delete\b/,
  /\b(?:npm|yarn|pnpm|cargo|twine)\s+publish\b/,
  />\s*\/(?:dev|etc|boot|sys)\/\S*/,
  /--no-verify\b|--dangerously-\S+|--privileged\b/
]
const anyDanger = new RegExp(dangers.map((one) => `(?:${one.source})`).join("|"), "gi")

/** A command in pieces that give the whole of it, in order; only unseen characters are written out. */
export const commandParts = (command: string): ReadonlyArray<CommandPart> => {
  const parts: Array<CommandPart> = []
  let end = 0
  for (const match of command.matchAll(anyDanger)) {
    parts.push(...withUnseen(command.slice(end, match.index), "plain"))
    parts.push(...withUnseen(match[0], "danger"))
    end = match.index + match[0].length
  }
  parts.push(...withUnseen(command.slice(end), "plain"))
  return parts
}

const withUnseen = (text: string, odd: "plain" | "danger"): ReadonlyArray<CommandPart> =>
  text
    .split(new RegExp(`(${unseen.source})`))
    .filter((piece) => piece !== "")
    .map((piece) =>
      piece.length === 1 && unseen.test(piece)
        ? { text: `U+${piece.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`, odd: "hidden" }
        : { text: piece, odd }
    )
