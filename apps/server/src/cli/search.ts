/** `turnkeeper search`: words in what was said, a line per find. */
import type { SearchHit } from "@turnkeeper/contracts/Search"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import { visit } from "./follow.ts"
import { printJson, terminal } from "./print.ts"

interface Options {
  readonly data: string
  readonly json: boolean
}

/** As many finds as fit a page of the server's; who wants others gives more words. */
const finds = 50

export const search = ({ data, json }: Options, query: string, threadId: ThreadId | null) =>
  Effect.map(
    visit(data, (client) =>
      client["orchestration.search"]({ query, limit: finds, ...(threadId !== null && { threadId }) })
    ),
    ({ before, hits }) => {
      for (const hit of hits) {
        if (json) printJson(hit)
        else terminal.text(`${hitLine(hit)}\n`)
      }
      if (json) return
      if (hits.length === 0 && before === null) terminal.note("Nothing was found.")
      if (before !== null) terminal.note("There is more. Give more words, or a thread by --thread.")
    }
  )

const hitLine = ({ role, snippet, threadId, threadTitle }: SearchHit): string =>
  `${threadId}  ${role}  ${snippet.text.replaceAll(/\s+/gu, " ")}  (${threadTitle})`
