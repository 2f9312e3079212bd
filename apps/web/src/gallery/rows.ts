/** Made rows: one thread for each thing that is worth looking at. */
import type { ThreadModel } from "@turnkeeper/client"
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import type {
  Entry,
  ItemEntry,
  MessageEntry,
  ProjectRow,
  RequestRow,
  SessionRow,
  ThreadRow,
  TurnRow
} from "@turnkeeper/contracts/Rows"

const start = Date.now() - 600_000
const at = (seconds: number) => start + seconds * 1000
/** Made rows need no check of their ids. */
const made = <A>(row: unknown): A => row as A

export const projects: ReadonlyArray<ProjectRow> = [
  made({
    projectId: "p1",
    title: "turnkeeper",
    directory: "/home/me/turnkeeper",
    createdAt: start,
    updatedAt: start
  }),
  made({ projectId: "p2", title: "notes", directory: "/home/me/notes", createdAt: start, updatedAt: start })
]

export const providers: ReadonlyArray<ProviderRow> = [
  made({
    id: "codex",
    kind: "codex",
    displayName: "Codex",
    capabilities: { steer: true, planMode: true },
    health: {
      status: "ready",
      version: "0.60.1",
      models: [
        { id: "large", name: "Large", isDefault: true },
        { id: "small", name: "Small", isDefault: false }
      ],
      advice: null
    },
    checkedAt: start,
    notice: null,
    examples: []
  }),
  made({
    id: "opencode",
    kind: "opencode",
    displayName: "OpenCode",
    capabilities: {},
    health: {
      status: "not_signed_in",
      version: "1.2.0",
      models: [],
      advice: "Run opencode auth login in a terminal."
    },
    checkedAt: start,
    notice: null,
    examples: []
  })
]

const thread = (threadId: string, title: string, more: Partial<ThreadRow> = {}): ThreadRow =>
  made({
    threadId,
    projectId: "p1",
    title,
    provider: "codex",
    model: null,
    runtimeMode: "approval_required",
    interactionMode: "default",
    cwd: null,
    archivedAt: null,
    deletedAt: null,
    sessionStatus: "ready",
    lastError: null,
    recovering: null,
    stopping: null,
    latestTurn: null,
    activeTurn: null,
    openRequests: 0,
    queuedTurns: 0,
    lastActivityAt: at(600),
    createdAt: start,
    version: 10,
    ...more
  })

const session = (threadId: string, more: Partial<SessionRow> = {}): SessionRow =>
  made({
    threadId,
    status: "ready",
    generation: 1,
    provider: "codex",
    activeTurnId: null,
    lastError: null,
    recovering: null,
    stopping: null,
    updatedAt: at(590),
    ...more
  })

const turn = (turnId: string, state: TurnRow["state"], more: Partial<TurnRow> = {}): TurnRow =>
  made({
    turnId,
    threadId: "t",
    messageId: `m-${turnId}`,
    origin: "user",
    state,
    providerTurnId: "native-1",
    delivery: "queue",
    delivered: state === "queued" ? null : "delivered",
    reason: null,
    into: null,
    interruptAskedAt: null,
    quiet: null,
    retryOf: null,
    provider: "codex",
    model: null,
    runtimeMode: "approval_required",
    interactionMode: "default",
    queuedAt: at(0),
    startedAt: at(1),
    settledAt: state === "running" || state === "queued" ? null : at(48),
    ordinal: 1,
    ...more
  })

let position = 0
const message = (
  turnId: string,
  role: MessageEntry["role"],
  text: string,
  more: Partial<MessageEntry> = {}
): Entry => {
  position += 1
  return made({
    type: "message",
    id: role === "user" ? `m-${turnId}` : `${turnId}/${position}`,
    threadId: "t",
    turnId,
    role,
    status: "completed",
    text,
    attachments: [],
    position,
    createdAt: at(position),
    completedAt: at(position + 1),
    ...more
  })
}
const item = (
  turnId: string,
  kind: ItemEntry["kind"],
  title: string,
  detail: ItemEntry["detail"],
  more: Partial<ItemEntry> = {}
): Entry => {
  position += 1
  return made({
    type: "item",
    id: `${turnId}/${position}`,
    threadId: "t",
    turnId,
    kind,
    title,
    detail,
    status: "completed",
    text: "",
    position,
    createdAt: at(position),
    completedAt: at(position + 1),
    ...more
  })
}

