/** The client with promises, over the one with effects. */
import type { Accepted } from "@turnkeeper/contracts/Command"
import { Cause, Effect, Exit, Scope } from "effect"
import type {
  AnyCommand,
  Client,
  ConnectOptions,
  Receipt,
  SendInput,
  SentIds,
  ThreadHandle
} from "./Client.ts"
import { make } from "./effect.ts"
import type { EffectClient } from "./effect.ts"
import { NotInOutbox } from "./Errors.ts"
import type { ThreadModel } from "./Models.ts"
import { newId } from "./newId.ts"
import { resent } from "./resent.ts"

/** Begins to connect and answers at once; what becomes of it is told by `connection`. */
export const connect = (options: ConnectOptions): Client => {
  const scope = Scope.makeUnsafe()
  const client = Effect.runSync(Scope.provide(make(options), scope))
  const dispatch = dispatcher(client)

  const send = ({ turnId = newId("turn"), messageId = newId("message"), ...rest }: SendInput) => {
    const { threadId } = rest
    const receipt = dispatch({ type: "thread.turn.start", turnId, messageId, ...rest })
    return Object.assign(receipt, { threadId, turnId, messageId }) satisfies Receipt<SentIds>
  }
  const interrupt = (threadId: string, turnId: string | undefined) =>
    dispatch({ type: "thread.turn.interrupt", threadId, ...(turnId !== undefined && { turnId }) })

  return {
    connection: client.connection,
    shell: client.shell,
    providers: client.providers,
    outbox: {
      ...client.outbox,
      resend: resender(client, dispatch),
      discard: async (commandId) => (await Effect.runPromise(client.take(commandId))) !== null
    },
    thread: opener(client),
    send,
    steer: (input) => send({ ...input, delivery: "steer" }),
    // What the user sees running is what is meant, also when the answer to it comes late.
    interrupt: (threadId, turnId) => interrupt(threadId, turnId ?? ongoing(client.known(threadId))),
    check: (threadId, turnId) => dispatch({ type: "thread.turn.check", threadId, turnId }),
    stop: (threadId, { force = false } = {}) => dispatch({ type: "thread.session.stop", threadId, force }),
    retry: (threadId, turnId) => {
      const ids = { newTurnId: newId("turn"), newMessageId: newId("message") }
      const receipt = dispatch({ type: "thread.turn.retry", threadId, turnId, ...ids })
      return Object.assign(receipt, { threadId, turnId: ids.newTurnId, messageId: ids.newMessageId })
    },
    editQueued: (threadId, turnId, text) => dispatch({ type: "thread.turn.edit", threadId, turnId, text }),
    reorder: (threadId, turnId, before) =>
      dispatch({ type: "thread.turn.reorder", threadId, turnId, before }),
    removeQueued: interrupt,
    answer: (threadId, requestId, answer) =>
      dispatch({ type: "thread.request.answer", threadId, requestId, ...answer }),
    createProject: ({ projectId = newId("project"), ...rest }) =>
      Object.assign(dispatch({ type: "project.create", projectId, ...rest }), { projectId }),
    updateProject: (projectId, changes) => dispatch({ type: "project.update", projectId, ...changes }),
    deleteProject: (projectId) => dispatch({ type: "project.delete", projectId }),
    createThread: ({ threadId = newId("thread"), ...rest }) =>
      Object.assign(dispatch({ type: "thread.create", threadId, ...rest }), { threadId }),
    updateThread: (threadId, changes) => dispatch({ type: "thread.update", threadId, ...changes }),
    rename: (threadId, title) => dispatch({ type: "thread.update", threadId, title }),
    archive: (threadId) => dispatch({ type: "thread.archive", threadId }),
    unarchive: (threadId) => dispatch({ type: "thread.unarchive", threadId }),
    deleteThread: (threadId) => dispatch({ type: "thread.delete", threadId }),
    dispatch,
    call: (method, payload) => settled(client.call(method, payload)),
    refreshProviders: () => settled(client.refreshProviders),
    retryNow: () => Effect.runSync(client.retryNow),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** Rejects with the typed error itself. */
const settled = async <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
  const exit = await Effect.runPromiseExit(effect)
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

const receiptOf = (commandId: string, answer: Promise<Accepted>): Receipt => {
  // The outbox and the thread show a failure too, so an answer that nobody waits for is no crash.
  answer.catch(() => {})
  return Object.assign(answer, { commandId })
}

const dispatcher =
  (client: EffectClient) =>
  (command: AnyCommand): Receipt => {
    const { commandId = newId("command") } = command
    return receiptOf(commandId, settled(client.dispatch({ ...command, commandId })))
  }

const opener =
  (client: EffectClient) =>
  (threadId: string): ThreadHandle => {
    const scope = Scope.makeUnsafe()
    const { loadBackTo, loadOlder, model } = Effect.runSync(Scope.provide(client.thread(threadId), scope))
    return {
      threadId,
      model,
      loadOlder: () => settled(loadOlder),
      loadBackTo: (position) => settled(loadBackTo(position)),
      close: () => Effect.runSync(Scope.close(scope, Exit.void))
    }
  }

/** The turn that runs or is on its way, else the one that is next, as far as it is shown. */
const ongoing = (model: ThreadModel | null): string | undefined =>
  model?.session?.activeTurnId ??
  model?.turns.find((turn) => turn.state === "sending")?.turnId ??
  model?.turns.find((turn) => turn.state === "queued")?.turnId

/** Gives the wish once more, and only then takes the old one out: no text is without a place meanwhile. */
const resender =
  (client: EffectClient, dispatch: (command: AnyCommand) => Receipt) =>
  (commandId: string): Receipt => {
    const entries = () => client.outbox.get().entries
    const entry = entries().find((one) => one.commandId === commandId)
    if (entry === undefined || (entry.state !== "held" && entry.state !== "refused")) {
      return receiptOf(commandId, Promise.reject(new NotInOutbox()))
    }
    const receipt = dispatch(resent(entry.command))
    if (entries().some((one) => one.commandId === receipt.commandId)) Effect.runFork(client.take(commandId))
    return receipt
  }
