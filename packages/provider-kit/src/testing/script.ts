/**
 * What a scripted turn does, as data, and how it is read from the text of a prompt.
 *
 * A prompt without directives gets a short friendly answer. With directives it does what they say, in
 * their order; the words around them are the user's and change nothing. The spelling is that of the
 * fake model, so that the same prompt means the same thing to a real provider in front of it.
 */

export type Step =
  /** An assistant message, streamed word by word. */
  | { readonly type: "text"; readonly text: string }
  /** So many numbered words, one per tick. */
  | { readonly type: "slow"; readonly words: number }
  /** As `slow`, without waiting: faster than anybody reads. */
  | { readonly type: "flood"; readonly words: number }
  | { readonly type: "think"; readonly text: string }
  /** A command item with streamed output. Nothing is executed. */
  | { readonly type: "shell"; readonly command: string }
  /** As `shell`, after the user has approved it. */
  | { readonly type: "ask"; readonly command: string }
  | { readonly type: "question"; readonly question: string; readonly options: ReadonlyArray<string> }
  /** A final error, then the turn's failure. */
  | { readonly type: "fail"; readonly message: string }
  /** Half an answer is cut, then so many transient errors, then the whole answer anew. Past the limit: failure. */
  | { readonly type: "drop"; readonly times: number }
  /** The session crashes in the middle of a message. */
  | { readonly type: "die" }
  /** Half a message, then silence. */
  | { readonly type: "stall" }
  /** The send is refused; nothing is delivered. */
  | { readonly type: "reject"; readonly message: string }
  /** After its end, the provider begins a turn by itself. */
  | { readonly type: "own" }
  | { readonly type: "refuse-interrupt" }
  /** The session refuses to stop from now on; only a kill ends it. */
  | { readonly type: "refuse-stop" }
  /** Another provider turn starts and completes inside this one: what the kernel has to withstand (L4). */
  | { readonly type: "aux" }
  /** A native message that nobody knows. */
  | { readonly type: "unknown"; readonly method: string }
  /** The script does nothing: a test says every event of the turn by itself. */
  | { readonly type: "manual" }

/** Transient errors before a scripted retry gives up. */
export const retryLimit = 5

/** The directive of each name; `argument` is what stands behind the colon, empty when there is none. */
const directives: { readonly [name: string]: (argument: string) => Step } = {
  text: (text) => ({ type: "text", text: text || "Some text." }),
  // Endless for all purposes, and still bounded: the item's text is kept until its end.
  slow: (words) => ({ type: "slow", words: Math.min(count(words), 1_000_000) }),
  flood: (words) => ({ type: "flood", words: Math.min(count(words), 100_000) }),
  think: (text) => ({ type: "think", text: text || "Let me think about it." }),
  shell: (command) => ({ type: "shell", command: command || "true" }),
  ask: (command) => ({ type: "ask", command: command || "true" }),
  question: (argument) => {
    const [question = "", ...options] = argument.split("|")
    return {
      type: "question",
      question: question || "Which one?",
      options: options.length > 0 ? options : ["Yes", "No"]
    }
  },
  fail: (message) => ({ type: "fail", message: message || "The scripted turn was told to fail." }),
  http: (status) => ({ type: "fail", message: `The model service answered with HTTP ${status || "500"}.` }),
  drop: (times) => ({ type: "drop", times: count(times) }),
  die: () => ({ type: "die" }),
  stall: () => ({ type: "stall" }),
  reject: (message) => ({ type: "reject", message: message || "The scripted provider was told to refuse." }),
  own: () => ({ type: "own" }),
  "refuse-interrupt": () => ({ type: "refuse-interrupt" }),
  "refuse-stop": () => ({ type: "refuse-stop" }),
  aux: () => ({ type: "aux" }),
  unknown: (method) => ({ type: "unknown", method: method || "scripted/unknown" }),
  manual: () => ({ type: "manual" })
}

/** The steps of a prompt's text. A directive that is not known is answered with a sentence that says so. */
export const stepsOf = (text: string): ReadonlyArray<Step> => {
  const found = [...text.matchAll(/\[\[([a-z-]+)(?::((?:[^\]]|\](?!\]))*))?\]\]/g)]
  if (found.length === 0) return [{ type: "text", text: friendly(text) }]
  const steps = found.flatMap(([whole, name = "", argument = ""]): ReadonlyArray<Step> => {
    // `[[id:…]]` only marks a prompt so that a test can count it.
    if (name === "id") return []
    const directive = Object.hasOwn(directives, name) ? directives[name] : undefined
    return [directive?.(argument) ?? { type: "text", text: `I do not know the directive ${whole}.` }]
  })
  return steps.some(speaks) ? steps : [...steps, { type: "text", text: afterwards(steps) }]
}

/** True for what gives the turn its words or its end: nothing has to be added for the user to read. */
const speaks = (step: Step): boolean =>
  !["think", "shell", "ask", "question", "own", "refuse-interrupt", "refuse-stop", "aux", "unknown"].includes(
    step.type
  )

const afterwards = (steps: ReadonlyArray<Step>): string =>
  steps.some((step) => step.type === "shell" || step.type === "ask")
    ? "The command is dealt with; this is the final answer."
    : "Done: this is the final answer."

/** No number means no end. */
const count = (argument: string): number => (/^\d+$/.test(argument) ? Number(argument) : Infinity)

const friendly = (text: string): string => {
  const said = text.trim().replaceAll(/\s+/g, " ")
  const echo = said.length > 80 ? `${said.slice(0, 80)}…` : said
  return (
    `You said: “${echo}” I am the scripted provider: no model stands behind me, but I can show you everything a ` +
    "real agent does. Try [[slow:40]] for a long answer, [[shell:ls -l]] for a command, [[ask:git push]] for an " +
    "approval, [[question:Which colour?|Red|Blue]], [[drop:2]] for a bad connection or [[fail:out of luck]]."
  )
}

/** The words of a text, each with the space behind it, so that joined they give the text again. */
export const wordsOf = (text: string): ReadonlyArray<string> => text.match(/\S+\s*|^\s+/g) ?? []