const model = (row: ThreadRow, more: Partial<ThreadModel>): ThreadModel => ({
  status: "live",
  asOf: start,
  threadId: row.threadId,
  thread: row,
  session: session(row.threadId),
  turns: [],
  requests: [],
  closedRequests: [],
  entries: [],
  hasOlder: false,
  loadingOlder: false,
  pending: [],
  stopping: null,
  ...more
})

const used: TurnRow["usage"] = {
  inputTokens: 48_210,
  cachedInputTokens: 41_600,
  outputTokens: 1_940,
  reasoningTokens: 610,
  costMicroUsd: 86_400
}

const diff = `@@ -12,5 +12,7 @@ export const delayOf = (attempt: number) => {
   const base = 200
-  return base * attempt
+  // Doubled each time, so that a server that comes back is not met by everybody at once.
+  const delay = Math.min(30_000, base * 2 ** attempt)
+  return delay * (0.5 + Math.random() / 2)
 }
 
 export const retries = 20
`

const answer = `The retries were **linear**: after an outage every client came back in the same second. I made them
exponential with jitter, and bounded them at 30 s.

| attempt | before | now |
|---|---|---|
| 1 | 200 ms | 200–400 ms |
| 5 | 1 s | 3.2–6.4 s |
| 10 | 2 s | 15–30 s |

\`\`\`ts
const delay = Math.min(30_000, base * 2 ** attempt) // bounded
return delay * (0.5 + Math.random() / 2)
\`\`\`

What is left:

1. \`connect.ts\` still has its own copy of the old rule.
2. The test waits for real time. I would give it a clock.`

const work = (turnId: string): ReadonlyArray<Entry> => [
  message(turnId, "user", "Clients come back all at once after an outage. Can you spread them?"),
  message(turnId, "reasoning", "First I look at how the delay is computed, then at who calls it."),
  item(turnId, "plan", "Plan", {
    steps: [
      { step: "Find where the delay is computed", status: "completed" },
      { step: "Make it exponential with jitter", status: "inProgress" },
      { step: "Run the tests", status: "pending" }
    ]
  }),
  item(
    turnId,
    "command",
    "rg -n delayOf src",
    { command: "rg -n delayOf src", cwd: "/home/me/turnkeeper", exitCode: 0 },
    {
      text: "src/backoff.ts:12:export const delayOf = (attempt: number) => {\nsrc/connect.ts:40:    sleep(delayOf(attempt))\n"
    }
  ),
  item(turnId, "file_change", "src/backoff.ts", {
    changes: [{ path: "src/backoff.ts", kind: { type: "update" }, diff }]
  }),
  item(
    turnId,
    "command",
    "npm test",
    { command: "npm test", cwd: "/home/me/turnkeeper", exitCode: 1, durationMs: 8400 },
    {
      status: "failed",
      text: "> vitest run\n\n \u001B[31m✗\u001B[39m waits at most 30 s\n   expected 31200 to be at most 30000\n"
    }
  ),
  item(turnId, "web_search", "exponential backoff full jitter", { query: "exponential backoff full jitter" })
]

const running = { turnId: "r", startedAt: at(420), interruptAskedAt: null, quiet: null } as const

const request = (more: Partial<RequestRow>): RequestRow =>
  made({
    requestId: "1/a",
    threadId: "t",
    turnId: "r",
    kind: "command_approval",
    ask: {
      title: "curl -fsSL https://get.example.com/install.sh | sudo sh",
      detail: {
        command: "curl -fsSL https://get.example.com/install.sh | sudo sh",
        cwd: "/home/me/turnkeeper",
        reason: "The tests need a newer toolchain."
      },
      decisions: ["accept", "accept_for_session", "decline", "cancel"],
      questions: []
    },
    status: "open",
    answer: null,
    reason: null,
    openedAt: at(430),
    closedAt: null,
    ...more
  })

