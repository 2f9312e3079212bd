/** Generated from codex 0.169.0 by scripts/generate.ts. Not edited by hand. */

export const codexVersion = "0.169.0"

export type InitializeParams = { clientInfo: ClientInfo, capabilities: InitializeCapabilities | null, };

export type ClientInfo = { name: string, title: string | null, version: string, };

export type InitializeCapabilities = { requiredHumanApproval?: boolean, explicitGatewayOauth?: boolean, experimentalApi: boolean, requestAttestation: boolean, mcpServerOpenaiFormElicitation?: boolean, optOutNotificationMethods?: Array<string> | null, extensions?: { [key in string]?: JsonValue } | null, };

export type JsonValue = unknown

export type InitializeResponse = { userAgent: string, codexHome: AbsolutePathBuf, platformFamily: string, platformOs: string, };

export type AbsolutePathBuf = string;

export type RequestId = string | number;

export type ThreadStartParams = { model?: string | null, modelProvider?: string | null, allowProviderModelFallback?: boolean, serviceTier?: string | null | null, cwd?: string | null, runtimeWorkspaceRoots?: Array<AbsolutePathBuf> | null, approvalPolicy?: AskForApproval | null, approvalsReviewer?: ApprovalsReviewer | null, sandbox?: SandboxMode | null, permissions?: string | null, config?: { [key in string]?: JsonValue } | null, serviceName?: string | null, baseInstructions?: string | null, developerInstructions?: string | null, personality?: Personality | null, multiAgentMode?: MultiAgentMode | null, ephemeral?: boolean | null, historyMode?: ThreadHistoryMode | null, sessionStartSource?: ThreadStartSource | null, threadSource?: ThreadSource | null, projectId?: string | null, daybreakEnabled?: boolean | null, environments?: Array<TurnEnvironmentParams> | null, dynamicTools?: Array<DynamicToolSpec> | null, selectedCapabilityRoots?: Array<SelectedCapabilityRoot> | null, mockExperimentalField?: string | null, experimentalRawEvents?: boolean, };

export type MultiAgentMode = { "custom": string } | "explicitRequestOnly" | "proactive";

export type Personality = "none" | "friendly" | "pragmatic";

export type ApprovalsReviewer = "user" | "auto_review" | "guardian_subagent";

export type AskForApproval = "untrusted" | "on-request" | { "granular": { sandbox_approval: boolean, rules: boolean, skill_approval: boolean, request_permissions: boolean, mcp_elicitations: boolean, } } | "never";

export type DynamicToolSpec = unknown

export type SandboxMode = "read-only" | "workspace-write" | "danger-full-access";

export type SelectedCapabilityRoot = unknown

export type ThreadHistoryMode = "legacy" | "paginated";

export type ThreadSource = string;

export type ThreadStartSource = "startup" | "clear";

export type TurnEnvironmentParams = unknown

export type ThreadStartResponse = { thread: Thread, model: string, modelProvider: string, serviceTier: string | null, disabledPluginIds: Array<string>, cwd: AbsolutePathBuf, runtimeWorkspaceRoots: Array<AbsolutePathBuf>, instructionSources: Array<LegacyAppPathString>, approvalPolicy: AskForApproval, approvalsReviewer: ApprovalsReviewer, sandbox: SandboxPolicy, activePermissionProfile: ActivePermissionProfile | null, reasoningEffort: ReasoningEffort | null, multiAgentMode: MultiAgentMode, };

export type LegacyAppPathString = string;

export type ReasoningEffort = string;

export type ActivePermissionProfile = { id: string, extends: string | null, };

export type SandboxPolicy = { "type": "dangerFullAccess" } | { "type": "readOnly", networkAccess: boolean, } | { "type": "externalSandbox", networkAccess: NetworkAccess, } | { "type": "workspaceWrite", writableRoots: Array<AbsolutePathBuf>, networkAccess: boolean, excludeTmpdirEnvVar: boolean, excludeSlashTmp: boolean, };

export type NetworkAccess = "restricted" | "enabled";

