import type { ReactNode } from "react"

/** What is behind a word, for who wants to know. */
export const Details = ({
  label = "Details",
  children
}: {
  readonly label?: string
  readonly children: ReactNode
}) => (
  <details className="details">
    <summary>{label}</summary>
    <div className="details-body">{children}</div>
  </details>
)
