/**
 * The Agent Client Protocol, version 1, as far as it is used here: its types, what each call sends and gets,
 * its codes. What agents send is typed by the protocol's own library and never trusted: it is read where it
 * is used, field by field.
 */
import type * as Sdk from "@agentclientprotocol/sdk"
import * as JsonRpc from "@turnkeeper/provider-kit/JsonRpc"

export type {
  AgentCapabilities,
  AuthMethod,
  ContentBlock,
  CreateElicitationRequest,
  Implementation,
  PermissionOption,
  RequestPermissionRequest,
  SessionUpdate,
  ToolCallContent,
  ToolCallUpdate,
  ToolKind
} from "@agentclientprotocol/sdk"

export const protocolVersion = 1

/** Token counts of a turn and the older list of models: sent by agents, not in the stable types. */
export interface PromptResponse extends Sdk.PromptResponse {
  readonly usage?: {
    readonly inputTokens?: number
    readonly outputTokens?: number
    readonly cachedReadTokens?: number
    readonly thoughtTokens?: number
  } | null
}

export interface OldModels {
  readonly availableModels: ReadonlyArray<{ readonly modelId: string; readonly name: string }>
  readonly currentModelId: string
}

/** What an agent says of a conversation when it is made or taken up again. */
export interface Opened {
  readonly modes?: Sdk.SessionModeState | null
  readonly configOptions?: ReadonlyArray<Sdk.SessionConfigOption> | null
  readonly models?: OldModels | null
}

/** What each call sends and gets. */
export interface Calls {
  readonly initialize: [Sdk.InitializeRequest, Sdk.InitializeResponse]
  readonly authenticate: [Sdk.AuthenticateRequest, Sdk.AuthenticateResponse]
  readonly "session/new": [Sdk.NewSessionRequest, Opened & { readonly sessionId: string }]
  readonly "session/load": [Sdk.LoadSessionRequest, Opened | null]
  readonly "session/resume": [Sdk.ResumeSessionRequest, Opened | null]
  readonly "session/list": [Sdk.ListSessionsRequest, Sdk.ListSessionsResponse]
  readonly "session/close": [Sdk.CloseSessionRequest, unknown]
  readonly "session/prompt": [Sdk.PromptRequest, PromptResponse]
  readonly "session/set_mode": [Sdk.SetSessionModeRequest, unknown]
  readonly "session/set_model": [{ readonly sessionId: string; readonly modelId: string }, unknown]
  readonly "session/set_config_option": [
    Sdk.SetSessionConfigOptionRequest,
    Sdk.SetSessionConfigOptionResponse
  ]
}

/** The codes of JSON-RPC, and those that the protocol adds. */
export const codes = {
  ...JsonRpc.codes,
  requestCancelled: -32800,
  authRequired: -32000,
  resourceNotFound: -32002
} as const

/**
 * What we can do for an agent. Files and terminals are not offered: an agent has its own, which work in the
 * same directory, and an item shows what they do.
 */
export const clientCapabilities = {
  fs: { readTextFile: false, writeTextFile: false },
  terminal: false,
  session: { notices: {}, compaction: {} },
  elicitation: { form: {} }
} as const

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** For reading what may not have the shape that it should have. */
export const record = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {})

export const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** Null for what is no text, or an empty one. */
export const textOf = (value: unknown): string | null =>
  typeof value === "string" && value !== "" ? value : null
