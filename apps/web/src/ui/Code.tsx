import { useEffect, useState } from "react"
import { follow } from "../store/react.ts"
import { CopyButton } from "./CopyButton.tsx"
import { highlight } from "./highlight.ts"
import type { CodeToken, Language } from "./highlight.ts"

type Lines = ReadonlyArray<ReadonlyArray<CodeToken>>

/** The colours of a code as soon as they are known; null until then, and for what stays plain. */
export const useHighlight = (code: string, language: Language | null): Lines | null => {
  const [found, setFound] = useState<{ readonly code: string; readonly lines: Lines | null } | null>(null)
  useEffect(() => {
    if (language === null) return undefined
    return follow(
      highlight(code, language),
      (lines) => setFound({ code, lines }),
      () => {}
    )
  }, [code, language])
  return found !== null && found.code === code ? found.lines : null
}

const plainLines = (code: string): Lines => code.split("\n").map((text) => [{ text, sort: null }])

/** Colours of a code that grows are those of its beginning: only the newest words wait for theirs. */
const useGrowing = (code: string, language: Language | null): Lines => {
  const lines = useHighlight(code, language)
  const [last, setLast] = useState<Lines | null>(null)
  useEffect(() => {
    if (lines !== null) setLast(lines)
  }, [lines])
  if (lines !== null) return lines
  const plain = plainLines(code)
  if (last === null) return plain
  const settled = last
    .slice(0, -1)
    .filter((line, index) => textOf(line) === (plain[index]?.[0]?.text ?? null))
  return [...settled, ...plain.slice(settled.length)]
}
const textOf = (line: ReadonlyArray<CodeToken>) => line.map((token) => token.text).join("")

export const Tokens = ({ tokens }: { readonly tokens: ReadonlyArray<CodeToken> }) =>
  tokens.map((token, index) =>
    token.sort === null ? (
      token.text
    ) : (
      // The place in the line is all that tells two tokens apart.
      <span key={index} className={`code-${token.sort}`}>
        {token.text}
      </span>
    )
  )

export const CodeBlock = ({
  code,
  language
}: {
  readonly code: string
  readonly language: Language | null
}) => {
  const lines = useGrowing(code, language)
  return (
    <div className="code-block">
      <div className="code-head">
        <span>{language ?? "text"}</span>
        <CopyButton text={code} label="Copy this code" />
      </div>
      {/* Wide code scrolls, so the keyboard has to be able to get in. */}
      <pre tabIndex={0} aria-label={`Code, ${language ?? "text"}`} role="region">
        <code>
          {lines.map((line, index) => (
            <span key={index}>
              <Tokens tokens={line} />
              {index < lines.length - 1 ? "\n" : ""}
            </span>
          ))}
        </code>
      </pre>
    </div>
  )
}
