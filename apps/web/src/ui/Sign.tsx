/** The state of a thread as a shape: each state has its own, so that no colour is needed to tell them apart. */
import {
  CircleDot,
  CirclePause,
  CircleQuestionMark,
  CircleStop,
  Clock3,
  Hourglass,
  LoaderCircle,
  MailQuestionMark,
  RefreshCw,
  TriangleAlert
} from "lucide-react"
import type { LucideIcon } from "lucide-react"
import type { Sign as SignName } from "../model/shellView.ts"

const shapes: Readonly<Record<SignName, LucideIcon | null>> = {
  waiting: CircleQuestionMark,
  stopping: CircleStop,
  reconnecting: RefreshCw,
  quiet: Hourglass,
  working: LoaderCircle,
  queued: Clock3,
  doubtful: MailQuestionMark,
  failed: TriangleAlert,
  interrupted: CirclePause,
  unread: CircleDot,
  ready: null
}

/** Its words stand beside it: it is hidden from those who are read to. */
export const Sign = ({ sign, size = 15 }: { readonly sign: SignName; readonly size?: number }) => {
  const Shape = shapes[sign]
  return (
    <span className={`sign sign-${sign}`} aria-hidden="true">
      {Shape === null ? <span className="sign-rest" /> : <Shape size={size} strokeWidth={2.2} />}
    </span>
  )
}
