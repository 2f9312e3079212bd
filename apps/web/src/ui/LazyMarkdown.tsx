/** Markdown is loaded beside the page's own code; until it is there, the words stand as they were written. */
import { lazy, Suspense } from "react"

const Loaded = lazy(() => import("./Markdown.tsx").then(({ Markdown }) => ({ default: Markdown })))

export const Markdown = ({ text }: { readonly text: string }) => (
  <Suspense fallback={<div className="markdown markdown-plain">{text}</div>}>
    <Loaded text={text} />
  </Suspense>
)
