import type { MessageEntry } from "@turnkeeper/contracts/Rows"
import type { OptimisticSend } from "@turnkeeper/client"
import { refusalWords } from "@turnkeeper/contracts/Words"
import { memo } from "react"
import { Button } from "../ui/Button.tsx"
import { CopyButton } from "../ui/CopyButton.tsx"
import { Details } from "../ui/Details.tsx"

/** What the user said. `note`: how it went in, where that is not plain. */
export const Prompt = memo(
  ({ entry, note }: { readonly entry: MessageEntry; readonly note: string | null }) => (
    <article className="prompt" aria-label="You">
      <div className="prompt-text">{entry.text}</div>
      {entry.attachments.length > 0 && (
        <ul className="attachments" aria-label="Attachments">
          {entry.attachments.map((attachment) => (
            <li key={attachment.source}>{attachment.name}</li>
          ))}
        </ul>
      )}
      <div className="prompt-foot">
        {note !== null && <span className="prompt-note">{note}</span>}
        <CopyButton text={entry.text} label="Copy this message" />
      </div>
    </article>
  )
)

interface PendingProps {
  readonly send: OptimisticSend
  readonly connected: boolean
  readonly onResend: () => void
  readonly onDiscard: () => void
  readonly onEdit: () => void
}

/** A message that the thread does not know yet. It is shown at once, and says how far it has come. */
export const PendingPrompt = ({ send, connected, onResend, onDiscard, onEdit }: PendingProps) => {
  const stuck = send.state === "refused" || send.state === "held"
  return (
    <article
      className={`prompt prompt-pending ${stuck ? "prompt-stuck" : ""}`}
      aria-label="You, not yet sent"
    >
      <div className="prompt-text">{send.text}</div>
      <div className="prompt-foot">
        <span className="prompt-note" role="status">
          {pendingWords(send, connected)}
        </span>
      </div>
      {stuck && (
        <div className="prompt-actions">
          <Button onClick={onResend}>Send again</Button>
          <Button onClick={onEdit}>Edit</Button>
          <Button look="quiet" onClick={onDiscard}>
            Discard
          </Button>
          {send.failure !== null && (
            <Details>
              <pre>{JSON.stringify(send.failure, null, 2)}</pre>
            </Details>
          )}
        </div>
      )}
    </article>
  )
}

const pendingWords = (send: OptimisticSend, connected: boolean): string => {
  switch (send.state) {
    case "waiting":
      return connected ? "sending" : "kept: it is sent when the connection is back"
    case "sending":
    case "accepted":
      return "sending"
    case "held":
      return "Not sent: it was written for another database than the one that answers now."
    case "refused":
      return `Not sent. ${send.failure === null ? "" : refusalWords(send.failure)}`
  }
}
