/**
 * Where one writes. It is never locked: while a turn runs a message queues up, while the server is away it is
 * kept. What is typed survives a reload.
 */
import { ArrowUp, CornerDownRight } from "lucide-react"
import { useEffect, useEffectEvent, useRef, useState } from "react"
import type { ReactNode } from "react"
import { useApp } from "../store/app.ts"
import { setDraft } from "../store/browser.ts"
import { useReadable } from "../store/react.ts"
import { Button } from "../ui/Button.tsx"

interface ComposerProps {
  /** The thread, or `new`. */
  readonly place: string
  readonly label: string
  readonly running: boolean
  readonly canSteer: boolean
  readonly onSend: (text: string, delivery: "queue" | "steer") => void
  /** Choices of model and mode. */
  readonly children?: ReactNode
  /** Why nothing can be sent from here, in words; null where it can. */
  readonly blocked?: string | null
  /** It is not known yet where to: what is sent now goes as soon as it is. */
  readonly loading?: boolean
}

export const Composer = (props: ComposerProps) => {
  const { place, label, running, canSteer, onSend, children, blocked = null, loading = false } = props
  const { browser } = useApp()
  const text = useReadable(browser.drafts)[place] ?? ""
  const field = useRef<HTMLTextAreaElement>(null)
  /** Sent while nothing was known yet. The text stays here, where it can be changed, until it really goes. */
  const [armed, setArmed] = useState(false)
  useEffect(() => {
    field.current?.focus()
  }, [place])
  const send = (delivery: "queue" | "steer") => {
    if (text.trim() === "" || blocked !== null) return
    if (loading) return setArmed(true)
    setArmed(false)
    onSend(text, delivery)
    setDraft(browser, place, "")
    field.current?.focus()
  }
  const sendArmed = useEffectEvent(() => send("queue"))
  useEffect(() => {
    if (armed && !loading) sendArmed()
  }, [armed, loading])
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        send("queue")
      }}
    >
      <textarea
        ref={field}
        className="composer-text"
        aria-label={label}
        aria-describedby="composer-keys"
        placeholder={running ? "Write what comes next…" : "Write a message…"}
        rows={2}
        value={text}
        onChange={(event) => {
          setArmed(false)
          setDraft(browser, place, event.target.value)
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return
          event.preventDefault()
          send((event.ctrlKey || event.metaKey) && canSteer ? "steer" : "queue")
        }}
      />
      <div className="composer-foot">
        <div className="composer-choices">{children}</div>
        <span id="composer-keys" className="composer-keys">
          {blocked ?? (armed ? "It is sent as soon as the server answers" : keyWords(running, canSteer))}
        </span>
        {running && canSteer && (
          <Button look="quiet" disabled={text.trim() === ""} onClick={() => send("steer")}>
            <CornerDownRight size={14} aria-hidden="true" /> Steer
          </Button>
        )}
        <button
          type="submit"
          className="send"
          disabled={text.trim() === "" || blocked !== null}
          aria-label={running ? "Queue" : "Send"}
          title={running ? "Queue" : "Send"}
        >
          <ArrowUp size={17} strokeWidth={2.4} />
        </button>
      </div>
    </form>
  )
}

const keyWords = (running: boolean, canSteer: boolean): string => {
  if (!running) return "Enter sends, Shift Enter makes a line"
  return canSteer ? "Enter queues it, Ctrl Enter steers the turn" : "Enter queues it"
}
