/** How a turn ended: what it was, what it took, and what can be done now. */
import type { TurnRow } from "@turnkeeper/contracts/Rows"
import { turnEndWords, usageWords } from "@turnkeeper/contracts/Words"
import { Ban, Check, CirclePause, MailQuestionMark, TriangleAlert } from "lucide-react"
import { memo } from "react"
import type { ReactNode } from "react"
import { countWords, tookWords } from "../model/format.ts"
import type { TurnFacts } from "../model/timeline.ts"
import { Button } from "../ui/Button.tsx"
import { Details } from "../ui/Details.tsx"

export interface TurnEndActions {
  readonly retry: (turnId: string) => void
  readonly goOn: () => void
  readonly discard: (turnId: string) => void
  readonly edit: (turnId: string) => void
}

interface TurnEndProps {
  readonly turn: TurnRow
  readonly facts: TurnFacts
  /** Only the newest turn's buttons invite; those of older ones are there, but quiet. */
  readonly newest: boolean
  readonly discarded: boolean
  readonly actions: TurnEndActions
}

export const TurnEnd = memo(({ turn, facts, newest, discarded, actions }: TurnEndProps) => {
  const doubtful = turn.delivered === "unknown" && turn.state !== "completed"
  if (turn.state === "completed") return <Completed turn={turn} facts={facts} />
  const retry = (
    <Button key="retry" look={newest ? "plain" : "quiet"} onClick={() => actions.retry(turn.turnId)}>
      {doubtful ? "Send again" : "Retry"}
    </Button>
  )
  const edit = (
    <Button key="edit" look="quiet" onClick={() => actions.edit(turn.turnId)}>
      Edit and send
    </Button>
  )
  const more: ReadonlyArray<ReactNode> = doubtful
    ? [
        <Button key="discard" look="quiet" onClick={() => actions.discard(turn.turnId)}>
          Discard
        </Button>
      ]
    : turn.state === "cancelled"
      ? [edit]
      : turn.state === "interrupted" && newest
        ? [
            <Button key="go-on" look="quiet" onClick={actions.goOn}>
              Continue
            </Button>
          ]
        : []
  return (
    <div className={`turn-end turn-end-${doubtful ? "doubtful" : turn.state}`} role="note">
      <Shape turn={turn} doubtful={doubtful} />
      <div className="turn-end-words">
        <p>
          {discarded ? "Discarded by you. Whether the agent received it is not known." : turnEndWords(turn)}
        </p>
        <p className="turn-end-facts">{factsWords(turn, facts)}</p>
      </div>
      {!discarded && (
        <div className="turn-end-actions">
          {retry}
          {more}
        </div>
      )}
      <Details>
        <dl className="fields">
          <Fact name="Turn" value={turn.turnId} />
          <Fact name="Provider" value={turn.provider} />
          <Fact name="Reason" value={turn.reason} />
          <Fact name="Delivered" value={turn.delivered} />
          <Fact name="The provider's name for it" value={turn.providerTurnId} />
        </dl>
      </Details>
    </div>
  )
})

const Fact = ({ name, value }: { readonly name: string; readonly value: string | null }) =>
  value === null ? null : (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )

const Completed = ({ turn, facts }: { readonly turn: TurnRow; readonly facts: TurnFacts }) => (
  <div className="turn-end turn-end-completed" role="note">
    <Check size={13} aria-hidden="true" />
    <span className="turn-end-words">
      {turn.origin === "provider" ? "The agent did this by itself · " : ""}
      Done{factsWords(turn, facts) === "" ? "" : ` · ${factsWords(turn, facts)}`}
    </span>
  </div>
)

const factsWords = (
  { state, startedAt, settledAt, usage }: TurnRow,
  { files, commands }: TurnFacts
): string =>
  [
    state !== "cancelled" && startedAt !== null && settledAt !== null
      ? tookWords(settledAt - startedAt)
      : null,
    commands > 0 ? countWords(commands, "command") : null,
    files.length > 0 ? `${countWords(files.length, "file")} changed` : null,
    usageWords(usage)
  ]
    .filter((words) => words !== null)
    .join(" · ")

const Shape = ({ turn, doubtful }: { readonly turn: TurnRow; readonly doubtful: boolean }) => {
  if (doubtful) return <MailQuestionMark size={16} aria-hidden="true" />
  if (turn.state === "error") return <TriangleAlert size={16} aria-hidden="true" />
  if (turn.state === "cancelled") return <Ban size={16} aria-hidden="true" />
  return <CirclePause size={16} aria-hidden="true" />
}
