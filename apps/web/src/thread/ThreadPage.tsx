/** One thread: what was said and done, what goes on, what waits, and where to write. */
import type { Client, OptimisticSend, ShellModel, ThreadHandle, ThreadModel } from "@turnkeeper/client"
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import { threadWords } from "@turnkeeper/contracts/Words"
import { useEffect, useMemo, useRef, useState } from "react"
import { Choices } from "../composer/Choices.tsx"
import { Composer } from "../composer/Composer.tsx"
import { can } from "../model/providers.ts"
import { isSettledTurn, queueOf, timeline } from "../model/timeline.ts"
import { failureNotice, useApp } from "../store/app.ts"
import type { App } from "../store/app.ts"
import { discard, markSeen } from "../store/browser.ts"
import { useFrames, useNow, useReadable } from "../store/react.ts"
import { addToDraft, watchSend } from "../store/sending.ts"
import { Queue } from "./Queue.tsx"
import type { QueueActions, QueuedMessage } from "./Queue.tsx"
import { Row } from "./Rows.tsx"
import type { PageRow, RowActions } from "./Rows.tsx"
import { SessionBar } from "./SessionBar.tsx"
import { ThreadHeader } from "./ThreadHeader.tsx"
import { TimelineView } from "./TimelineView.tsx"
import { useAnswerKeys, useClosedElsewhere } from "./threadEffects.ts"

interface ThreadPageProps {
  readonly threadId: string
  /** The position of the entry that is looked for; null: the newest. */
  readonly at: number | null
}

export const ThreadPage = ({ threadId, at }: ThreadPageProps) => {
  const { client } = useApp()
  const handle = useThread(client, threadId)
  return handle === null ? null : <OpenThread key={threadId} handle={handle} at={at} />
}

/** The subscription lives as long as the page of the thread. */
const useThread = (client: Client, threadId: string): ThreadHandle | null => {
  const [handle, setHandle] = useState<ThreadHandle | null>(null)
  useEffect(() => {
    const opened = client.thread(threadId)
    setHandle(opened)
    return () => {
      setHandle(null)
      opened.close()
    }
  }, [client, threadId])
  return handle?.threadId === threadId ? handle : null
}

interface OpenProps {
  readonly handle: ThreadHandle
  readonly at: number | null
}

const OpenThread = ({ handle, at }: OpenProps) => {
  const model = useFrames(handle.model)
  if (model.status === "gone" && model.pending.length === 0) {
    return (
      <main className="page page-empty">
        <h1>This thread is gone</h1>
        <p>It was deleted, or belongs to another database. The others are in the list.</p>
      </main>
    )
  }
  if (model.thread === null) return <OpeningThread handle={handle} model={model} />
  return <ShownThread handle={handle} model={model} thread={model.thread} at={at} />
}

/** The server has not said anything of the thread yet: its first message may still be on its way. */
const OpeningThread = ({ handle, model }: { readonly handle: ThreadHandle; readonly model: ThreadModel }) => {
  const app = useApp()
  const actions = useRowActions(app, handle)
  const connection = useReadable(app.client.connection)
  const rows = usePageRows(model)
  return (
    <main className="page thread-page" aria-busy="true">
      <TimelineView
        rows={rows}
        older={olderOf(model)}
        label="Messages"
        follow={0}
        target={null}
        onOldest={actions.loadOlder}
        draw={(row) => (
          <Row
            row={row}
            agent=""
            connected={connection.status === "live"}
            newestTurn={null}
            isDiscarded={() => false}
            actions={{
              ...actions,
              editPending: (send) => {
                addToDraft(app.browser, "new", send.text)
                void app.client.outbox.discard(send.commandId)
                app.go({ page: "new", projectId: null })
              }
            }}
          />
        )}
      />
      <div className="thread-foot">
        {rows.length === 0 && <p className="page-note">Opening the thread…</p>}
        <Composer
          place={handle.threadId}
          label="Message"
          running={rows.length > 0}
          canSteer={false}
          onSend={(text) => {
            watchSend(app, app.client.send({ threadId: handle.threadId, text }), handle.threadId, text)
          }}
        />
      </div>
    </main>
  )
}

interface ShownProps extends OpenProps {
  readonly model: ThreadModel
  readonly thread: ThreadRow
}

