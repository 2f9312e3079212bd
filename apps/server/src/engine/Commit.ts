/**
 * The one door into the log.
 *
 *     submit ──▶ queue ──▶ plan ──▶ one transaction ──▶ publish ──▶ answer
 *     submit ──▶   │          events, receipts,
 *     submit ──▶ (bounded)    text journal, tables
 *
 * One fiber takes all that waits and writes it as one group commit: whatever a change means is in the
 * database as a whole or not at all, and nobody sees it, its author included, before it is there. A change
 * that the tables refuse harms only itself. When the storage is in trouble nothing is acknowledged.
 */
import { CommandIdReused, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { CommandId } from "@turnkeeper/domain/ids"
import { isStreamed } from "@turnkeeper/domain/thread/Event"
import {
  Cause as EffectCause,
  Context,
  Deferred,
  Effect,
  Exit,
  Layer,
  Metric,
  Queue,
  Result,
  Schema
} from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Rebuilt } from "../maintenance/remake.ts"
import { fileOf, leftCleared, remade } from "../maintenance/remake.ts"
import type { Batch, Step } from "../projection/Batch.ts"
import { isOutdated, writesOf as tableWritesOf } from "../projection/Projection.ts"
import type { Logged, NewEvent } from "../store/EventLog.ts"
import {
  append,
  lengthOf,
  loggedOf,
  newestSequence,
  projectStream,
  threadStream,
  versionsOf
} from "../store/EventLog.ts"
import type { Deletion } from "../store/Forgetting.ts"
import { noteDeletions } from "../store/Forgetting.ts"
import type { NewReceipt, StoredReceipt } from "../store/Receipts.ts"
import { receiptsOf, writeReceipts } from "../store/Receipts.ts"
import type { Write } from "../store/rows.ts"
import { runWrite } from "../store/rows.ts"
import { pragma, Reader, Writer } from "../store/Sqlite.ts"
import { faultOf, unavailable } from "../store/storageFault.ts"
import type { JournalEntry, JournalPlan, OpenTexts } from "../store/TextJournal.ts"
import { advanceTexts, planJournal, readOpenTexts, writeJournal } from "../store/TextJournal.ts"
import type { Change, Committed, LoggedEvent, ProjectChange, ProjectRecord, ThreadChange } from "./Change.ts"
import { Feed } from "./Feed.ts"
import type { Published } from "./Feed.ts"

/** The stream is not at the version on which the change was decided: load the state anew and decide again. */
export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  stream: Schema.String,
  expected: Schema.Int,
  actual: Schema.Int
}) {}

/**
 * `StorageUnavailable` with `retryable: false` also says that the tables refused this very change.
 * Whatever the error, nothing of the change was written.
 */
export type CommitError = StorageUnavailable | VersionConflict | CommandIdReused

/** Told once what became of a change; by the writer itself, so it must be short. */
export type Answer = (exit: Exit.Exit<Committed, CommitError>) => void

export class Commit extends Context.Service<
  Commit,
  {
    /**
     * Answers when the change is durable, its tables are written and it is published. A receipt whose command
     * was carried out before is answered as then, and nothing is written. A plain call: a mailbox needs no
     * fiber that waits for each piece of streamed text.
     */
    readonly take: (change: Change, answer: Answer) => void
    /** The same as an effect. Interrupting it takes nothing back. */
    readonly submit: (change: Change) => Effect.Effect<Committed, CommitError>
    /** The stored answer to a command, or null where it was never accepted. */
    readonly receiptOf: (commandId: CommandId) => Effect.Effect<StoredReceipt | null, StorageUnavailable>
    /** Makes all tables anew from the log. Changes wait meanwhile; readers see the old rows until it is done. */
    readonly rebuild: Effect.Effect<Rebuilt, StorageUnavailable>
    /**
     * One step of housekeeping between two commits, in a transaction of its own. Changes wait for it, so it has
     * to be short; it must not change what the log says of anything that is not deleted.
     */
    readonly upkeep: <A>(step: Upkeep<A>) => Effect.Effect<A, StorageUnavailable>
    /**
     * Lends the pen: while `work` runs nothing is committed, and it may write by a connection of its own, to
     * anything but the log. Changes wait for it, so it has to be short.
     */
    readonly lend: <A>(work: Effect.Effect<A, StorageUnavailable>) => Effect.Effect<A, StorageUnavailable>
  }
