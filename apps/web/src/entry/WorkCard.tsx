/** One unit of an agent's work: a command, a change of files, a tool. */
import type { ItemEntry } from "@turnkeeper/contracts/Rows"
import {
  ChevronRight,
  CircleAlert,
  FileDiff,
  Globe,
  LoaderCircle,
  SquareTerminal,
  Wrench
} from "lucide-react"
import type { LucideIcon } from "lucide-react"
import { memo, useState } from "react"
import type { ReactNode } from "react"
import { changesOf, commandOf, fieldsOf } from "../model/details.ts"
import { diffOf } from "../model/diffs.ts"
import { countWords, tookWords } from "../model/format.ts"
import type { Joined } from "../model/timeline.ts"
import { CopyButton } from "../ui/CopyButton.tsx"
import { DiffView } from "./DiffView.tsx"
import { Output } from "./Output.tsx"
import { Plan } from "./Plan.tsx"

interface WorkCardProps {
  readonly entry: ItemEntry
  readonly joined: Joined
  readonly asked: boolean
}

export const WorkCard = memo(({ entry, joined, asked }: WorkCardProps) => {
  switch (entry.kind) {
    case "notice":
      return (
        <p className="notice-line">
          <CircleAlert size={14} aria-hidden="true" /> {entry.title === "" ? entry.text : entry.title}
        </p>
      )
    case "plan":
      return <Plan entry={entry} />
    case "command":
      return <CommandCard entry={entry} joined={joined} asked={asked} />
    case "file_change":
      return <FileCard entry={entry} joined={joined} asked={asked} />
    default:
      return <ToolCard entry={entry} joined={joined} asked={asked} />
  }
})

const CommandCard = ({ entry, joined, asked }: WorkCardProps) => {
  const { command, cwd, exitCode, durationMs } = commandOf(entry.title, entry.detail)
  const facts = [
    exitCode === null || exitCode === 0 ? null : `exit code ${exitCode}`,
    durationMs === null || durationMs < 1_000 ? null : tookWords(durationMs)
  ]
  return (
    <Card
      entry={entry}
      joined={joined}
      asked={asked}
      shape={SquareTerminal}
      name="Command"
      title={<code>{entry.title === "" ? command : entry.title}</code>}
      facts={facts}
      openAtFirst={entry.status === "failed"}
    >
      <div className="card-line">
        {/* The head has room for one line only, and a provider may shorten it. */}
        <code className="card-command">{command}</code>
        <CopyButton text={command} label="Copy this command" />
      </div>
      {cwd !== null && <p className="card-where">in {cwd}</p>}
      <Output entry={entry} />
      <Fields entry={entry} without={["command", "cwd", "exitCode", "durationMs"]} />
    </Card>
  )
}

const smallDiff = 24

const FileCard = ({ entry, joined, asked }: WorkCardProps) => {
  const changes = changesOf(entry.title, entry.detail).map((change) => ({ change, diff: diffOf(change) }))
  const added = changes.reduce((sum, { diff }) => sum + (diff?.added ?? 0), 0)
  const removed = changes.reduce((sum, { diff }) => sum + (diff?.removed ?? 0), 0)
  const lines = changes.reduce((sum, { diff }) => sum + (diff?.lines.length ?? 0), 0)
  const [first] = changes
  const title =
    changes.length === 1 && first !== undefined ? first.change.path : countWords(changes.length, "file")
  return (
    <Card
      entry={entry}
      joined={joined}
      asked={asked}
      shape={FileDiff}
      name="File change"
      title={<code>{title}</code>}
      facts={[
        added + removed === 0 ? null : (
          <span key="counts" aria-label={`${added} lines added, ${removed} removed`}>
            <span className="diff-added">+{added}</span> <span className="diff-removed">−{removed}</span>
          </span>
        )
      ]}
      openAtFirst={entry.status === "completed" && changes.length === 1 && lines > 0 && lines <= smallDiff}
    >
      {changes.map(({ change, diff }) => (
        <DiffView key={change.path} change={change} diff={diff} named={changes.length > 1} />
      ))}
      <Fields entry={entry} without={["changes", "diff", "path", "kind", "tool", "oldText", "newText"]} />
    </Card>
  )
}

const ToolCard = ({ entry, joined, asked }: WorkCardProps) => (
  <Card
    entry={entry}
    joined={joined}
    asked={asked}
    shape={entry.kind === "web_search" ? Globe : Wrench}
    name={entry.kind === "web_search" ? "Web search" : "Tool"}
    title={entry.title === "" ? "Tool" : entry.title}
    facts={[]}
    openAtFirst={false}
  >
    <Output entry={entry} />
    <Fields entry={entry} without={[]} />
  </Card>
)

interface CardProps extends WorkCardProps {
  readonly shape: LucideIcon
  readonly name: string
  readonly title: ReactNode
  readonly facts: ReadonlyArray<ReactNode>
  readonly openAtFirst: boolean
  readonly children: ReactNode
}

const Card = ({
  entry,
  joined,
  asked,
  shape: Shape,
  name,
  title,
  facts,
  openAtFirst,
  children
}: CardProps) => {
  const [chosen, setChosen] = useState<boolean | null>(null)
  const open = chosen ?? openAtFirst
  return (
    <section className={`card card-${joined} card-${entry.status}`} aria-label={`${name}: ${entry.title}`}>
      <button type="button" className="card-head" aria-expanded={open} onClick={() => setChosen(!open)}>
        <ChevronRight size={14} className="fold-arrow" aria-hidden="true" />
        <Shape size={15} className="card-shape" aria-hidden="true" />
        <span className="card-title">{title}</span>
        {facts.map(
          (fact, index) =>
            fact !== null && (
              <span key={index} className="card-fact">
                {fact}
              </span>
            )
        )}
        <CardStatus status={entry.status} asked={asked} />
      </button>
      {!open && entry.status === "open" && entry.text !== "" && (
        <div className="card-peek">
          <Output entry={entry} lines={4} />
        </div>
      )}
      {open && <div className="card-body">{children}</div>}
    </section>
  )
}

const statusWords: Readonly<Record<ItemEntry["status"], string | null>> = {
  open: "running",
  completed: null,
  failed: "failed",
  declined: "declined",
  interrupted: "interrupted",
  superseded: "replaced",
  unknown: null
}

const CardStatus = (props: { readonly status: ItemEntry["status"]; readonly asked: boolean }) => {
  const { status, asked } = props
  if (asked) return <span className="card-status card-status-declined">waits for you</span>
  const words = statusWords[status]
  if (words === null) return <span className="visually-hidden">done</span>
  return (
    <span className={`card-status card-status-${status}`}>
      {status === "open" && <LoaderCircle size={13} className="turning" aria-hidden="true" />}
      {words}
    </span>
  )
}

const Fields = ({
  entry,
  without
}: {
  readonly entry: ItemEntry
  readonly without: ReadonlyArray<string>
}) => {
  const fields = fieldsOf(entry.detail, without)
  if (fields.length === 0) return null
  return (
    <dl className="fields">
      {fields.map(({ name, value }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <pre>{value}</pre>
          </dd>
        </div>
      ))}
    </dl>
  )
}