export type Thread = { id: string, environments: Array<ThreadEnvironment> | null, extra: ThreadExtra | null, sessionId: string, forkedFromId: string | null, attachedToThreadId: string | null, parentThreadId: string | null, preview: string, ephemeral: boolean, section: ThreadSection | null, sectionEnteredAt: number | null, projectId: string | null, historyMode: ThreadHistoryMode, modelProvider: string, model: string | null, reasoningEffort: ReasoningEffort | null, createdAt: number, updatedAt: number, recencyAt: number | null, status: ThreadStatus, path: string | null, cwd: AbsolutePathBuf, cliVersion: string, originator: string | null, source: SessionSource, canAcceptDirectInput: boolean | null, threadSource: ThreadSource | null, agentNickname: string | null, agentRole: string | null, gitInfo: GitInfo | null, name: string | null, daybreakEnabled: boolean | null, turns: Array<Turn>, };

export type GitInfo = { sha: string | null, branch: string | null, originUrl: string | null, };

export type SessionSource = unknown

export type ThreadEnvironment = unknown

export type ThreadExtra = unknown

export type ThreadSection = unknown

export type ThreadStatus = { "type": "notLoaded" } | { "type": "idle" } | { "type": "systemError" } | { "type": "active", activeFlags: Array<ThreadActiveFlag>, };

export type ThreadActiveFlag = "waitingOnApproval" | "waitingOnUserInput";

export type Turn = { id: string, rootTurnId: string | null, items: Array<ThreadItem>, itemsView: TurnItemsView, status: TurnStatus, error: TurnError | null, startedAt: number | null, completedAt: number | null, durationMs: number | null, };

export type ThreadItem = { startedAtMs?: number | null, completedAtMs?: number | null, } & ({ "type": "userMessage", id: string, clientId: string | null, content: Array<UserInput>, } | { "type": "hookPrompt", id: string, fragments: Array<HookPromptFragment>, } | { "type": "agentMessage", moderation: AgentMessageModeration | null, id: string, text: string, phase: MessagePhase | null, memoryCitation: MemoryCitation | null, delivery: AgentMessageDelivery | null, questions: Array<AsyncUserInputQuestion> | null, } | { "type": "functionCallOutput", id: string, name: string, namespace: string | null, output: FunctionCallOutputBody, } | { "type": "plan", id: string, text: string, } | { "type": "reasoning", id: string, summary: Array<string>, content: Array<string>, } | { "type": "commandExecution", id: string, pluginId: string | null, scriptPath: string | null, command: string, cwd: LegacyAppPathString, processId: string | null, source: CommandExecutionSource, status: CommandExecutionStatus, commandActions: Array<CommandAction>, aggregatedOutput: string | null, exitCode: number | null, durationMs: number | null, } | { "type": "fileChange", id: string, changes: Array<FileUpdateChange>, status: PatchApplyStatus, } | { "type": "mcpToolCall", id: string, server: string, tool: string, status: McpToolCallStatus, arguments: JsonValue, appContext: McpToolCallAppContext | null, mcpAppResourceUri?: string, mcpAppUi: McpAppUi | null, pluginId: string | null, readOnlyHint: boolean | null, result: McpToolCallResult | null, error: McpToolCallError | null, durationMs: number | null, } | { "type": "dynamicToolCall", id: string, namespace: string | null, tool: string, arguments: JsonValue, status: DynamicToolCallStatus, contentItems: Array<DynamicToolCallOutputContentItem> | null, success: boolean | null, durationMs: number | null, } | { "type": "collabAgentToolCall", id: string, tool: CollabAgentTool, status: CollabAgentToolCallStatus, senderThreadId: string, receiverThreadIds: Array<string>, prompt: string | null, model: string | null, reasoningEffort: ReasoningEffort | null, agentsStates: { [key in string]?: CollabAgentState }, } | { "type": "subAgentActivity", model: string | null, reasoningEffort: ReasoningEffort | null, id: string, kind: SubAgentActivityKind, agentThreadId: string, agentPath: string, } | { "type": "webSearch" } & WebSearchItem | { "type": "imageView", id: string, path: LegacyAppPathString, } | { "type": "sleep" } & SleepItem | { "type": "imageGeneration" } & ImageGenerationItem | { "type": "enteredReviewMode", id: string, review: string, } | { "type": "exitedReviewMode", id: string, review: string, } | { "type": "contextCompaction", id: string, });

