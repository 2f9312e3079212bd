/**
 * What the world still owes a state, and how it may turn out.
 *
 * Each kind declares its crash story by type. `repeat`: doing it again is harmless. `ask`: it may have
 * happened; it is never done again without evidence that it did not.
 */
import type { Generation, ProviderInstanceId, ProviderTurnId, RequestId, TurnId } from "../ids.ts"
import type { Fault } from "../runtime/Fault.ts"
import type { Numbered, TurnOutcome } from "../runtime/ProviderEvent.ts"
import type { Answer, Resume, StopStep } from "./Event.ts"
import type { DeadlineKind } from "./lifecycle.ts"

/**
 * `begun` on the kinds with a marker: false, the marker has to be committed first (`begin`);
 * true, it was, and the outcome is outstanding.
 */
export type Owed =
  | {
      readonly type: "session.start"
      readonly generation: Generation
      readonly provider: ProviderInstanceId
      readonly resume: Resume | null
      /** The turn for which it is started. */
      readonly turnId: TurnId | null
      readonly begun: boolean
    }
  | {
      readonly type: "session.stop"
      readonly generation: Generation
      readonly step: StopStep
    }
  | {
      readonly type: "turn.send"
      readonly turnId: TurnId
      readonly generation: Generation
      /** Counts the sends of this turn, so that a second one is another thing than the first. */
      readonly attempt: number
      readonly begun: boolean
    }
  | {
      readonly type: "turn.steer"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly attempt: number
      readonly into: TurnId
      readonly intoProviderTurnId: ProviderTurnId | null
      readonly begun: boolean
    }
  | {
      readonly type: "turn.interrupt"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly providerTurnId: ProviderTurnId | null
    }
  | {
      readonly type: "turn.probe"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly providerTurnId: ProviderTurnId | null
    }
  | {
      /** Did the message arrive? `final`: the generation is closed, so "no" cannot become "yes" any more. */
      readonly type: "turn.evidence"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly provider: ProviderInstanceId
      readonly resume: Resume | null
      readonly final: boolean
    }
  | {
      readonly type: "request.answer"
      readonly requestId: RequestId
      readonly key: string
      readonly generation: Generation
      readonly answer: Answer
    }
  | {
      readonly type: "deadline"
      readonly kind: DeadlineKind
      readonly turnId: TurnId
      readonly afterMs: number
    }

export type OwedType = Owed["type"]
export type OwedOf<Type extends OwedType> = Extract<Owed, { readonly type: Type }>

export const crashStory: { readonly [Type in OwedType]: "repeat" | "ask" } = {
  "session.start": "repeat",
  "session.stop": "repeat",
  "turn.send": "ask",
  "turn.steer": "ask",
  "turn.interrupt": "repeat",
  "turn.probe": "repeat",
  "turn.evidence": "repeat",
  "request.answer": "repeat",
  deadline: "repeat"
}

/** The same string for the same thing owed, however often `pending` names it: who performs it does so once. */
export const keyOf = (owed: Owed): string => {
  switch (owed.type) {
    case "session.start":
      return `start ${owed.generation}`
    case "session.stop":
      return `stop ${owed.generation} ${owed.step}`
    case "turn.send":
    case "turn.steer":
      return `${owed.type} ${owed.turnId} ${owed.generation} ${owed.attempt}`
    case "turn.interrupt":
    case "turn.probe":
      return `${owed.type} ${owed.turnId} ${owed.generation}`
    case "turn.evidence":
      return `evidence ${owed.turnId} ${owed.generation} ${owed.final}`
    case "request.answer":
      return `answer ${owed.requestId}`
    case "deadline":
      return `deadline ${owed.kind} ${owed.turnId}`
  }
}

/** A text the provider's history holds for a turn that we did not see live. */
export interface RecordedText {
  readonly kind: "assistant_message" | "reasoning"
  readonly providerItemId: string
  readonly text: string
}

/** What the provider's own record says of one message of ours. */
export type Evidence =
  | { readonly type: "found"; readonly providerTurnId: ProviderTurnId; readonly running: true }
  | {
      readonly type: "found"
      readonly providerTurnId: ProviderTurnId
      readonly running: false
      readonly outcome: TurnOutcome
      readonly message: string | null
      readonly texts: ReadonlyArray<RecordedText>
    }
  /** The record is readable and does not know the message. */
  | { readonly type: "absent" }
  /** There is no record, or it could not be read. */
  | { readonly type: "none"; readonly message: string }

export type Outcome =
  | {
      readonly type: "start.ok"
      readonly generation: Generation
      readonly resume: string | null
      readonly notice?: string
    }
  | { readonly type: "start.failed"; readonly generation: Generation; readonly fault: Fault }
  | {
      readonly type: "send.accepted"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly providerTurnId: ProviderTurnId
    }
  | {
      readonly type: "send.rejected"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly fault: Fault
    }
  | {
      readonly type: "send.unknown"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly fault: Fault
    }
  | { readonly type: "steer.accepted"; readonly turnId: TurnId; readonly generation: Generation }
  | {
      readonly type: "evidence"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly evidence: Evidence
    }
  | { readonly type: "interrupt.accepted"; readonly turnId: TurnId; readonly generation: Generation }
  | {
      readonly type: "interrupt.failed"
      readonly turnId: TurnId
      readonly generation: Generation
      readonly fault: Fault
    }
  | { readonly type: "probe.alive"; readonly turnId: TurnId; readonly generation: Generation }
  | {
      readonly type: "probe.gone"
      readonly turnId: TurnId
      readonly generation: Generation
      /** The true end, where the provider's history knows it. */
      readonly ended: { readonly outcome: TurnOutcome; readonly message: string | null } | null
    }
  | { readonly type: "probe.failed"; readonly turnId: TurnId; readonly generation: Generation }
  | { readonly type: "answer.accepted"; readonly requestId: RequestId }
  | { readonly type: "answer.gone"; readonly requestId: RequestId }
  | { readonly type: "answer.failed"; readonly requestId: RequestId; readonly fault: Fault }
  /** Stopped, or the provider says there is no such session: the same success (L9). */
  | { readonly type: "stop.ok"; readonly generation: Generation }
  | {
      readonly type: "stop.failed"
      readonly generation: Generation
      readonly step: StopStep
      readonly fault: Fault
    }

/** Everything that may happen to a thread beside a command. */
export type Happening =
  | ({ readonly type: "provider"; readonly generation: Generation } & Numbered)
  | { readonly type: "outcome"; readonly outcome: Outcome }
  | { readonly type: "deadline"; readonly kind: DeadlineKind; readonly turnId: TurnId }

/** The truth about a thread's provider session, as a listing gives it. */
export type Live =
  /** Could not list: says nothing, changes nothing. */
  | { readonly type: "unknown" }
  | { readonly type: "absent" }
  | {
      readonly type: "idle"
      readonly generation: Generation
      /** How the last turn ended and what it said, where the provider's record tells. */
      readonly last: {
        readonly providerTurnId: ProviderTurnId
        readonly outcome: TurnOutcome
        readonly message: string | null
        readonly texts: ReadonlyArray<RecordedText>
      } | null
    }
  | {
      readonly type: "running"
      readonly generation: Generation
      readonly providerTurnId: ProviderTurnId
      readonly turnId: TurnId | null
    }
