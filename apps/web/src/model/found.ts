/** What a search found, as it is shown. Pure. */
import type { SearchHit } from "@turnkeeper/contracts/Search"

export type Hit = SearchHit

export interface SnippetPart {
  readonly text: string
  readonly marked: boolean
}

/** Whether all of the words are in what is shown of it. */
export const hasWords = ({ snippet }: Hit, query: string): boolean => {
  const text = snippet.text.toLowerCase()
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

/** UTF-16 units before the first find: the find itself has to fit into the line. */
const leadMax = 24

/** On one line, with the found words marked, from shortly before the first of them on. */
export const snippetParts = ({ marks, text }: Hit["snippet"]): ReadonlyArray<SnippetPart> => {
  const parts: Array<SnippetPart> = []
  const first = marks[0]?.start ?? 0
  let at = first > leadMax ? text.lastIndexOf(" ", first - leadMax) + 1 : 0
  if (at > 0) parts.push({ text: "… ", marked: false })
  const add = (end: number, marked: boolean) => {
    if (end > at) parts.push({ text: text.slice(at, end).replaceAll(/\s+/g, " "), marked })
    at = Math.max(at, end)
  }
  for (const { end, start } of marks) {
    add(start, false)
    add(end, true)
  }
  add(text.length, false)
  return parts
}