export type FunctionCallOutputBody = unknown

export type ImageGenerationItem = { id: string, status: string, revisedPrompt: string | null, transparentBackground?: boolean, failure: ImageGenerationFailure | null, savedPath?: AbsolutePathBuf, inputImages?: Array<ImageGenerationInputImage>, generationId: string | null, } & ({ fileId: string, } | { result: string, });

export type ImageGenerationFailure = { "type": "usageLimitExceeded", limitId: string, resetsAt: number | null, };

export type ImageGenerationInputImage = { path: AbsolutePathBuf, sha256: string, };

export type MessagePhase = "commentary" | "partial_answer" | "final_answer";

export type SleepItem = { id: string, durationMs: number, };

export type WebSearchItem = { id: string, query: string, action: WebSearchAction | null, results: Array<JsonValue> | null, };

export type WebSearchAction = { "type": "search", query: string | null, queries: Array<string> | null, } | { "type": "openPage", url: string | null, } | { "type": "findInPage", url: string | null, pattern: string | null, } | { "type": "other" };

export type AgentMessageDelivery = "async";

export type AgentMessageModeration = unknown

export type AsyncUserInputQuestion = unknown

export type CollabAgentState = unknown

export type CollabAgentTool = "spawnAgent" | "sendInput" | "resumeAgent" | "wait" | "closeAgent" | "sendMessage" | "followupTask" | "interruptAgent" | "listAgents";

export type CollabAgentToolCallStatus = "inProgress" | "completed" | "failed" | "interrupted";

export type CommandAction = { "type": "read", command: string, name: string, path: LegacyAppPathString, } | { "type": "listFiles", command: string, path: string | null, } | { "type": "search", command: string, query: string | null, path: string | null, } | { "type": "unknown", command: string, };

export type CommandExecutionSource = "agent" | "userShell" | "unifiedExecStartup" | "unifiedExecInteraction";

export type CommandExecutionStatus = "inProgress" | "completed" | "failed" | "declined";

export type DynamicToolCallOutputContentItem = unknown

export type DynamicToolCallStatus = "inProgress" | "completed" | "failed";

export type FileUpdateChange = { path: string, kind: PatchChangeKind, diff: string, };

export type PatchChangeKind = { "type": "add" } | { "type": "delete" } | { "type": "update", move_path: string | null, };

export type HookPromptFragment = unknown

export type McpAppUi = unknown

export type McpToolCallAppContext = unknown

export type McpToolCallError = unknown

export type McpToolCallResult = unknown

export type McpToolCallStatus = "inProgress" | "completed" | "failed";

export type MemoryCitation = unknown

export type PatchApplyStatus = "inProgress" | "completed" | "failed" | "declined";

export type SubAgentActivityKind = "started" | "interacted" | "interrupted" | "completed";

export type UserInput = { "type": "text", text: string, text_elements: Array<TextElement>, } | { "type": "image", detail?: ImageDetail, } & ({ url: string, } | { fileId: string, }) | { "type": "localImage", detail?: ImageDetail, path: string, } | { "type": "audio", } & ({ url: string, } | { fileId: string, }) | { "type": "localAudio", path: string, } | { "type": "skill", name: string, path: string, } | { "type": "mention", name: string, path: string, };

export type ImageDetail = "auto" | "low" | "high" | "original";

export type TextElement = { byteRange: ByteRange, placeholder: string | null, };

export type ByteRange = { start: number, end: number, };

export type TurnError = { message: string, codexErrorInfo: CodexErrorInfo | null, additionalDetails: string | null, misalignment: MisalignmentErrorDetails | null, };