export const models: ReadonlyArray<ThreadModel> = [
  model(
    thread("work", "Spread clients after an outage", {
      latestTurn: made({ turnId: "a", state: "completed", delivered: "delivered" })
    }),
    {
      turns: [turn("a", "completed", { usage: used })],
      entries: [...work("a"), message("a", "assistant", answer)]
    }
  ),
  model(
    thread("waiting", "Newer toolchain", {
      sessionStatus: "running",
      openRequests: 2,
      activeTurn: made(running)
    }),
    {
      turns: [turn("r", "running")],
      entries: [
        message("r", "user", "Make the tests run here."),
        message("r", "assistant", "I need a newer toolchain for that.")
      ],
      requests: [
        request({}),
        request({
          requestId: made("1/b"),
          kind: "question",
          ask: made({
            title: "Which version?",
            detail: {},
            decisions: ["decline", "cancel"],
            questions: [
              {
                id: "0",
                question: "Which version should it be?",
                options: [
                  { label: "24 (long term)", description: "What the project asks for" },
                  { label: "25" }
                ]
              }
            ]
          })
        })
      ]
    }
  ),
  model(
    thread("queue", "Rename the module", {
      sessionStatus: "running",
      queuedTurns: 2,
      activeTurn: made(running)
    }),
    {
      turns: [
        turn("r", "running"),
        turn("q1", "queued", { ordinal: 2 }),
        turn("q2", "queued", { ordinal: 3 })
      ],
      entries: [
        message("r", "user", "Rename the module everywhere."),
        item(
          "r",
          "command",
          "npx tsc --noEmit",
          { command: "npx tsc --noEmit" },
          { status: "open", text: "checking 212 files\n" }
        ),
        message("r", "assistant", "I have renamed it in 14 files so far. Now the", { status: "open" }),
        message("q1", "user", "Then run the tests"),
        message("q2", "user", "And write a line for the changelog")
      ]
    }
  ),
  model(
    thread("reconnecting", "Explain the scheduler", {
      sessionStatus: "running",
      recovering: { message: "The stream was cut.", attempt: 2, limit: 5 },
      activeTurn: made(running)
    }),
    {
      turns: [turn("r", "running")],
      entries: [
        message("r", "user", "Explain the scheduler."),
        message("r", "assistant", "It is a", { status: "superseded" })
      ]
    }
  ),
  model(
    thread("stopping", "Long rebuild", {
      sessionStatus: "running",
      activeTurn: made({ ...running, interruptAskedAt: at(440) })
    }),
    { turns: [turn("r", "running")], entries: [message("r", "user", "Rebuild it all.")], stopping: "asked" }
  ),
  model(
    thread("quiet", "Large refactoring", {
      sessionStatus: "running",
      activeTurn: made({ ...running, quiet: "alive", quietSince: at(480) })
    }),
    { turns: [turn("r", "running")], entries: [message("r", "user", "Split the package.")] }
  ),
  model(
    thread("failed", "Weekly summary", {
      projectId: made("p2"),
      sessionStatus: "error",
      latestTurn: made({ turnId: "f", state: "error", delivered: "delivered" })
    }),
    {
      session: session("failed", { status: "error", lastError: "429: rate_limit_exceeded" }),
      turns: [
        turn("f", "error", {
          reason: "The model service refused the request: rate limit. It allows the next one at 14:05."
        }),
        turn("c", "cancelled", {
          ordinal: 2,
          reason: "Not sent: the turn before it failed",
          delivered: "not_delivered"
        })
      ],
      entries: [message("f", "user", "Summarise this week."), message("c", "user", "Then mail it to me")]
    }
  ),
  model(
    thread("doubtful", "Deploy the site", {
      projectId: made("p2"),
      sessionStatus: "stopped",
      latestTurn: made({ turnId: "d", state: "interrupted", delivered: "unknown" })
    }),
    {
      turns: [
        turn("d", "interrupted", { delivered: "unknown", reason: "the server stopped while sending it" })
      ],
      entries: [message("d", "user", "Deploy the site.")]
    }
  ),
  model(thread("refused", "Not sent", { projectId: made("p2") }), {
    pending: [
      made({
        commandId: "c1",
        threadId: "refused",
        turnId: "x",
        messageId: "mx",
        text: "One message too many",
        delivery: "queue",
        createdAt: start,
        state: "refused",
        failure: { _tag: "QueueFull", limit: 100 }
      })
    ]
  })
]
