/**
 * What of OpenCode's HTTP protocol is used here, as version 1.18.33 sends it. A shape is a promise of the
 * program and not of the type system: whoever reads one is ready for another.
 */

export interface NativeError {
  readonly name: string
  readonly data?: { readonly message?: string; readonly statusCode?: number }
}

export interface Tokens {
  readonly input: number
  readonly output: number
  readonly reasoning: number
  readonly cache: { readonly read: number; readonly write: number }
}

export interface UserMessage {
  readonly role: "user"
  readonly id: string
  readonly sessionID: string
}

export interface AssistantMessage {
  readonly role: "assistant"
  readonly id: string
  readonly sessionID: string
  /** The user's message that it answers. */
  readonly parentID: string
  readonly time: { readonly created: number; readonly completed?: number }
  readonly error?: NativeError
  readonly finish?: string
  /** The conversation in short, made in place of what was said: nothing that the user asked for. */
  readonly summary?: boolean
}

export type Message = UserMessage | AssistantMessage

const field = (value: unknown, name: string): unknown => Reflect.get(Object(value), name)

/** With everything that decides which turn it is of, and whether that is over. */
export const isMessage = (info: unknown): info is Message => {
  if (typeof field(info, "id") !== "string") return false
  const role = field(info, "role")
  const time = field(info, "time")
  const isTime = typeof time === "object" && time !== null && !Array.isArray(time)
  return role === "assistant" ? isTime && typeof field(info, "parentID") === "string" : role === "user"
}

interface PartOf<Type extends string> {
  readonly type: Type
  readonly id: string
  readonly sessionID: string
  readonly messageID: string
}

export interface TextPart extends PartOf<"text" | "reasoning"> {
  readonly text: string
  /** Put into the conversation by the program, in the user's name. */
  readonly synthetic?: boolean
  readonly ignored?: boolean
  readonly time?: { readonly start: number; readonly end?: number }
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface ToolPart extends PartOf<"tool"> {
  readonly callID: string
  readonly tool: string
  readonly state: {
    readonly status: "pending" | "running" | "completed" | "error"
    readonly input?: Readonly<Record<string, unknown>>
    readonly title?: string
    readonly output?: string
    readonly error?: string
    readonly metadata?: Readonly<Record<string, unknown>>
  }
}

export interface StepFinishPart extends PartOf<"step-finish"> {
  readonly tokens: Tokens
  readonly cost?: number
}

export interface OtherPart extends PartOf<
  "step-start" | "compaction" | "file" | "agent" | "subtask" | "patch"
> {}

export type Part = TextPart | ToolPart | StepFinishPart | OtherPart

export interface Recorded {
  readonly info: Message
  readonly parts: ReadonlyArray<Part>
}

export type Status =
  | { readonly type: "idle" | "busy" }
  | { readonly type: "retry"; readonly attempt: number; readonly message: string; readonly next: number }

export interface SessionInfo {
  readonly id: string
  readonly directory: string
  readonly parentID?: string
}

export interface Rule {
  readonly permission: string
  readonly pattern: string
  readonly action: "allow" | "deny" | "ask"
}

export interface PermissionRequest {
  readonly id: string
  readonly sessionID: string
  readonly permission: string
  readonly patterns: ReadonlyArray<string>
  readonly metadata: Readonly<Record<string, unknown>>
  readonly always: ReadonlyArray<string>
  readonly tool?: { readonly messageID: string; readonly callID: string }
}

export interface QuestionRequest {
  readonly id: string
  readonly sessionID: string
  readonly questions: ReadonlyArray<{
    readonly question: string
    readonly header?: string
    readonly options: ReadonlyArray<{ readonly label: string; readonly description?: string }>
  }>
  readonly tool?: { readonly messageID: string; readonly callID: string }
}

/** One event of `GET /global/event`. */
export interface Native {
  readonly type: string
  readonly properties: unknown
}

/** Events of a session that say nothing a thread needs, or say again what others say. */
export const quiet: ReadonlySet<string> = new Set([
  "command.executed",
  "message.part.removed",
  "message.removed",
  "session.compacted",
  "session.created",
  "session.diff",
  "session.updated",
  "todo.updated",
  "tui.session.select"
])

/** The second, experimental API of the same program tells its own sessions under these names. */
export const isSecondApi = (type: string): boolean =>
  type.startsWith("session.next.") || type.startsWith("permission.v2.") || type.startsWith("question.v2.")
