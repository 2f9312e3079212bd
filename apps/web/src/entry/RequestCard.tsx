/** What an agent asks, answered in place: the whole of it, and only the choices that it really offers. */
import type { AnswerInput } from "@turnkeeper/client"
import type { RequestRow } from "@turnkeeper/contracts/Rows"
import { decisionWords } from "@turnkeeper/contracts/Words"
import type { Decision, Question } from "@turnkeeper/domain/runtime/ProviderEvent"
import { CircleQuestionMark, ShieldQuestionMark } from "lucide-react"
import { useState } from "react"
import { commandOf, fieldsOf } from "../model/details.ts"
import { commandParts } from "../model/visible.ts"
import { Button } from "../ui/Button.tsx"
import { CopyButton } from "../ui/CopyButton.tsx"
import { Details } from "../ui/Details.tsx"

interface RequestCardProps {
  readonly request: RequestRow
  readonly agent: string
  readonly onAnswer: (answer: AnswerInput) => void
}

const asks: Readonly<Record<RequestRow["kind"], string>> = {
  command_approval: "wants to run a command",
  file_change_approval: "wants to change files",
  permission: "asks for a permission",
  question: "has a question",
  unknown: "asks for something"
}

export const RequestCard = ({ request, agent, onAnswer }: RequestCardProps) => {
  const { ask, kind } = request
  const answering = request.status === "answering"
  const label = `${agent} ${asks[kind]}`
  return (
    <section className="request" aria-label={label} data-request={request.requestId}>
      <h3>
        {kind === "question" ? (
          <CircleQuestionMark size={16} aria-hidden="true" />
        ) : (
          <ShieldQuestionMark size={16} aria-hidden="true" />
        )}
        {label}
      </h3>
      {ask.questions.length > 0 ? (
        <Questions request={request} disabled={answering} onAnswer={onAnswer} />
      ) : (
        <>
          <Asked request={request} />
          <Decisions
            decisions={ask.decisions}
            disabled={answering}
            onDecide={(decision) => onAnswer({ decision })}
          />
        </>
      )}
      {answering && (
        <p className="request-note" role="status">
          Passing your answer on…
        </p>
      )}
    </section>
  )
}

const Asked = ({ request: { ask, kind } }: { readonly request: RequestRow }) => {
  const { command, cwd } = commandOf(ask.title, ask.detail)
  const shown = kind === "command_approval" ? command : ask.title
  const parts = commandParts(shown)
  const { reason } = ask.detail
  const fields = fieldsOf(ask.detail, [
    "command",
    "cwd",
    "reason",
    "itemId",
    ...(kind === "permission" ? [] : ["permission"])
  ])
  return (
    <>
      {typeof reason === "string" && reason !== ask.title && <p className="request-reason">{reason}</p>}
      <div className="request-command">
        <pre>
          {parts.map((part, index) =>
            part.odd === "plain" ? (
              part.text
            ) : (
              <mark key={index} className={`odd-${part.odd}`} title={oddWords[part.odd]}>
                {part.text}
              </mark>
            )
          )}
        </pre>
        <CopyButton text={shown} label="Copy the whole of it" />
      </div>
      {parts.some((part) => part.odd === "danger") && (
        <p className="request-warning">The marked part can take something away for good. Read it twice.</p>
      )}
      {parts.some((part) => part.odd === "hidden") && (
        <p className="request-warning">It holds characters that cannot be seen. They are written out.</p>
      )}
      {cwd !== null && <p className="card-where">in {cwd}</p>}
      {fields.length > 0 && (
        <Details>
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
        </Details>
      )}
    </>
  )
}

const oddWords = { danger: "Can take something away for good", hidden: "Cannot be seen" } as const

interface DecisionsProps {
  readonly decisions: ReadonlyArray<Decision>
  readonly disabled: boolean
  readonly onDecide: (decision: Decision) => void
}

/** The keys work from everywhere on the page, also while one types. */
const Decisions = ({ decisions, disabled, onDecide }: DecisionsProps) => (
  <div className="request-decisions">
    {decisions.map((decision, index) => (
      <Button
        key={decision}
        look={decision === "accept" ? "primary" : "plain"}
        disabled={disabled}
        data-decision={decision}
        aria-keyshortcuts={`Alt+${index + 1}`}
        onClick={() => onDecide(decision)}
      >
        {decisionWords[decision]} <kbd aria-hidden="true">Alt {index + 1}</kbd>
      </Button>
    ))}
  </div>
)

interface QuestionsProps {
  readonly request: RequestRow
  readonly disabled: boolean
  readonly onAnswer: (answer: AnswerInput) => void
}

const Questions = ({ request, disabled, onAnswer }: QuestionsProps) => {
  const { questions, decisions } = request.ask
  const [given, setGiven] = useState<Readonly<Record<string, string>>>({})
  const complete = questions.every((question) => (given[question.id] ?? "").trim() !== "")
  const answer = () => {
    if (!complete || disabled) return
    onAnswer({ answers: Object.fromEntries(questions.map(({ id }) => [id, [(given[id] ?? "").trim()]])) })
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        answer()
      }}
    >
      {questions.map((question) => (
        <QuestionFields
          key={question.id}
          name={`${request.requestId}/${question.id}`}
          question={question}
          value={given[question.id] ?? ""}
          disabled={disabled}
          onChange={(value) => setGiven({ ...given, [question.id]: value })}
        />
      ))}
      <div className="request-decisions">
        <Button type="submit" look="primary" disabled={disabled || !complete}>
          Answer
        </Button>
        {decisions.map((decision) => (
          <Button
            key={decision}
            look="quiet"
            disabled={disabled}
            data-decision={decision}
            onClick={() => onAnswer({ decision })}
          >
            {decision === "cancel"
              ? "Stop the turn"
              : decision === "decline"
                ? "Do not answer"
                : decisionWords[decision]}
          </Button>
        ))}
      </div>
    </form>
  )
}

interface QuestionFieldsProps {
  readonly name: string
  readonly question: Question
  readonly value: string
  readonly disabled: boolean
  readonly onChange: (value: string) => void
}

const QuestionFields = ({ name, question, value, disabled, onChange }: QuestionFieldsProps) => {
  const offered = question.options.some((option) => option.label === value)
  return (
    <fieldset className="question" disabled={disabled}>
      <legend>{question.question}</legend>
      {question.options.map((option) => (
        <label key={option.label} className="question-option">
          <input
            type="radio"
            name={name}
            checked={value === option.label}
            onChange={() => onChange(option.label)}
          />
          <span>
            {option.label}
            {option.description !== undefined && <small>{option.description}</small>}
          </span>
        </label>
      ))}
      <input
        type="text"
        className="field"
        aria-label={question.options.length === 0 ? question.question : "Something else"}
        placeholder={question.options.length === 0 ? "Your answer" : "Something else"}
        value={offered ? "" : value}
        onChange={(event) => onChange(event.target.value)}
      />
    </fieldset>
  )
}
