/** Shown while the page is not live: what is the matter, from when the page is, and what to do. */
import type { Connection } from "@turnkeeper/client"
import { CloudOff, LoaderCircle, ShieldX } from "lucide-react"
import { connectionFace } from "../model/connection.ts"
import { timeWords } from "../model/format.ts"
import { Button } from "../ui/Button.tsx"

interface ConnectionBarProps {
  readonly connection: Connection
  /** When what is on the page was last known to be true. */
  readonly asOf: number | null
  readonly now: number
  readonly onRetry: () => void
  readonly onSignIn: () => void
}

export const ConnectionBar = ({ connection, asOf, now, onRetry, onSignIn }: ConnectionBarProps) => {
  const face = connectionFace(connection, now)
  if (face.state === "live") return null
  const Shape = { busy: LoaderCircle, offline: CloudOff, blocked: ShieldX }[face.state]
  return (
    <div className={`connection connection-${face.state}`} role="status" data-testid="connection">
      <Shape size={15} className={face.state === "busy" ? "turning" : ""} aria-hidden="true" />
      <span className="connection-words">{face.words}</span>
      <span className="connection-more">
        {asOf === null ? "" : `This page is as of ${timeWords(asOf, now)}. `}
        {face.advice}
      </span>
      {face.action === "retry" && <Button onClick={onRetry}>Try now</Button>}
      {face.action === "sign in" && <Button onClick={onSignIn}>Sign in</Button>}
      {face.action === "reload" && <Button onClick={() => location.reload()}>Reload</Button>}
    </div>
  )
}