export type CodexErrorInfo = "contextWindowExceeded" | "sessionBudgetExceeded" | "usageLimitExceeded" | "rateLimitExceeded" | "flexUnavailable" | "serverOverloaded" | "modelNotFound" | "policyCapacityUnavailable" | "inferenceHookDenied" | "cyberPolicy" | "misalignmentPolicyViolation" | "tooManyDenials" | { "httpConnectionFailed": { httpStatusCode: number | null, } } | { "responseStreamConnectionFailed": { httpStatusCode: number | null, } } | "internalServerError" | "unauthorized" | "badRequest" | "threadRollbackFailed" | "sandboxError" | { "responseStreamDisconnected": { httpStatusCode: number | null, } } | { "responseTooManyFailedAttempts": { httpStatusCode: number | null, } } | { "activeTurnNotSteerable": { turnKind: NonSteerableTurnKind, } } | "other" | string | { [key: string]: unknown };

export type NonSteerableTurnKind = "review" | "compact";

export type MisalignmentErrorDetails = { errorType: string | null, detailedExplanation: string | null, steer: MisalignmentSteer | null, reviewTarget?: string | null, };

export type MisalignmentSteer = { message: string, };

export type TurnItemsView = "notLoaded" | "summary" | "full";

export type TurnStatus = "completed" | "interrupted" | "failed" | "inProgress";

export type ThreadResumeParams = { threadId: string, history?: Array<ResponseItem> | null, path?: string | null, model?: string | null, modelProvider?: string | null, serviceTier?: string | null | null, cwd?: string | null, runtimeWorkspaceRoots?: Array<AbsolutePathBuf> | null, approvalPolicy?: AskForApproval | null, approvalsReviewer?: ApprovalsReviewer | null, sandbox?: SandboxMode | null, permissions?: string | null, config?: { [key in string]?: JsonValue } | null, baseInstructions?: string | null, developerInstructions?: string | null, personality?: Personality | null, excludeTurns?: boolean, initialTurnsPage?: ThreadResumeInitialTurnsPageParams | null, };

export type ResponseItem = unknown

export type ThreadResumeInitialTurnsPageParams = unknown

export type ThreadResumeResponse = { thread: Thread, model: string, modelProvider: string, serviceTier: string | null, disabledPluginIds: Array<string>, cwd: AbsolutePathBuf, runtimeWorkspaceRoots: Array<AbsolutePathBuf>, instructionSources: Array<LegacyAppPathString>, approvalPolicy: AskForApproval, approvalsReviewer: ApprovalsReviewer, sandbox: SandboxPolicy, activePermissionProfile: ActivePermissionProfile | null, reasoningEffort: ReasoningEffort | null, collaborationMode: CollaborationMode | null, multiAgentMode: MultiAgentMode, initialTurnsPage: TurnsPage | null, turnsBackwardsCursor: string | null, itemsBackwardsCursor: string | null, };

export type CollaborationMode = { mode: ModeKind, settings: Settings, };

export type ModeKind = "plan" | "default";

export type Settings = { model: string, reasoning_effort: ReasoningEffort | null, developer_instructions: string | null, };

export type TurnsPage = { data: Array<Turn>, nextCursor: string | null, backwardsCursor: string | null, };

export type ThreadReadParams = { threadId: string, includeTurns?: boolean, };

export type ThreadReadResponse = { thread: Thread, readState: ThreadReadState | null, };

export type ThreadReadState = { firstUnread: ThreadUnreadPosition | null, revision: string, };

export type ThreadUnreadPosition = { "type": "threadStart" } | { "type": "turn", turnId: string, };

export type ThreadUnsubscribeParams = { threadId: string, };

export type ThreadUnsubscribeResponse = { status: ThreadUnsubscribeStatus, };

export type ThreadUnsubscribeStatus = "notLoaded" | "notSubscribed" | "unsubscribed";

export type ThreadLoadedListParams = { cursor?: string | null, limit?: number | null, };

export type ThreadLoadedListResponse = { data: Array<string>, nextCursor: string | null, };

export type ThreadTurnsListParams = { threadId: string, cursor?: string | null, limit?: number | null, sortDirection?: SortDirection | null, itemsView?: TurnItemsView | null, };

export type SortDirection = "asc" | "desc";

export type ThreadTurnsListResponse = { data: Array<Turn>, nextCursor: string | null, backwardsCursor: string | null, };

