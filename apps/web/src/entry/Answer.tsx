import type { MessageEntry } from "@turnkeeper/contracts/Rows"
import { Brain, ChevronRight } from "lucide-react"
import { memo, useState } from "react"
import { CopyButton } from "../ui/CopyButton.tsx"
import { Markdown } from "../ui/LazyMarkdown.tsx"

export const Answer = memo(({ entry }: { readonly entry: MessageEntry }) => {
  if (entry.role === "reasoning") return <Reasoning entry={entry} />
  if (entry.status === "superseded") return <CutAnswer entry={entry} />
  return (
    <article className={`answer ${entry.status === "open" ? "answer-open" : ""}`} aria-label="The agent">
      <Markdown text={entry.text} />
      {entry.status === "interrupted" && <p className="answer-note">It was cut off here.</p>}
      {entry.status !== "open" && (
        <div className="answer-foot">
          <CopyButton text={entry.text} label="Copy this answer" />
        </div>
      )}
    </article>
  )
})

/** A retry of the provider began it anew: kept, but out of the way. */
const CutAnswer = ({ entry }: { readonly entry: MessageEntry }) => (
  <Fold
    className="answer-cut"
    summary={<span>Cut off when the connection was lost; the answer begins anew below</span>}
  >
    <Markdown text={entry.text} />
  </Fold>
)

const Reasoning = ({ entry }: { readonly entry: MessageEntry }) => (
  <Fold
    className="reasoning"
    summary={
      <>
        <Brain size={14} aria-hidden="true" />
        <span>{entry.status === "open" ? "Thinking…" : "Thought"}</span>
        <span className="fold-preview">{firstLine(entry.text)}</span>
      </>
    }
  >
    <Markdown text={entry.text} />
  </Fold>
)

const firstLine = (text: string): string => {
  const line = text.trim().split("\n")[0] ?? ""
  return line.replaceAll(/[*_`#]/g, "").slice(0, 160)
}

/** What is inside is drawn only once it is looked at. */
const Fold = (props: {
  readonly summary: React.ReactNode
  readonly className: string
  readonly children: React.ReactNode
}) => {
  const [open, setOpen] = useState(false)
  return (
    <div className={`fold ${props.className}`}>
      <button type="button" className="fold-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <ChevronRight size={14} className="fold-arrow" aria-hidden="true" />
        {props.summary}
      </button>
      {open && <div className="fold-body">{props.children}</div>}
    </div>
  )
}
