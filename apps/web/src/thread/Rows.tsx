/** One row of a thread's page, by what it is. */
import type { AnswerInput, OptimisticSend } from "@turnkeeper/client"
import { Answer } from "../entry/Answer.tsx"
import { PendingPrompt, Prompt } from "../entry/Prompt.tsx"
import { RequestCard } from "../entry/RequestCard.tsx"
import { TurnEnd } from "../entry/TurnEnd.tsx"
import type { TurnEndActions } from "../entry/TurnEnd.tsx"
import { WorkCard } from "../entry/WorkCard.tsx"
import type { TimelineRow } from "../model/timeline.ts"

export type PageRow =
  | TimelineRow
  | { readonly type: "pending"; readonly key: string; readonly send: OptimisticSend }

export interface RowActions extends TurnEndActions {
  readonly answer: (requestId: string, answer: AnswerInput) => void
  readonly resend: (commandId: string) => void
  readonly discardPending: (commandId: string) => void
  readonly editPending: (send: OptimisticSend) => void
  readonly loadOlder: () => void
}

interface RowProps {
  readonly row: PageRow
  readonly agent: string
  readonly connected: boolean
  readonly newestTurn: string | null
  readonly isDiscarded: (turnId: string) => boolean
  readonly actions: RowActions
}

export const Row = ({ row, agent, connected, newestTurn, isDiscarded, actions }: RowProps) => {
  switch (row.type) {
    case "prompt":
      return <Prompt entry={row.entry} note={promptNote(row)} />
    case "message":
      return <Answer entry={row.entry} />
    case "work":
      return <WorkCard entry={row.entry} joined={row.joined} asked={row.asked} />
    case "request":
      return (
        <RequestCard
          request={row.request}
          agent={agent}
          onAnswer={(answer) => actions.answer(row.request.requestId, answer)}
        />
      )
    case "end":
      return (
        <TurnEnd
          turn={row.turn}
          facts={row.facts}
          newest={row.turn.turnId === newestTurn}
          discarded={isDiscarded(row.turn.turnId)}
          actions={actions}
        />
      )
    case "pending":
      return (
        <PendingPrompt
          send={row.send}
          connected={connected}
          onResend={() => actions.resend(row.send.commandId)}
          onDiscard={() => actions.discardPending(row.send.commandId)}
          onEdit={() => actions.editPending(row.send)}
        />
      )
  }
}

const promptNote = ({ turn }: Extract<TimelineRow, { readonly type: "prompt" }>): string | null => {
  if (turn === null) return null
  if (turn.state === "sending") return "sending"
  if (turn.state === "steered") return "steered into the turn that ran"
  return turn.retryOf === null ? null : "tried again"
}