export type ThreadItemsListParams = { threadId: string, turnId?: string | null, cursor?: ThreadItemsListCursor | null, limit?: number | null, sortDirection?: SortDirection | null, deferOutput?: ThreadItemOutputDeferral | null, };

export type ThreadItemOutputDeferral = { commandExecution?: boolean, mcpToolCall?: boolean, };

export type ThreadItemsListCursor = string | ThreadItemsListAnchor;

export type ThreadItemsListAnchor = { "type": "item", itemId: string, };

export type ThreadItemsListResponse = { data: Array<ThreadItemEntry>, nextCursor: string | null, backwardsCursor: string | null, };

export type ThreadItemEntry = { turnId: string, item: ThreadItem, outputDeferred?: boolean, startedAtMs: number | null, completedAtMs: number | null, };

export type ThreadBackgroundTerminalsListParams = { threadId: string, cursor?: string | null, limit?: number | null, };

export type ThreadBackgroundTerminalsListResponse = { data: Array<ThreadBackgroundTerminal>, nextCursor: string | null, };

export type ThreadBackgroundTerminal = { itemId: string, processId: string, command: string, cwd: LegacyAppPathString, osPid: number | null, cpuPercent: number | null, rssKb: bigint | null, };

export type ThreadBackgroundTerminalsTerminateParams = { threadId: string, processId: string, };

export type ThreadBackgroundTerminalsTerminateResponse = { terminated: boolean, };

export type TurnStartParams = { threadId: string, disabledPluginIds?: Array<string> | null, clientUserMessageId?: string | null, input: Array<UserInput>, turnTrigger?: string | null, parentTurnId?: string | null, rootTurnId?: string | null, toolOutput?: TurnToolOutput | null, responsesapiClientMetadata?: { [key in string]?: string } | null, responsesapiClientMetadataPatch?: { [key in string]?: string } | null, additionalContext?: { [key in string]?: AdditionalContextEntry } | null, environments?: Array<TurnEnvironmentParams> | null, cwd?: string | null, runtimeWorkspaceRoots?: Array<AbsolutePathBuf> | null, approvalPolicy?: AskForApproval | null, approvalsReviewer?: ApprovalsReviewer | null, sandboxPolicy?: SandboxPolicy | null, permissions?: string | null, model?: string | null, serviceTier?: string | null | null, serviceTierForTurn?: string | null, effort?: ReasoningEffort | null, summary?: ReasoningSummary | null, personality?: Personality | null, outputSchema?: JsonValue | null, collaborationMode?: CollaborationMode | null, multiAgentMode?: MultiAgentMode | null, cyberAccessProgram?: CyberAccessProgram | null, };

export type ReasoningSummary = "auto" | "concise" | "detailed" | "none";

export type AdditionalContextEntry = unknown

export type CyberAccessProgram = unknown

export type TurnToolOutput = unknown

export type TurnStartResponse = { turn: Turn, };

export type TurnSteerParams = { threadId: string, clientUserMessageId?: string | null, input: Array<UserInput>, responsesapiClientMetadata?: { [key in string]?: string } | null, responsesapiClientMetadataPatch?: { [key in string]?: string } | null, additionalContext?: { [key in string]?: AdditionalContextEntry } | null, expectedTurnId: string, };

export type TurnSteerResponse = { turnId: string, };

export type TurnInterruptParams = { threadId: string, turnId: string, };

export type TurnInterruptResponse = Record<string, never>;

export type ModelListParams = { modelProvider?: string | null, cursor?: string | null, limit?: number | null, includeHidden?: boolean | null, };

export type ModelListResponse = { data: Array<Model>, nextCursor: string | null, };

export type Model = { id: string, model: string, upgrade: string | null, upgradeInfo: ModelUpgradeInfo | null, availabilityNux: ModelAvailabilityNux | null, displayName: string, description: string, modelSpecialty: string | null, hidden: boolean, supportedReasoningEfforts: Array<ReasoningEffortOption>, defaultReasoningEffort: ReasoningEffort, inputModalities: Array<InputModality>, supportsPersonality: boolean, multiAgentVersion: MultiAgentVersion | null, additionalSpeedTiers: Array<string>, serviceTiers: Array<ModelServiceTier>, defaultServiceTier: string | null, availableAccessPrograms: ModelAccessPrograms | null, isDefault: boolean, };