const ShownThread = ({ handle, model, thread, at }: ShownProps) => {
  const app = useApp()
  const { browser, client } = app
  const { threadId } = thread
  const shell = useReadable(client.shell)
  const { providers } = useReadable(client.providers)
  const connection = useReadable(client.connection)
  const discarded = useReadable(browser.discarded)
  const [sent, setSent] = useState(0)
  const provider = providers.find((row) => row.id === thread.provider) ?? null
  const rows = usePageRows(model)
  const actions = useRowActions(app, handle)
  const answeredHere = useClosedElsewhere(model, app.notify)
  const rowActions = useMemo(
    (): RowActions => ({
      ...actions,
      answer: (requestId, answer) => {
        answeredHere(requestId)
        actions.answer(requestId, answer)
      }
    }),
    [actions, answeredHere]
  )
  useAnswerKeys(model.requests, rowActions.answer)
  const lookedFor = useLookedFor(handle, model, rows, at)
  useLookedAt(thread, shell)
  // What was cancelled behind it is not what one wants to try first.
  const newest = model.turns.findLast((turn) => isSettledTurn(turn) && turn.state !== "cancelled")
  return (
    <main
      className="page thread-page"
      data-thread={threadId}
      data-version={thread.version}
      data-status={model.status}
    >
      <Head thread={thread} shell={shell} />
      <TimelineView
        rows={rows}
        older={olderOf(model)}
        label={`Messages of ${thread.title}`}
        follow={sent}
        target={lookedFor}
        onOldest={rowActions.loadOlder}
        draw={(row) => (
          <Row
            row={row}
            agent={provider?.displayName ?? thread.provider}
            connected={connection.status === "live"}
            newestTurn={newest?.turnId ?? null}
            isDiscarded={(turnId) => discarded[turnId] === true}
            actions={rowActions}
          />
        )}
      />
      <Foot
        model={model}
        thread={thread}
        providers={providers}
        onSent={() => setSent((count) => count + 1)}
      />
    </main>
  )
}

/** The key of the row that is looked for, once it is there; what lies between is loaded. */
const useLookedFor = (
  handle: ThreadHandle,
  { status }: ThreadModel,
  rows: ReadonlyArray<PageRow>,
  at: number | null
): string | null => {
  const { notify } = useApp()
  useEffect(() => {
    if (at === null || status !== "live") return
    handle.loadBackTo(at).catch((error: unknown) => notify(failureNotice(error)))
  }, [handle, status, at, notify])
  return useMemo(() => {
    const isIt = (row: PageRow) => "entry" in row && row.entry.position === at
    return at === null ? null : (rows.find(isIt)?.key ?? null)
  }, [rows, at])
}

/** The list and the page come by two streams: what is looked at here is seen there. */
const useLookedAt = (thread: ThreadRow, { threads }: ShellModel) => {
  const { browser } = useApp()
  const listed = threads.find((row) => row.threadId === thread.threadId)
  const newest = listed !== undefined && listed.version > thread.version ? listed : thread
  useEffect(() => markSeen(browser, newest), [browser, newest])
}

const Head = ({ thread, shell }: { readonly thread: ThreadRow; readonly shell: ShellModel }) => {
  const { attempt, client, go } = useApp()
  const { archivedAt, projectId, threadId } = thread
  return (
    <ThreadHeader
      thread={thread}
      project={shell.projects.find((one) => one.projectId === projectId) ?? null}
      onRename={(title) => attempt(client.rename(threadId, title))}
      onArchive={() => attempt(archivedAt === null ? client.archive(threadId) : client.unarchive(threadId))}
      onDelete={() => attempt(client.deleteThread(threadId), () => go({ page: "new", projectId }))}
    />
  )
}

interface FootProps {
  readonly model: ThreadModel
  readonly thread: ThreadRow
  readonly providers: ReadonlyArray<ProviderRow>
  readonly onSent: () => void
}

