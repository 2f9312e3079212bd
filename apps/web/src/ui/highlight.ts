/**
 * Colours for code, loaded when the first code is shown: the highlighter once, each language when it is met.
 * A language that is not listed, and code that is too long, stays plain.
 */
import type { HighlighterCore, ThemedToken } from "shiki/core"

const languages = {
  bash: () => import("shiki/langs/bash.mjs"),
  c: () => import("shiki/langs/c.mjs"),
  css: () => import("shiki/langs/css.mjs"),
  diff: () => import("shiki/langs/diff.mjs"),
  docker: () => import("shiki/langs/docker.mjs"),
  go: () => import("shiki/langs/go.mjs"),
  html: () => import("shiki/langs/html.mjs"),
  java: () => import("shiki/langs/java.mjs"),
  javascript: () => import("shiki/langs/javascript.mjs"),
  json: () => import("shiki/langs/json.mjs"),
  python: () => import("shiki/langs/python.mjs"),
  rust: () => import("shiki/langs/rust.mjs"),
  sql: () => import("shiki/langs/sql.mjs"),
  toml: () => import("shiki/langs/toml.mjs"),
  tsx: () => import("shiki/langs/tsx.mjs"),
  typescript: () => import("shiki/langs/typescript.mjs"),
  yaml: () => import("shiki/langs/yaml.mjs")
}
export type Language = keyof typeof languages

const others: Readonly<Record<string, Language>> = {
  sh: "bash",
  shell: "bash",
  zsh: "bash",
  console: "bash",
  h: "c",
  patch: "diff",
  dockerfile: "docker",
  golang: "go",
  htm: "html",
  xml: "html",
  svg: "html",
  js: "javascript",
  mjs: "javascript",
  cjs: "javascript",
  jsx: "tsx",
  jsonc: "json",
  py: "python",
  rs: "rust",
  ts: "typescript",
  mts: "typescript",
  yml: "yaml"
}

const isLanguage = (name: string): name is Language => Object.hasOwn(languages, name)

/** Null: plain text. */
export const languageOf = (name: string): Language | null => {
  const lower = name.toLowerCase()
  if (isLanguage(lower)) return lower
  return Object.hasOwn(others, lower) ? (others[lower] ?? null) : null
}

export const languageOfPath = (path: string): Language | null => {
  const name = path.split("/").at(-1) ?? ""
  return languageOf(name.includes(".") ? (name.split(".").at(-1) ?? "") : name)
}

const codeUnitsMax = 60_000
/**
 * A line that is longer stays plain, and one that takes longer stays plain from there on. The first line of a
 * language takes long: its patterns are made then.
 */
const line = { tokenizeMaxLineLength: 2_000, tokenizeTimeLimit: 3_000 } as const

/** What each word of the code is, as the name of a class. */
export interface CodeToken {
  readonly text: string
  readonly sort: string | null
}

let highlighter: Promise<HighlighterCore> | null = null
const loading = new Map<Language, Promise<void>>()

const prepare = async (): Promise<HighlighterCore> => {
  const [{ createHighlighterCore, createCssVariablesTheme }, { createJavaScriptRegexEngine }] =
    await Promise.all([import("shiki/core"), import("shiki/engine/javascript")])
  const theme = createCssVariablesTheme({ name: "variables", variablePrefix: "--code-" })
  // What a pattern cannot say in this browser's regular expressions stays plain instead of failing.
  return createHighlighterCore({
    themes: [theme],
    langs: [],
    engine: createJavaScriptRegexEngine({ forgiving: true })
  })
}

/** Null where it stays plain. Colours are names of classes: the page's own styles decide what they look like. */
export const highlight = async (
  code: string,
  language: Language
): Promise<ReadonlyArray<ReadonlyArray<CodeToken>> | null> => {
  if (code.length > codeUnitsMax) return null
  try {
    highlighter ??= prepare()
    const shiki = await highlighter
    const loaded =
      loading.get(language) ?? languages[language]().then((found) => shiki.loadLanguage(found.default))
    loading.set(language, loaded)
    await loaded
    const { tokens } = shiki.codeToTokens(code, { lang: language, theme: "variables", ...line })
    return tokens.map((words) => words.map(tokenOf))
  } catch {
    // A chunk that did not come: the code is readable without colours, and the next block tries again.
    highlighter = null
    loading.delete(language)
    return null
  }
}

const tokenOf = ({ content, color }: ThemedToken): CodeToken => {
  const sort = /--code-token-([a-z-]+)/.exec(color ?? "")?.[1] ?? null
  return { text: content, sort }
}