export type InputModality = "text" | "image" | "audio";

export type ModelAccessPrograms = unknown

export type ModelAvailabilityNux = { message: string, };

export type ModelServiceTier = { id: string, name: string, description: string, };

export type ModelUpgradeInfo = unknown

export type MultiAgentVersion = "disabled" | "v1" | "v2";

export type ReasoningEffortOption = { reasoningEffort: ReasoningEffort, description: string, };

export type GetAccountParams = { refreshToken?: boolean, };

export type GetAccountResponse = { account: Account | null, userId: string | null, requiresOpenaiAuth: boolean, workspaceRouting: WorkspaceRouting | null, };

export type Account = { "type": "apiKey", } | { "type": "chatgpt", email: string | null, planType: PlanType, workspaceName: string | null, } | { "type": "amazonBedrock", usesCodexManagedCredentials: boolean, } | { "type": "gcp", };

export type PlanType = "free" | "go" | "plus" | "pro" | "prolite" | "promax" | "team" | "self_serve_business_prolite" | "self_serve_business_usage_based" | "business" | "ent26" | "enterprise_cbp_automation" | "enterprise_cbp_usage_based" | "enterprise" | "edu" | "edu_plus" | "edu_pro" | "sci" | "sci_plus" | "unknown";

export type WorkspaceRouting = unknown

export type CommandExecutionRequestApprovalParams = { kind: CommandExecutionApprovalKind, threadId: string, turnId: string, itemId: string, startedAtMs: number, approvalId?: string | null, environmentId: string | null, reason?: string | null, networkApprovalContext?: NetworkApprovalContext | null, command?: string | null, cwd?: LegacyAppPathString | null, commandActions?: Array<CommandAction> | null, additionalPermissions?: AdditionalPermissionProfile | null, proposedExecpolicyAmendment?: ExecPolicyAmendment | null, proposedNetworkPolicyAmendments?: Array<NetworkPolicyAmendment> | null, availableDecisions?: Array<CommandExecutionApprovalDecision> | null, };

export type AdditionalPermissionProfile = unknown

export type CommandExecutionApprovalDecision = "accept" | "acceptForSession" | { "acceptWithExecpolicyAmendment": { execpolicy_amendment: ExecPolicyAmendment, } } | { "applyNetworkPolicyAmendment": { network_policy_amendment: NetworkPolicyAmendment, } } | "decline" | "cancel";

export type ExecPolicyAmendment = Array<string>;

export type NetworkPolicyAmendment = { host: string, action: NetworkPolicyRuleAction, };

export type NetworkPolicyRuleAction = "allow" | "deny";

export type CommandExecutionApprovalKind = "command" | "humanCommand" | "writeStdin";

export type NetworkApprovalContext = unknown

export type CommandExecutionRequestApprovalResponse = { decision: CommandExecutionApprovalDecision, };

export type FileChangeRequestApprovalParams = { threadId: string, turnId: string, itemId: string, startedAtMs: number, reason?: string | null, grantRoot?: string | null, };

export type FileChangeRequestApprovalResponse = { decision: FileChangeApprovalDecision, };

export type FileChangeApprovalDecision = "accept" | "acceptForSession" | "decline" | "cancel";

export type PermissionsRequestApprovalParams = { threadId: string, turnId: string, itemId: string, environmentId: string | null, startedAtMs: number, cwd: LegacyAppPathString, reason: string | null, permissions: RequestPermissionProfile, };

export type RequestPermissionProfile = { network: AdditionalNetworkPermissions | null, fileSystem: AdditionalFileSystemPermissions | null, };

export type AdditionalFileSystemPermissions = { read: Array<LegacyAppPathString> | null, write: Array<LegacyAppPathString> | null, globScanMaxDepth?: number, entries?: Array<FileSystemSandboxEntry>, };

