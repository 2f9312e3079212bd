import { X } from "lucide-react"
import { useEffect } from "react"
import type { Notice } from "../store/app.ts"
import { IconButton } from "../ui/Button.tsx"
import { Details } from "../ui/Details.tsx"

interface NoticesProps {
  readonly notices: ReadonlyArray<Notice>
  readonly onClose: (id: number) => void
}

/** Failures stay until they are closed; what is only told goes by itself. */
export const Notices = ({ notices, onClose }: NoticesProps) => (
  <div className="notices" role="log" aria-live="polite" aria-label="Notices">
    {notices.map((notice) => (
      <NoticeCard key={notice.id} notice={notice} onClose={() => onClose(notice.id)} />
    ))}
  </div>
)

const infoMillis = 8_000

const NoticeCard = ({ notice, onClose }: { readonly notice: Notice; readonly onClose: () => void }) => {
  const { tone, id } = notice
  useEffect(() => {
    if (tone !== "info") return
    const timer = setTimeout(onClose, infoMillis)
    return () => clearTimeout(timer)
    // One timer for the life of a notice, whatever is drawn around it.
  }, [tone, id])
  return (
    <div className={`notice notice-${tone}`}>
      <div className="notice-body">
        <p>{notice.text}</p>
        {notice.details !== null && (
          <Details>
            <pre>{notice.details}</pre>
          </Details>
        )}
      </div>
      <IconButton label="Close this notice" onClick={onClose}>
        <X size={14} />
      </IconButton>
    </div>
  )
}
