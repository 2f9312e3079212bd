/** What a program printed, its newest part first of all. */
import type { Client } from "@turnkeeper/client"
import type { ItemEntry } from "@turnkeeper/contracts/Rows"
import { useState } from "react"
import { countWords } from "../model/format.ts"
import { plainOutput, tailOf, withGap } from "../model/visible.ts"
import { failureNotice, useApp } from "../store/app.ts"
import { Button } from "../ui/Button.tsx"

interface OutputProps {
  readonly entry: ItemEntry
  readonly lines?: number
}

/** Beyond this even "show all" shows the end only: a page of a million lines is of use to nobody. */
const allLines = 5_000
const allUnits = 400_000
/** Asked for at once, in UTF-16 units. */
const partUnits = 65_536

export const Output = ({ entry, lines = 40 }: OutputProps) => {
  const { client, notify } = useApp()
  const [all, setAll] = useState(false)
  const [whole, setWhole] = useState<string | null>(null)
  const text = whole ?? withGap(entry.text, entry.omitted ?? null)
  if (text === "") return entry.status === "open" ? <p className="output-none">No output yet.</p> : null
  const showAll = async () => {
    try {
      if (entry.omitted !== undefined) setWhole(await endOf(client, entry))
      setAll(true)
    } catch (error) {
      notify(failureNotice(error))
    }
  }
  const recent = plainOutput(text.slice(-allUnits * 2))
  const shown = tailOf(recent, all ? allLines : lines, all ? allUnits : 20_000)
  const partial = shown.hidden > 0 || (entry.omitted !== undefined && whole === null)
  return (
    <div className="output">
      {partial && lines > 4 && (
        <p className="output-hidden">
          {shown.hidden > 0 ? `${countWords(shown.hidden, "earlier line")} not shown. ` : "Shortened. "}
          {!all && (
            <Button look="quiet" onClick={() => void showAll()}>
              Show all
            </Button>
          )}
        </p>
      )}
      <pre tabIndex={0} role="region" aria-label="Output">
        {shown.text}
      </pre>
    </div>
  )
}

/** The whole text, or as much of its end as is ever shown. */
const endOf = async (client: Client, { id, threadId, text, omitted }: ItemEntry): Promise<string> => {
  const length = text.length + (omitted?.length ?? 0)
  const parts: Array<string> = []
  let offset = Math.max(0, length - allUnits)
  while (offset < length) {
    // One after the other: each begins where the one before has ended.
    // oxlint-disable-next-line no-await-in-loop
    const part = await client.call("orchestration.itemText", {
      threadId,
      itemId: id,
      offset,
      limit: partUnits
    })
    if (part.text === "") break
    parts.push(part.text)
    offset = part.offset + part.text.length
  }
  return parts.join("")
}