export type FileSystemSandboxEntry = { path: FileSystemPath, access: FileSystemAccessMode, };

export type FileSystemAccessMode = "read" | "write" | "deny";

export type FileSystemPath = { "type": "path", path: LegacyAppPathString, } | { "type": "glob_pattern", pattern: string, } | { "type": "special", value: FileSystemSpecialPath, };

export type FileSystemSpecialPath = { "kind": "root" } | { "kind": "minimal" } | { "kind": "project_roots", subpath: LegacyAppPathString | null, } | { "kind": "tmpdir" } | { "kind": "slash_tmp" } | { "kind": "unknown", path: string, subpath: LegacyAppPathString | null, };

export type AdditionalNetworkPermissions = { enabled: boolean | null, };

export type PermissionsRequestApprovalResponse = { permissions: GrantedPermissionProfile, scope: PermissionGrantScope, strictAutoReview?: boolean, };

export type GrantedPermissionProfile = { network?: AdditionalNetworkPermissions, fileSystem?: AdditionalFileSystemPermissions, };

export type PermissionGrantScope = "turn" | "session";

export type ToolRequestUserInputParams = { threadId: string, turnId: string, itemId: string, questions: Array<ToolRequestUserInputQuestion>, isBlocking: boolean, autoResolutionMs: number | null, };

export type ToolRequestUserInputQuestion = { id: string, header: string, question: string, isOther: boolean, isSecret: boolean, options: Array<ToolRequestUserInputOption> | null, };

export type ToolRequestUserInputOption = { label: string, description: string, };

export type ToolRequestUserInputResponse = { answers: { [key in string]?: ToolRequestUserInputAnswer }, };

export type ToolRequestUserInputAnswer = { answers: Array<string>, };

export type McpServerElicitationRequestParams = { threadId: string, turnId: string | null, serverName: string, } & ({ "mode": "openai/userVerification", _meta: JsonValue | null, title: string, description: string, challenge: string, } | { "mode": "form", _meta: JsonValue | null, message: string, requestedSchema: McpElicitationSchema, } | { "mode": "openai/form", _meta: JsonValue | null, message: string, requestedSchema: JsonValue, } | { "mode": "openaiForm", _meta: JsonValue | null, message: string, requestedSchema: JsonValue, } | { "mode": "url", _meta: JsonValue | null, message: string, url: string, elicitationId: string, });

export type McpElicitationSchema = unknown

export type McpServerElicitationRequestResponse = { action: McpServerElicitationAction, content: JsonValue | null, _meta: JsonValue | null, };

export type McpServerElicitationAction = "accept" | "decline" | "cancel";

export type ErrorNotification = { error: TurnError, willRetry: boolean, threadId: string, turnId: string, };

export type TurnStartedNotification = { threadId: string, turn: Turn, };

export type TurnCompletedNotification = { threadId: string, turn: Turn, };

export type TurnPlanUpdatedNotification = { threadId: string, turnId: string, explanation: string | null, plan: Array<TurnPlanStep>, };

export type TurnPlanStep = { step: string, status: TurnPlanStepStatus, };

export type TurnPlanStepStatus = "pending" | "inProgress" | "completed";

export type ItemStartedNotification = { item: ThreadItem, threadId: string, turnId: string, startedAtMs: number, };

export type ItemCompletedNotification = { item: ThreadItem, threadId: string, turnId: string, contentTokenCount?: number | null, completedAtMs: number, };

export type AgentMessageDeltaNotification = { threadId: string, turnId: string, itemId: string, delta: string, };

export type PlanDeltaNotification = { threadId: string, turnId: string, itemId: string, delta: string, };

export type ReasoningSummaryTextDeltaNotification = { threadId: string, turnId: string, itemId: string, delta: string, summaryIndex: number, };

export type ReasoningSummaryPartAddedNotification = { threadId: string, turnId: string, itemId: string, summaryIndex: number, };

export type ReasoningTextDeltaNotification = { threadId: string, turnId: string, itemId: string, delta: string, contentIndex: number, };