/** What goes on, what waits, and where one writes. */
const Foot = ({ model, thread, providers, onSent }: FootProps) => {
  const app = useApp()
  const { attempt, client } = app
  const { threadId } = thread
  const provider = providers.find((row) => row.id === thread.provider) ?? null
  const messages = useQueuedMessages(model)
  const running =
    thread.activeTurn !== null || thread.queuedTurns > 0 || thread.latestTurn?.state === "sending"
  const clock = useNow(running || model.stopping !== null)
  // What is not known to go on is not shown as going on: the page's time stands still with the page.
  const now = model.status === "stale" ? (model.asOf ?? clock) : clock
  const canSteer = thread.activeTurn !== null && can(provider, "steer")
  const archived = thread.archivedAt !== null
  return (
    <div className="thread-foot">
      <p className="visually-hidden" role="status" aria-live="polite">
        {/* Without its minutes: it is read out when it changes, not every minute. */}
        {threadWords(thread)}
      </p>
      <SessionBar
        model={model}
        now={now}
        onStop={() => attempt(client.interrupt(threadId))}
        onCheck={(turnId) => attempt(client.check(threadId, turnId))}
        onForce={() => attempt(client.stop(threadId, { force: true }))}
      />
      <Queue messages={messages} canSteer={canSteer} actions={queueActions(app, threadId)} />
      <Composer
        place={threadId}
        label={`Message to ${provider?.displayName ?? thread.provider}`}
        running={running}
        canSteer={canSteer}
        blocked={archived ? "This thread is archived. Take it out of the archive to go on." : null}
        onSend={(text, delivery) => {
          watchSend(app, client.send({ threadId, text, delivery }), threadId, text)
          onSent()
        }}
      >
        <Choices
          chosen={thread}
          providers={providers}
          onChange={(changes) => attempt(client.updateThread(threadId, changes))}
        />
      </Composer>
    </div>
  )
}

const olderOf = ({ hasOlder, loadingOlder }: ThreadModel) =>
  loadingOlder ? "loading" : hasOlder ? "some" : "none"

const usePageRows = (model: ThreadModel): ReadonlyArray<PageRow> => {
  const { entries, turns, requests, pending } = model
  return useMemo(() => {
    const unsent = pending.map((send) => ({
      type: "pending" as const,
      key: `pending/${send.commandId}`,
      send
    }))
    return [...timeline({ entries, turns, requests }), ...unsent]
  }, [entries, turns, requests, pending])
}

const useQueuedMessages = ({ turns, entries }: ThreadModel): ReadonlyArray<QueuedMessage> =>
  useMemo(() => {
    const texts = new Map(
      entries.flatMap((entry) =>
        entry.type === "message" && entry.role === "user" && entry.turnId !== null
          ? [[entry.turnId as string, entry.text] as const]
          : []
      )
    )
    return queueOf(turns).map((turn) => ({ turn, text: texts.get(turn.turnId) ?? "" }))
  }, [turns, entries])

const useRowActions = (app: App, handle: ThreadHandle): RowActions => {
  const model = useRef(handle.model)
  return useMemo(() => {
    const { client, browser } = app
    const { threadId } = handle
    const textOf = (turnId: string) =>
      model.current
        .get()
        .entries.find((entry) => entry.type === "message" && entry.role === "user" && entry.turnId === turnId)
        ?.text ?? ""
    const toComposer = (text: string) => addToDraft(browser, threadId, text)
    return {
      retry: (turnId) => app.attempt(client.retry(threadId, turnId)),
      goOn: () => app.attempt(client.send({ threadId, text: "Continue where you stopped." })),
      discard: (turnId) => discard(browser, turnId),
      edit: (turnId) => toComposer(textOf(turnId)),
      answer: (requestId, answer) => app.attempt(client.answer(threadId, requestId, answer)),
      resend: (commandId) => app.attempt(client.outbox.resend(commandId)),
      discardPending: (commandId) => void client.outbox.discard(commandId),
      editPending: (send: OptimisticSend) => {
        toComposer(send.text)
        void client.outbox.discard(send.commandId)
      },
      loadOlder: () => {
        const { hasOlder, loadingOlder } = model.current.get()
        if (!hasOlder || loadingOlder) return
        handle.loadOlder().catch((error: unknown) => app.notify(failureNotice(error)))
      }
    }
  }, [app, handle])
}

const queueActions = (app: App, threadId: string): QueueActions => {
  const { client, attempt } = app
  return {
    edit: (turnId: string, text: string) => attempt(client.editQueued(threadId, turnId, text)),
    remove: (turnId: string) => attempt(client.removeQueued(threadId, turnId)),
    reorder: (turnId: string, before: string | null) => attempt(client.reorder(threadId, turnId, before)),
    /** Withdrawn first: it goes into the running turn only if it is certain not to run by itself too. */
    steer: ({ turn, text }) => {
      attempt(client.removeQueued(threadId, turn.turnId), () => {
        watchSend(app, client.steer({ threadId, text }), threadId, text)
      })
    }
  }
}
