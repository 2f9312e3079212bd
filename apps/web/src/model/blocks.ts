/**
 * Markdown cut into blocks that can be shown one by one. While an answer streams only its last block changes,
 * so that the cost of a word does not grow with the answer. Joined, the blocks are the text. Pure.
 */

const fence = /^ {0,3}(`{3,}|~{3,})/
const listItem = /^ {0,3}(?:[-*+]|\d{1,9}[.)])\s/
const indented = /^(?: {2,}|\t)/
/** `[name]: address` holds for the whole text: such a text stays whole. */
const reference = /^ {0,3}\[[^\]]+\]:/m

export const blocksOf = (text: string): ReadonlyArray<string> => {
  if (reference.test(text)) return [text]
  const lines = text.split("\n")
  const blocks: Array<string> = []
  let block: Array<string> = []
  let open: string | null = null
  let inList = false
  const close = () => {
    if (block.length > 0) blocks.push(block.join("\n"))
    block = []
    inList = false
  }
  for (const [index, line] of lines.entries()) {
    const mark = fence.exec(line)?.[1]
    if (open !== null) {
      block.push(line)
      if (mark !== undefined && mark.startsWith(open) && line.trim() === mark) open = null
      continue
    }
    const fresh = index > 0 && lines[index - 1] === "" && line !== ""
    // A list may have blank lines inside: it goes on with its next item, or with what is indented.
    if (fresh && !(inList && (listItem.test(line) || indented.test(line)))) close()
    if (listItem.test(line)) inList = true
    if (mark !== undefined) open = mark
    block.push(line)
  }
  close()
  return blocks
}