>()("server/engine/Commit") {
  static readonly layer = Layer.effect(
    Commit,
    Effect.gen(function* () {
      const sql = yield* Writer
      const reader = yield* Reader
      const feed = yield* Feed
      const log = yield* openLog(sql)
      const queue = yield* Effect.acquireRelease(Queue.bounded<Job>(limits.waiting), giveUp)

      if (yield* unavailable(isOutdated(sql))) yield* Effect.flatMap(fileOf(sql), remade)
      yield* Effect.forkScoped(run(queue, { sql, log, publish: feed.publish }))

      const runFork = Effect.runForkWith(yield* Effect.context())

      const enqueue = (one: Job) => {
        if (Queue.offerUnsafe(queue, one)) return
        // Full: then it waits for its place. Or closed.
        const offered = Effect.map(Queue.offer(queue, one), (taken) => {
          if (!taken) refuse(one)
        })
        runFork(offered)
      }

      const task = <A>(work: (door: Door) => Effect.Effect<A, StorageUnavailable>) =>
        Effect.suspend(() => {
          const done = Deferred.makeUnsafe<A, StorageUnavailable>()
          enqueue(taskOf(done, work))
          return Deferred.await(done)
        })

      /** An author that breaks over its answer takes neither the writer with it nor the answers of the others. */
      const safely =
        (answer: Answer): Answer =>
        (exit) => {
          try {
            answer(exit)
          } catch (defect) {
            runFork(Effect.logError("The answer to a change broke its author", defect))
          }
        }

      const take: Commit["Service"]["take"] = (change, answer) => {
        const submission = encoded(change, safely(answer))
        if (submission === null) answer(Exit.fail(new StorageUnavailable({ retryable: false })))
        else enqueue(submission)
      }

      return Commit.of({
        take,
        submit: submitBy(take),
        receiptOf: (commandId) =>
          receiptsOf(reader, [commandId]).pipe(
            Effect.map((receipts) => receipts.get(commandId) ?? null),
            unavailable
          ),
        rebuild: task(({ sql }) => rebuildWith(sql)),
        upkeep: <A>(step: Upkeep<A>) => task((door) => upkeepWith(door.sql, door.log, step)),
        lend: <A>(work: Effect.Effect<A, StorageUnavailable>) => task(() => work)
      })
    })
  )
}

/** For whoever has a fiber that can wait. */
export const submitBy =
  (take: Commit["Service"]["take"]): Commit["Service"]["submit"] =>
  (change) =>
    Effect.callback((resume) => take(change, resume))

/** Bounds of what waits and of one transaction: a full queue holds its authors back, a large batch is cut. */
const limits = { waiting: 4_096, batchEvents: 1_000, batchBytes: 4 * 1024 * 1024, versions: 10_000 } as const

const batches = Metric.counter("turnkeeper_commit_batches", { incremental: true })
const committedEvents = Metric.counter("turnkeeper_commit_events", { incremental: true })
const refusedChanges = Metric.counter("turnkeeper_commit_refused_changes", { incremental: true })

type Job = Submission | Task

/** Work on the database itself: runs alone, between two group commits, and answers by itself. */
interface Task {
  readonly type: "task"
  readonly run: (door: Door) => Effect.Effect<void>
  readonly refuse: (why: StorageUnavailable) => void
}

export type Upkeep<A> = (sql: Writer["Service"]) => Effect.Effect<A, SqlError>

const taskOf = <A>(
  done: Deferred.Deferred<A, StorageUnavailable>,
  work: (door: Door) => Effect.Effect<A, StorageUnavailable>
): Task => ({
  type: "task",
  run: (door) => Effect.flatMap(Effect.exit(work(door)), (exit) => Deferred.done(done, exit)),
  refuse: (why) => Deferred.doneUnsafe(done, Exit.fail(why))
})

interface Submission {
  readonly type: "change"
  readonly change: Change
  readonly stream: string
  /** Each event in order; null for streamed text, which the log does not take. */
  readonly logged: ReadonlyArray<Logged | null>
  readonly bytes: number
  readonly answer: Answer
}

/** Nothing of it was written. */
const refuse = (one: Job, why = new StorageUnavailable({ retryable: true })) =>
  one.type === "change" ? one.answer(Exit.fail(why)) : one.refuse(why)

/** null: the change holds something that is no JSON. */
const encoded = (change: Change, answer: Answer): Submission | null => {
  try {
    const logged: Array<Logged | null> = []
    let bytes = 0
    for (const event of change.events) {
      const entry = event.type === "text.appended" ? null : loggedOf(event)
      logged.push(entry)
      bytes += sizeOf(event, entry)
    }
    const stream =
      change.stream === "thread" ? threadStream(change.threadId) : projectStream(change.projectId)
    return { type: "change", change, stream, logged, bytes, answer }
  } catch {
    return null
  }
}

