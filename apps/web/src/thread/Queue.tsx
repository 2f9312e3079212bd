/** The messages that wait, in the order in which they run. Each can be changed until it is its turn. */
import type { TurnRow } from "@turnkeeper/contracts/Rows"
import { placeWords } from "@turnkeeper/contracts/Words"
import { ArrowDown, ArrowUp, CornerDownRight, Pencil, X } from "lucide-react"
import { useState } from "react"
import { Button, IconButton } from "../ui/Button.tsx"

export interface QueuedMessage {
  readonly turn: TurnRow
  readonly text: string
}

export interface QueueActions {
  readonly edit: (turnId: string, text: string) => void
  readonly remove: (turnId: string) => void
  /** Right before that one, or last. */
  readonly reorder: (turnId: string, before: string | null) => void
  readonly steer: (message: QueuedMessage) => void
}

interface QueueProps {
  readonly messages: ReadonlyArray<QueuedMessage>
  /** A turn runs that a message could go into. */
  readonly canSteer: boolean
  readonly actions: QueueActions
}

export const Queue = ({ messages, canSteer, actions }: QueueProps) => {
  const [editing, setEditing] = useState<string | null>(null)
  if (messages.length === 0) return null
  return (
    <section className="queue" aria-label="Waiting messages">
      <ol>
        {messages.map((message, index) => {
          const { turnId } = message.turn
          return (
            <li key={turnId} className="queued" data-turn={turnId}>
              <span className="queued-place">{placeWords(index + 1)}</span>
              {editing === turnId ? (
                <EditQueued
                  text={message.text}
                  onCancel={() => setEditing(null)}
                  onSave={(text) => {
                    setEditing(null)
                    actions.edit(turnId, text)
                  }}
                />
              ) : (
                <>
                  <span className="queued-text">{message.text}</span>
                  <span className="queued-actions">
                    {canSteer && (
                      <IconButton
                        label="Steer: send it into the turn that runs"
                        onClick={() => actions.steer(message)}
                      >
                        <CornerDownRight size={14} />
                      </IconButton>
                    )}
                    <IconButton
                      label="Move up"
                      disabled={index === 0}
                      onClick={() => actions.reorder(turnId, messages[index - 1]?.turn.turnId ?? null)}
                    >
                      <ArrowUp size={14} />
                    </IconButton>
                    <IconButton
                      label="Move down"
                      disabled={index === messages.length - 1}
                      onClick={() => actions.reorder(turnId, messages[index + 2]?.turn.turnId ?? null)}
                    >
                      <ArrowDown size={14} />
                    </IconButton>
                    <IconButton label="Edit" onClick={() => setEditing(turnId)}>
                      <Pencil size={14} />
                    </IconButton>
                    <IconButton label="Remove" onClick={() => actions.remove(turnId)}>
                      <X size={14} />
                    </IconButton>
                  </span>
                </>
              )}
            </li>
          )
        })}
      </ol>
    </section>
  )
}

interface EditProps {
  readonly text: string
  readonly onSave: (text: string) => void
  readonly onCancel: () => void
}

const EditQueued = ({ text: before, onSave, onCancel }: EditProps) => {
  const [text, setText] = useState(before)
  return (
    <form
      className="queued-edit"
      onSubmit={(event) => {
        event.preventDefault()
        if (text.trim() !== "") onSave(text)
      }}
    >
      <textarea
        className="field"
        aria-label="The waiting message"
        // It was asked for by a press on "Edit": the next key is meant for it.
        autoFocus
        rows={Math.min(8, text.split("\n").length)}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onCancel()
          if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault()
            event.currentTarget.form?.requestSubmit()
          }
        }}
      />
      <Button type="submit" look="primary" disabled={text.trim() === ""}>
        Save
      </Button>
      <Button look="quiet" onClick={onCancel}>
        Cancel
      </Button>
    </form>
  )
}
