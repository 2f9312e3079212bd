/** What was given to the server and not taken: it waits for somebody to decide, wherever one is on the page. */
import type { OutboxEntry } from "@turnkeeper/client"
import { refusalWords, spaced } from "@turnkeeper/contracts/Words"
import { MailX } from "lucide-react"
import { titleFrom } from "../model/format.ts"
import { useApp } from "../store/app.ts"
import { useReadable } from "../store/react.ts"
import { hashOf, toThread } from "../store/route.ts"
import { Button } from "../ui/Button.tsx"

export const Unsent = () => {
  const { client, attempt } = useApp()
  const { entries, storage } = useReadable(client.outbox)
  const stuck = entries.filter(({ state }) => state === "refused" || state === "held")
  if (stuck.length === 0 && storage !== "failing") return null
  return (
    <section className="unsent" aria-label="Not sent">
      <h2>
        <MailX size={14} aria-hidden="true" /> Not sent
      </h2>
      {storage === "failing" && (
        <p>This browser does not keep what waits to be sent: a reload may lose it.</p>
      )}
      <ul>
        {stuck.map((entry) => (
          <li key={entry.commandId}>
            <UnsentName entry={entry} />
            <p>{entry.failure === null ? "" : refusalWords(entry.failure)}</p>
            <Button look="quiet" onClick={() => attempt(client.outbox.resend(entry.commandId))}>
              Send again
            </Button>
            <Button look="quiet" onClick={() => void client.outbox.discard(entry.commandId)}>
              Discard
            </Button>
          </li>
        ))}
      </ul>
    </section>
  )
}

const UnsentName = ({ entry: { command } }: { readonly entry: OutboxEntry }) => {
  if (!("threadId" in command)) return <span>{nameOf(command.type)}</span>
  const words = command.type === "thread.turn.start" ? titleFrom(command.text) : nameOf(command.type)
  return <a href={hashOf(toThread(command.threadId))}>{words}</a>
}

/** `thread.turn.edit` reads `Thread turn edit`. */
const nameOf = (type: string) =>
  spaced(type.replaceAll(/(?:^|\.)([a-z])/g, (_, letter: string) => letter.toUpperCase()))
