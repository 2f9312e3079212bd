/** What Claude says, as far as it is looked at. Everything may be missing: it is read with care. */

export interface Native {
  readonly type: string
  readonly subtype?: string
  readonly uuid?: string
  readonly session_id?: string
  /** Set on what a helper agent says, which works for the call of this name. */
  readonly parent_tool_use_id?: string | null
  readonly user_message_uuid?: string
  readonly user_message_uuids?: ReadonlyArray<string>
}

export interface Lifecycle extends Native {
  readonly command_uuid: string
  readonly state: string
}

export interface StreamEvent extends Native {
  readonly event: {
    readonly type: string
    readonly index?: number
    readonly message?: { readonly id: string }
    readonly content_block?: { readonly type: string }
    readonly delta?: { readonly type: string; readonly text?: string; readonly thinking?: string }
  }
  /** On the end of a message that was cut: from which block on it will be said again. */
  readonly abandoned_blocks?: { readonly from_block_index: number }
}

export interface Block {
  readonly type: string
  readonly text?: string
  readonly thinking?: string
  readonly id?: string
  readonly name?: string
  readonly input?: Readonly<Record<string, unknown>>
  readonly tool_use_id?: string
  readonly content?: unknown
  readonly is_error?: boolean
}

export interface Spoken extends Native {
  readonly message: { readonly id?: string; readonly content: string | ReadonlyArray<Block> }
  /** Set on a message that Claude wrote itself because the model could not be heard. */
  readonly error?: string
  readonly tool_use_result?: unknown
}

export interface Tokens {
  readonly input_tokens?: number
  readonly cache_read_input_tokens?: number
  readonly output_tokens?: number
  readonly output_tokens_details?: { readonly thinking_tokens?: number } | null
}

export interface ResultMessage extends Native {
  readonly is_error?: boolean
  readonly result?: string
  readonly errors?: ReadonlyArray<string>
  readonly terminal_reason?: string
  readonly usage?: Tokens
  readonly total_cost_usd?: number
}

export interface ApiRetry extends Native {
  readonly attempt: number
  readonly max_retries: number
  readonly error_status: number | null
  readonly error: string
}

/** The names of the messages of the user that this one belongs to. */
export const uuidsOf = ({ user_message_uuids, user_message_uuid }: Native): ReadonlyArray<string> =>
  user_message_uuids ?? (user_message_uuid === undefined ? [] : [user_message_uuid])

/** Said, and of no interest to a thread. */
export const quiet: ReadonlySet<string> = new Set([
  "system/session_title_changed",
  "system/hook_started",
  "system/hook_progress",
  "system/hook_response",
  "system/plugin_install",
  "system/task_notification",
  "system/task_started",
  "system/task_updated",
  "system/task_progress",
  "system/thinking_tokens",
  "system/worker_shutting_down",
  "system/commands_changed",
  "system/notification",
  "system/files_persisted",
  "system/memory_recall",
  "system/elicitation_complete",
  "system/local_command_output",
  "system/mirror_error",
  "system/active_goal",
  "conversation_reset",
  "control_request_progress",
  "keep_alive",
  "tool_progress",
  "tool_use_summary",
  "auth_status",
  "rate_limit_event",
  "prompt_suggestion"
])