const sizeOf = (event: Change["events"][number], logged: Logged | null) =>
  logged === null ? (event.type === "text.appended" ? event.text.length : 0) : lengthOf(logged)

// The writer fiber

interface Door {
  readonly sql: Writer["Service"]
  readonly log: Log
  readonly publish: (published: Published) => void
}

const run = (queue: Queue.Queue<Job>, door: Door) =>
  // What was taken is carried through and answered, even while the process is closing down.
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(Queue.takeAll(queue)), (jobs) =>
      Effect.forEach(grouped(jobs), perform(door), { discard: true })
    )
  ).pipe(Effect.forever)

type Group = { readonly type: "changes"; readonly members: ReadonlyArray<Submission> } | Task

const perform = (door: Door) => (group: Group) =>
  group.type === "changes" ? commitAll(door, group.members) : group.run(door)

/** Closing: those who still wait are told that nothing was written. */
const giveUp = (queue: Queue.Queue<Job>) =>
  Effect.gen(function* () {
    const left = yield* Queue.clear(queue)
    yield* Queue.shutdown(queue)
    for (const one of left) refuse(one)
  })

const grouped = (jobs: ReadonlyArray<Job>): ReadonlyArray<Group> => {
  const groups: Array<Group> = []
  let members: Array<Submission> = []
  let events = 0
  let bytes = 0
  const close = () => {
    if (members.length > 0) groups.push({ type: "changes", members })
    members = []
    events = 0
    bytes = 0
  }
  for (const one of jobs) {
    if (one.type === "task") {
      close()
      groups.push(one)
      continue
    }
    const size = one.logged.length
    if (events + size > limits.batchEvents || bytes + one.bytes > limits.batchBytes) close()
    members.push(one)
    events += size
    bytes += one.bytes
  }
  close()
  return groups
}

/** Commits the members together; where that fails by one of them, each by itself. Never fails: it answers. */
const commitAll = (door: Door, members: ReadonlyArray<Submission>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(commitTogether(door, members))
    if (Exit.isSuccess(exit)) {
      if (exit.value.length > 0) yield* commitAll(door, exit.value)
      return
    }
    door.log.forget()
    const fault = faultOfCause(exit.cause)
    if (fault.type === "change" && members.length > 1) {
      yield* Effect.forEach(members, (member) => commitAll(door, [member]), { discard: true })
      return
    }
    yield* Effect.logError("A change was not committed", exit.cause)
    if (fault.type === "change") yield* Metric.update(refusedChanges, 1)
    const retryable = fault.type === "storage" && fault.retryable
    for (const member of members) refuse(member, new StorageUnavailable({ retryable }))
  })

/** A defect comes from the change that was being written: another one does not have it. */
const faultOfCause = (cause: EffectCause.Cause<SqlError>) => {
  const error = EffectCause.findError(cause)
  return Result.isSuccess(error) ? faultOf(error.success) : ({ type: "change" } as const)
}

/** Gives back the members that have to wait for an answer of this very batch. */
const commitTogether = Effect.fnUntraced(function* (door: Door, members: ReadonlyArray<Submission>) {
  const { sql, log, publish } = door
  // 1. Plan: which members count, and which place in the log each takes.
  const plan = yield* planned(door, members)
  // 2. Write, in one transaction.
  if (plan.accepted.length > 0) {
    yield* log.setDurability(
      sql,
      plan.accepted.some(({ member }) => mustSurvive(member.change))
    )
    const journal = planJournal(plan.journal, yield* log.texts(sql))
    yield* sql.transact((run) => {
      for (const write of writesOf(plan, journal)) runWrite(run, write)
    })
    log.advance(plan, journal)
    yield* Metric.update(batches, 1)
    yield* Metric.update(committedEvents, plan.events.length)
  }
  // 3. Publish, now that it can no longer be undone.
  publish(plan.published)
  // 4. Answer.
  for (const { member, committed } of plan.accepted) member.answer(Exit.succeed(committed))
  for (const { member, exit } of plan.answered) member.answer(exit)
  return plan.later
})

/**
 * What may not be lost even with the power: what the user was promised, and the marker without which a
 * prompt that went out would go out again (L12).
 */
const mustSurvive = (change: Change): boolean =>
  change.receipt !== null || change.events.some((event) => event.type === "turn.send_started")

const writesOf = (plan: Plan, journal: JournalPlan): ReadonlyArray<Write> => [
  append(plan.events),
  writeReceipts(plan.receipts),
  ...tableWritesOf(plan.batch),
  noteDeletions(plan.deletions),
  ...writeJournal(journal)
]

