/**
 * An answer as Markdown. HTML in it is shown as text, addresses are checked, and pictures are links: an agent's
 * words load nothing from anywhere.
 */
import { memo } from "react"
import ReactMarkdown from "react-markdown"
import type { Components } from "react-markdown"
import remarkGfm from "remark-gfm"
import { blocksOf } from "../model/blocks.ts"
import { CodeBlock } from "./Code.tsx"
import { languageOf } from "./highlight.ts"

const plugins = [remarkGfm]

const components: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ),
  img: ({ src, alt }) => (
    <a href={typeof src === "string" ? src : undefined} target="_blank" rel="noopener noreferrer nofollow">
      {alt === undefined || alt === "" ? "Picture" : `Picture: ${alt}`}
    </a>
  ),
  // Headings of an answer are below those of the page.
  h1: ({ children }) => <h3>{children}</h3>,
  h2: ({ children }) => <h4>{children}</h4>,
  h3: ({ children }) => <h5>{children}</h5>,
  h4: ({ children }) => <h6>{children}</h6>,
  h5: ({ children }) => <h6>{children}</h6>,
  table: ({ children }) => (
    <div className="table-frame" tabIndex={0} role="region" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  pre: ({ children }) => <>{children}</>,
  code: ({ className, children }) => {
    const text = String(children)
    const name = /language-(\S+)/.exec(className ?? "")?.[1]
    // Code in a line has neither a language nor a line break.
    if (name === undefined && !text.includes("\n")) return <code className="code-inline">{text}</code>
    return (
      <CodeBlock code={text.replace(/\n$/, "")} language={name === undefined ? null : languageOf(name)} />
    )
  }
}

const Block = memo(({ text }: { readonly text: string }) => (
  <ReactMarkdown remarkPlugins={plugins} components={components}>
    {text}
  </ReactMarkdown>
))

export const Markdown = memo(({ text }: { readonly text: string }) => (
  <div className="markdown">
    {blocksOf(text).map((block, index) => (
      // Blocks are only ever added at the end while an answer streams.
      <Block key={index} text={block} />
    ))}
  </div>
))