export type CommandExecutionOutputDeltaNotification = { threadId: string, turnId: string, itemId: string, delta: string, };

export type McpToolCallProgressNotification = { threadId: string, turnId: string, itemId: string, message: string, };

export type ThreadTokenUsageUpdatedNotification = { threadId: string, turnId: string, tokenUsage: ThreadTokenUsage, };

export type ThreadTokenUsage = { total: TokenUsageBreakdown, last: TokenUsageBreakdown, modelContextWindow: number | null, };

export type TokenUsageBreakdown = { totalTokens: number, inputTokens: number, cachedInputTokens: number, cacheWriteInputTokens: number, outputTokens: number, reasoningOutputTokens: number, };

export type ThreadStartedNotification = { thread: Thread, };

export type ThreadClosedNotification = { threadId: string, };

export type ServerRequestResolvedNotification = { threadId: string, requestId: RequestId, };

export type WarningNotification = { threadId: string | null, message: string, };

export type ModelReroutedNotification = { threadId: string, turnId: string, fromModel: string, toModel: string, reason: ModelRerouteReason, };

export type ModelRerouteReason = "highRiskCyberActivity";

export const notificationMethods: ReadonlyArray<string> = [
  "error",
  "thread/started",
  "thread/status/changed",
  "thread/readState/changed",
  "thread/archived",
  "thread/deleted",
  "thread/unarchived",
  "thread/closed",
  "thread/reverted",
  "skills/changed",
  "thread/name/updated",
  "thread/section/changed",
  "thread/attachment/updated",
  "thread/goal/updated",
  "thread/prediction/updated",
  "thread/goal/cleared",
  "thread/queue/changed",
  "project/changed",
  "thread/project/updated",
  "thread/environment/connected",
  "thread/environment/disconnected",
  "thread/settings/updated",
  "thread/tokenUsage/updated",
  "turn/started",
  "hook/started",
  "turn/completed",
  "hook/completed",
  "turn/diff/updated",
  "turn/plan/updated",
  "item/started",
  "item/autoApprovalReview/started",
  "item/autoApprovalReview/completed",
  "autoApprovalReview/strictReviewRequired",
  "item/completed",
  "rawResponseItem/completed",
  "rawResponse/completed",
  "item/agentMessage/delta",
  "item/plan/delta",
  "command/exec/outputDelta",
  "process/outputDelta",
  "process/exited",
  "item/commandExecution/outputDelta",
  "item/commandExecution/terminalInteraction",
  "item/fileChange/outputDelta",
  "item/fileChange/patchUpdated",
  "serverRequest/resolved",
  "item/mcpToolCall/progress",
  "mcpServer/oauthLogin/completed",
  "mcpServer/startupStatus/updated",
  "mcpServer/event/stream/notification",
  "account/updated",
  "account/gatewayOAuth/changed",
  "account/rateLimits/updated",
  "app/list/updated",
  "remoteControl/status/changed",
  "externalAgentConfig/import/progress",
  "externalAgentConfig/import/completed",
  "fs/changed",
  "item/reasoning/summaryTextDelta",
  "item/reasoning/summaryPartAdded",
  "item/reasoning/textDelta",
  "thread/compacted",
  "model/rerouted",
  "model/verification",
  "modelProvider/authRecoveryStarted",
  "modelProvider/authRecoveryCompleted",
  "turn/moderationMetadata",
  "model/safetyBuffering/updated",
  "warning",
  "guardianWarning",
  "deprecationNotice",
  "configWarning",
  "fuzzyFileSearch/sessionUpdated",
  "fuzzyFileSearch/sessionCompleted",
  "thread/realtime/started",
  "thread/realtime/itemAdded",
  "thread/realtime/item/started",
  "thread/realtime/item/transcript/delta",
  "thread/realtime/item/completed",
  "thread/realtime/transcript/delta",
  "thread/realtime/transcript/done",
  "thread/realtime/outputAudio/delta",
  "thread/realtime/sdp",
  "thread/realtime/error",
  "thread/realtime/closed",
  "windows/worldWritableWarning",
  "windowsSandbox/setupCompleted",
  "account/login/completed"
]
