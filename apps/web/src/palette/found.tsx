/** What was said in any thread, looked for by the server while one types. */
import { MessageSquareQuote } from "lucide-react"
import { Fragment, useEffect, useState } from "react"
import type { ReactNode } from "react"
import { hasWords, snippetParts } from "../model/found.ts"
import type { Hit } from "../model/found.ts"
import { failureNotice, useApp } from "../store/app.ts"
import { follow } from "../store/react.ts"
import type { PaletteItem } from "./Palette.tsx"

interface Found {
  readonly items: ReadonlyArray<PaletteItem>
  /** What is to be known of the search itself; null: nothing. */
  readonly note: string | null
}

interface Answer {
  readonly query: string
  readonly hits: ReadonlyArray<Hit>
  readonly note: string | null
}

/** Before that nearly everything would be found. */
const lettersMin = 2
const hitsMax = 20
/** Whoever types is not asked for after each letter. */
const pauseMillis = 150

export const useFound = (typed: string): Found => {
  const { client, go } = useApp()
  const query = typed.trim()
  const [answer, setAnswer] = useState<Answer | null>(null)
  useEffect(() => {
    if (query.length < lettersMin) return setAnswer(null)
    let cancel = () => {}
    const timer = setTimeout(() => {
      cancel = follow(
        client.call("orchestration.search", { query, limit: hitsMax }),
        ({ before, hits }) =>
          setAnswer({ query, hits, note: before === null ? null : "There may be more: add a word." }),
        (error) =>
          setAnswer({ query, hits: [], note: `Messages were not searched. ${failureNotice(error).text}` })
      )
    }, pauseMillis)
    return () => {
      clearTimeout(timer)
      cancel()
    }
  }, [client, query])
  if (query.length < lettersMin) return { items: [], note: null }
  // Until the answer comes, what was found before stays where it fits: the list does not jump with each letter.
  const isNew = answer?.query === query
  const hits = (answer?.hits ?? []).filter((hit) => isNew || hasWords(hit, query))
  const items = hits.map((hit) => ({
    id: `found/${hit.threadId}/${hit.entryId}`,
    group: "Messages",
    label: hit.snippet.text,
    shown: <Snippet hit={hit} />,
    hint: `${hit.role === "user" ? "You" : "The agent"} · ${hit.threadTitle === "" ? "Thread" : hit.threadTitle}`,
    icon: <MessageSquareQuote size={15} />,
    run: () => go({ page: "thread", threadId: hit.threadId, at: hit.position })
  }))
  return { items, note: isNew ? answer.note : "Looking…" }
}

const Snippet = ({ hit }: { readonly hit: Hit }): ReactNode =>
  snippetParts(hit.snippet).map(({ marked, text }, index) => (
    <Fragment key={index}>{marked ? <mark>{text}</mark> : text}</Fragment>
  ))
