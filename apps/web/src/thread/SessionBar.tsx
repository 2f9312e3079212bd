/** What goes on in the thread now, since when, and how to end it. Nothing, while it rests. */
import type { ThreadModel } from "@turnkeeper/client"
import { durationWords, threadStatus } from "@turnkeeper/contracts/Words"
import { deadlines } from "@turnkeeper/domain/thread/lifecycle"
import { timeWords } from "../model/format.ts"
import { Square } from "lucide-react"
import { Button } from "../ui/Button.tsx"
import { Details } from "../ui/Details.tsx"
import { Sign } from "../ui/Sign.tsx"

interface SessionBarProps {
  readonly model: ThreadModel
  readonly now: number
  readonly onStop: () => void
  readonly onCheck: (turnId: string) => void
  readonly onForce: () => void
}

const busy: ReadonlySet<string> = new Set([
  "waiting",
  "stopping",
  "reconnecting",
  "quiet",
  "working",
  "queued"
])

export const SessionBar = ({ model, now, onStop, onCheck, onForce }: SessionBarProps) => {
  const { thread, session } = model
  if (thread === null) return null
  const status = threadStatus(thread, now)
  const failed = session?.lastError != null && session.status === "error"
  if (!busy.has(status.sign) && model.stopping === null) {
    return failed ? <SessionError message={session.lastError} /> : null
  }
  const silent =
    status.sign === "quiet" && thread.activeTurn?.quiet !== "asking" ? (session?.activeTurnId ?? null) : null
  const stopping = model.stopping !== null || status.sign === "stopping"
  const since = stopping ? stopSince(model) : null
  const late = since !== null && now - since > deadlines.interrupt
  return (
    <div className={`session-bar session-${stopping ? "stopping" : status.sign}`}>
      <Sign sign={stopping ? "stopping" : status.sign} />
      <span className="session-words" data-testid="session-words">
        {stopping ? "Stopping…" : status.words}
        {model.status === "stale" && model.asOf !== null && ` (as of ${timeWords(model.asOf, Date.now())})`}
      </span>
      <span className="session-more">{moreWords(model, now, stopping, late)}</span>
      {!stopping && thread.recovering !== null && (
        <Details>
          <p>{thread.recovering.message}</p>
        </Details>
      )}
      {stopping ? (
        late && (
          <Button look="danger" onClick={onForce}>
            Stop now
          </Button>
        )
      ) : (
        <>
          {silent !== null && <Button onClick={() => onCheck(silent)}>Check</Button>}
          <Button className="stop" onClick={onStop} aria-keyshortcuts="Control+.">
            <Square size={11} fill="currentColor" aria-hidden="true" /> {hasBegun(model) ? "Stop" : "Cancel"}{" "}
            <kbd aria-hidden="true">Ctrl .</kbd>
          </Button>
        </>
      )}
    </div>
  )
}

/** The provider has something of it; else what waits is only withdrawn. */
const hasBegun = ({ turns }: ThreadModel): boolean =>
  turns.some((turn) => turn.state === "running" || turn.state === "sending")

/** When the end was asked for, as far as the rows tell. */
const stopSince = ({ thread, session }: ThreadModel): number | null =>
  thread?.activeTurn?.interruptAskedAt ?? (session?.stopping == null ? null : session.updatedAt)

const moreWords = (
  { requests, thread }: ThreadModel,
  now: number,
  stopping: boolean,
  late: boolean
): string => {
  if (late) return "The agent has not ended yet. “Stop now” ends its process."
  if (stopping || thread === null) return ""
  const waiting = requests.find((request) => request.status === "open")
  if (waiting !== undefined) return `for ${durationWords(now - waiting.openedAt)}`
  if (thread.recovering !== null) return "The agent tries again by itself."
  if (thread.activeTurn?.quiet === "alive") {
    return `The agent says that it is at work${thread.activeTurn.startedAt === null ? "" : `, since ${durationWords(now - thread.activeTurn.startedAt)}`}.`
  }
  if (thread.activeTurn?.quiet === "asking") return "Asking the agent whether it is at work…"
  if (thread.activeTurn?.quiet === "unknown") return "The agent could not be asked whether it is at work."
  return ""
}

const SessionError = ({ message }: { readonly message: string }) => (
  <div className="session-bar session-failed">
    <Sign sign="failed" />
    <span className="session-words">The session has failed</span>
    <span className="session-more">What was said is kept. The next message starts it again.</span>
    <Details>
      <p>{message}</p>
    </Details>
  </div>
)