/**
 * BEGIN to COMMIT on the connection that nobody else uses. Whatever fails, COMMIT included, is followed by
 * a ROLLBACK; SQLite may have rolled back already, so that its own failure says nothing.
 */
const transaction = <A, E>(sql: SqlClient, body: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  sql`BEGIN IMMEDIATE`.pipe(
    Effect.andThen(body),
    Effect.tap(sql`COMMIT`),
    Effect.onError(() => Effect.ignore(sql`ROLLBACK`))
  )

/** By connections of its own, and without a trace: this one has nothing open meanwhile. */
const rebuildWith = (sql: SqlClient) =>
  Effect.flatMap(fileOf(sql), (file) => Effect.tap(remade(file), leftCleared(file)))

const upkeepWith = <A>(sql: Writer["Service"], log: Log, step: Upkeep<A>) =>
  transaction(sql, step(sql)).pipe(
    // Whether it failed or has taken away what the writer knew of: the database is asked again.
    Effect.ensuring(Effect.sync(log.forget)),
    unavailable
  )

// The plan

interface Plan {
  readonly accepted: Array<{ readonly member: Submission; readonly committed: Committed }>
  readonly answered: Array<{ readonly member: Submission; readonly exit: Exit.Exit<Committed, CommitError> }>
  /** Members whose command is already in this batch: their answer is its receipt. */
  readonly later: Array<Submission>
  readonly events: Array<NewEvent>
  readonly receipts: Array<NewReceipt>
  readonly journal: Array<JournalEntry>
  readonly deletions: Array<Deletion>
  readonly batch: { readonly steps: Array<Step>; readonly projects: Array<ProjectRecord> } & Batch
  readonly published: {
    readonly threads: Array<Published["threads"][number]>
    readonly projects: Array<ProjectRecord>
  }
  readonly versions: Map<string, number>
  sequence: number
}

const planned = Effect.fnUntraced(function* ({ sql, log }: Door, members: ReadonlyArray<Submission>) {
  const versions = yield* log.versions(sql, members)
  const commandIds = members.flatMap(({ change }) =>
    change.receipt === null ? [] : [change.receipt.commandId]
  )
  const known = commandIds.length === 0 ? noReceipts : yield* receiptsOf(sql, commandIds)
  const projects: Array<ProjectRecord> = []
  const plan: Plan = {
    accepted: [],
    answered: [],
    later: [],
    events: [],
    receipts: [],
    journal: [],
    deletions: [],
    batch: { steps: [], projects },
    published: { threads: [], projects },
    versions,
    sequence: yield* log.sequence(sql)
  }
  const inBatch = new Set<CommandId>()
  for (const member of members) {
    const { receipt } = member.change
    if (receipt !== null && inBatch.has(receipt.commandId)) {
      plan.later.push(member)
      continue
    }
    const refusal = refusalOf(member, versions.get(member.stream) ?? 0, known)
    if (refusal !== null) {
      plan.answered.push({ member, exit: refusal })
      continue
    }
    if (receipt !== null) inBatch.add(receipt.commandId)
    accept(plan, member)
  }
  return plan
})

const noReceipts: ReadonlyMap<CommandId, StoredReceipt> = new Map()

/** An answer without writing: the command's own earlier answer (L11), or why the change cannot be taken. */
const refusalOf = (
  { change, stream }: Submission,
  actual: number,
  known: ReadonlyMap<CommandId, StoredReceipt>
): Exit.Exit<Committed, CommitError> | null => {
  const { receipt, expected } = change
  const before = receipt === null ? undefined : known.get(receipt.commandId)
  if (receipt !== null && before !== undefined) {
    return before.hash === receipt.hash
      ? Exit.succeed({ sequence: before.sequence, version: before.version })
      : Exit.fail(new CommandIdReused({ commandId: receipt.commandId }))
  }
  return expected === actual ? null : Exit.fail(new VersionConflict({ stream, expected, actual }))
}

const accept = (plan: Plan, member: Submission) => {
  const { change, stream } = member
  const version =
    change.stream === "thread" ? takeThread(plan, member, change) : takeProject(plan, member, change)
  plan.versions.set(stream, version)
  const committed: Committed = { sequence: plan.sequence, version }
  if (change.receipt !== null) {
    const { commandId, hash } = change.receipt
    plan.receipts.push({ commandId, hash, ...committed, at: change.at })
  }
  plan.accepted.push({ member, committed })
}

const takeThread = (plan: Plan, member: Submission, change: ThreadChange): number => {
  const { threadId, after, at, cause } = change
  let version = change.expected
  let index = 0
  for (const event of change.events) {
    const entry = member.logged[index++] ?? null
    if (isStreamed(event)) {
      const { itemId, offset, text, seq = 0 } = event
      plan.journal.push({ type: "append", threadId, itemId, offset, text, seq, afterVersion: version })
      plan.published.threads.push({
        threadId,
        entry: { type: "delta", delta: { threadId, event } },
        bytes: text.length * 2
      })
    } else if (entry !== null) {
      version += 1
      const { sequence } = take(plan, member, version, event.type, entry)
      const record = { sequence, threadId, version, at, cause, event: event satisfies LoggedEvent }
      plan.batch.steps.push({ record, after })
      plan.published.threads.push({ threadId, entry: { type: "record", record }, bytes: lengthOf(entry) * 2 })
      if (event.type === "item.completed")
        plan.journal.push({ type: "close", threadId, itemId: event.itemId })
      if (event.type === "thread.deleted") plan.deletions.push({ threadId, version })
    }
  }
  return version
}

const takeProject = (plan: Plan, member: Submission, change: ProjectChange): number => {
  const { projectId, at, cause } = change
  let version = change.expected
  for (const [index, event] of change.events.entries()) {
    version += 1
    const { sequence } = take(plan, member, version, event.type, member.logged[index] ?? loggedOf(event))
    plan.batch.projects.push({ sequence, projectId, version, at, cause, event })
  }
  return version
}

const take = (
  plan: Plan,
  { change, stream }: Submission,
  version: number,
  type: string,
  logged: Logged
): NewEvent => {
  plan.sequence += 1
  const { cause, at } = change
  const event: NewEvent = { sequence: plan.sequence, stream, version, type, ...logged, cause, at }
  plan.events.push(event)
  return event
}

// What the one writer knows without asking

interface Log {
  /** The version of each member's stream, 0 for a new one. */
  readonly versions: (
    sql: SqlClient,
    members: ReadonlyArray<Submission>
  ) => Effect.Effect<Map<string, number>, SqlError>
  readonly sequence: (sql: SqlClient) => Effect.Effect<number, SqlError>
  /** What the user asked for survives a power cut; provider output may lose its last moments to one. */
  readonly setDurability: (sql: SqlClient, full: boolean) => Effect.Effect<void, SqlError>
  readonly texts: (sql: SqlClient) => Effect.Effect<OpenTexts, SqlError>
  readonly advance: (plan: Plan, journal: JournalPlan) => void
  /** From now on the database is asked again. */
  readonly forget: () => void
}

const openLog = (sql: SqlClient): Effect.Effect<Log, StorageUnavailable> =>
  Effect.sync(() => {
    const heads = new Map<string, number>()
    let newest: number | null = null
    let texts: OpenTexts | null = null
    let durability: boolean | null = null

    /** Keeps the streams that changed last. Streamed text changes no version. */
    const remember = (stream: string, version: number) => {
      if (heads.get(stream) === version) return
      heads.delete(stream)
      heads.set(stream, version)
      if (heads.size <= limits.versions) return
      for (const oldest of heads.keys()) {
        heads.delete(oldest)
        return
      }
    }

    const versions: Log["versions"] = Effect.fnUntraced(function* (sql, members) {
      const found = new Map<string, number>()
      const missing = new Set<string>()
      for (const { stream } of members) {
        const head = heads.get(stream)
        if (head === undefined) missing.add(stream)
        else found.set(stream, head)
      }
      if (missing.size === 0) return found
      const stored = yield* versionsOf(sql, [...missing])
      for (const stream of missing) found.set(stream, stored.get(stream) ?? 0)
      return found
    })

    const log: Log = {
      versions,
      sequence: (sql) =>
        newest === null
          ? Effect.tap(newestSequence(sql), (sequence) => Effect.sync(() => (newest = sequence)))
          : Effect.succeed(newest),
      texts: (sql) =>
        texts === null
          ? Effect.tap(readOpenTexts(sql), (found) => Effect.sync(() => (texts = found)))
          : Effect.succeed(texts),
      setDurability: (sql, full) =>
        durability === full
          ? Effect.void
          : Effect.andThen(
              pragma(sql as Writer["Service"], `synchronous = ${full ? "FULL" : "NORMAL"}`),
              Effect.sync(() => void (durability = full))
            ),
      advance: (plan, journal) => {
        newest = plan.sequence
        if (texts !== null) advanceTexts(texts, journal)
        for (const [stream, version] of plan.versions) remember(stream, version)
      },
      forget: () => {
        heads.clear()
        newest = null
        texts = null
        durability = null
      }
    }
    return log
  }).pipe(Effect.tap((log) => unavailable(log.sequence(sql))))
