/**
 * A thread's page of any length: only the rows near what is seen are in the document. It stays at the newest
 * word while one is there, and stays where one reads when one has scrolled up, also when older rows come above.
 */
import { useVirtualizer } from "@tanstack/react-virtual"
import { ArrowDown } from "lucide-react"
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react"
import type { ReactNode } from "react"
import { Button } from "../ui/Button.tsx"
import type { PageRow } from "./Rows.tsx"

interface TimelineViewProps {
  readonly rows: ReadonlyArray<PageRow>
  readonly draw: (row: PageRow) => ReactNode
  readonly label: string
  /** Rows that are older than these: whether there are any, and whether they are on their way. */
  readonly older: "none" | "some" | "loading"
  /** The oldest row came near: calls for older ones, more often than needed. */
  readonly onOldest: () => void
  /** The key of the row that is looked for: it is brought into view once it is there. */
  readonly target: string | null
  /** A change of this brings the newest row into view: one has sent something. */
  readonly follow: number
}

/** Pixels from the end in which one counts as being there. */
const nearEnd = 80
const nearStart = 600

const guesses: Readonly<Record<PageRow["type"], number>> = {
  prompt: 84,
  message: 140,
  work: 40,
  request: 220,
  end: 40,
  pending: 84
}

export const TimelineView = (props: TimelineViewProps) => {
  const { rows, draw, label, older, onOldest, follow, target } = props
  const frame = useRef<HTMLDivElement>(null)
  const [atEnd, setAtEnd] = useState(true)
  const settled = useRef(false)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: useCallback((index: number) => guesses[rows[index]?.type ?? "message"], [rows]),
    getItemKey: useCallback((index: number) => rows[index]?.key ?? index, [rows]),
    overscan: 8,
    // The line about older messages is no row: as one it would be what the place is kept by.
    paddingStart: 40,
    paddingEnd: 24,
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: nearEnd
  })

  // The first rows of a thread: begin at its end, before anything is seen.
  useLayoutEffect(() => {
    if (settled.current || rows.length === 0) return
    settled.current = true
    virtual.scrollToEnd()
  }, [rows.length, virtual])

  useEffect(() => {
    if (follow > 0) virtual.scrollToEnd()
  }, [follow, virtual])

  // Once for each target: afterwards one may scroll away from it.
  const targetIndex = target === null ? -1 : rows.findIndex((row) => row.key === target)
  const shownTarget = useRef<string | null>(null)
  useEffect(() => {
    if (target === null) shownTarget.current = null
    if (targetIndex === -1 || shownTarget.current === target) return
    shownTarget.current = target
    virtual.scrollToIndex(targetIndex, { align: "center" })
  }, [target, targetIndex, virtual])

  // A page that does not fill the screen has nothing to scroll.
  const total = virtual.getTotalSize()
  useEffect(() => {
    if (older === "some" && total < (frame.current?.clientHeight ?? 0) + nearStart) onOldest()
  }, [older, total, onOldest])

  const onScroll = () => {
    const element = frame.current
    if (element === null) return
    setAtEnd(element.scrollHeight - element.scrollTop - element.clientHeight <= nearEnd)
    if (settled.current && element.scrollTop < nearStart) onOldest()
  }

  return (
    <div className="timeline-frame">
      <div ref={frame} className="timeline" onScroll={onScroll} tabIndex={0} role="region" aria-label={label}>
        <div className="timeline-rows" style={{ height: total }}>
          {older !== "none" && (
            <div className="older">
              <Button look="quiet" disabled={older === "loading"} onClick={onOldest}>
                {older === "loading" ? "Loading older messages…" : "Show older messages"}
              </Button>
            </div>
          )}
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index]
            if (row === undefined) return null
            return (
              <div
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                data-row={row.key}
                className={`timeline-row ${row.key === target ? "timeline-row-found" : ""}`}
                aria-current={row.key === target ? "true" : undefined}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <div className="timeline-column">{draw(row)}</div>
              </div>
            )
          })}
        </div>
      </div>
      {!atEnd && (
        <Button className="jump" onClick={() => virtual.scrollToEnd()}>
          <ArrowDown size={14} aria-hidden="true" /> Jump to newest
        </Button>
      )}
    </div>
  )
}
