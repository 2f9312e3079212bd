import type { FileChange } from "../model/details.ts"
import type { Diff, DiffLine } from "../model/diffs.ts"
import { countWords } from "../model/format.ts"
import { Tokens, useHighlight } from "../ui/Code.tsx"
import { languageOfPath } from "../ui/highlight.ts"
import { CopyButton } from "../ui/CopyButton.tsx"

interface DiffViewProps {
  readonly change: FileChange
  readonly diff: Diff | null
  /** The path stands above the lines. */
  readonly named: boolean
}

const kindWords = { add: "new file", delete: "deleted", update: "" } as const

export const DiffView = ({ change, diff, named }: DiffViewProps) => (
  <div className="diff">
    <div className="diff-head">
      {named && <code>{change.path}</code>}
      {kindWords[change.kind] !== "" && <span className="diff-kind">{kindWords[change.kind]}</span>}
      <CopyButton
        text={change.diff ?? change.path}
        label={diff === null ? "Copy the path" : "Copy this diff"}
      />
    </div>
    {diff === null ? (
      <p className="output-none">The provider did not say what was changed inside.</p>
    ) : (
      <DiffLines path={change.path} diff={diff} />
    )}
  </div>
)

const signs = { add: "+", remove: "−", same: " ", gap: " " } as const

const DiffLines = ({ path, diff }: { readonly path: string; readonly diff: Diff }) => {
  // One text of all lines: the colours of a line may hang on the one above.
  const tokens = useHighlight(diff.lines.map((line) => line.text).join("\n"), languageOfPath(path))
  const numbered = diff.lines.some((line) => line.before !== null || line.after !== null)
  return (
    <div className="diff-frame" tabIndex={0} role="region" aria-label={`Changes of ${path}`}>
      <table className="diff-lines">
        <tbody>
          {diff.lines.map((line, index) => (
            <tr key={index} className={`diff-${line.type}`}>
              {numbered && <td className="diff-number">{numberOf(line)}</td>}
              <td className="diff-sign">
                <span aria-hidden="true">{signs[line.type]}</span>
                <span className="visually-hidden">{spoken[line.type]}</span>
              </td>
              <td className="diff-text">
                {line.type === "gap" ? (
                  "⋯"
                ) : (
                  <Tokens tokens={tokens?.[index] ?? [{ text: line.text, sort: null }]} />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {diff.beyond > 0 && <p className="output-hidden">{countWords(diff.beyond, "more line")} not shown.</p>}
    </div>
  )
}

const spoken = { add: "added", remove: "removed", same: "", gap: "" } as const
const numberOf = ({ before, after }: DiffLine) => after ?? before ?? ""
