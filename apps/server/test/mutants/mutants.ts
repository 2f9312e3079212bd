/**
 * Servers with one thing broken on purpose, each with the test that has to notice. A text patch of one source
 * file: where the text is no longer there, exactly once, the mutant is no mutant any more and says so.
 */
export interface Mutant {
  readonly breaks: string
  /** Below `apps/server/src`. */
  readonly file: string
  readonly find: string
  readonly put: string
  /** Below `apps/server/test`. */
  readonly caughtBy: string
  /** The whole name of the test, without its groups. */
  readonly test: string
}

const commit = { file: "engine/Commit.ts", caughtBy: "commit/commit.test.ts" } as const
const feed = { file: "engine/Feed.ts", caughtBy: "commit/feed.test.ts" } as const
const delivery = "lifecycle/delivery.test.ts"
const statements = "storageFaults/everyStatement.test.ts"
const secondLine = "mutants/secondLine.test.ts"
/** By a simulated run that was kept: `npm run simulate` finds it, too. */
const simulated = (plan: string) => ({
  caughtBy: "mutants/keptPlans.test.ts",
  test: `keeps them all: ${plan}`
})

export const mutants: ReadonlyArray<Mutant> = [
  {
    breaks: "the reactor is not woken by a commit",
    file: "engine/standing.ts",
    find: "if (logged > 0) around.changed(threadId)",
    put: "",
    caughtBy: delivery,
    test: "L11: the same command gets the same answer, and is carried out once"
  },
  {
    breaks: "the reactor begins a job that is under way already",
    file: "reactor/Reactor.ts",
    find: "if (jobs.has(key)) return null",
    put: "",
    caughtBy: "mutants/once.test.ts",
    test: "L12: a thread that is looked at again and again is sent to, answered and asked after once"
  },
  {
    breaks: "a generation is opened while the one before still ends",
    file: "reactor/startSession.ts",
    find: "yield* means.sessions.gone(threadId, generation)",
    put: "",
    caughtBy: "lifecycle/adapters.test.ts",
    test: "B4: the next generation is opened only when the one before is gone"
  },
  {
    breaks: "a session whose generation is closed is only forgotten",
    file: "reactor/Reactor.ts",
    find: "yield* Effect.forkIn(means.sessions.gone(threadId, current), scope)",
    put: "",
    caughtBy: "mutants/once.test.ts",
    test: "D9: a session whose generation is closed, by whatever, is ended"
  },
  {
    breaks: "words of a provider carry no numbers of their own",
    file: "ingestion/Ingestion.ts",
    find: "seq += 1",
    put: "seq += 0",
    caughtBy: "lifecycle/field.test.ts",
    test: "B9: turn after turn, and what it says between them"
  },
  {
    breaks: "a prompt goes out again although its marker stands",
    file: "reactor/Reactor.ts",
    find: 'if (!("begun" in owed) || !owed.begun) return null',
    put: 'if (owed.type !== "session.start" || !owed.begun) return null',
    caughtBy: delivery,
    test: "L12, L14: also where the provider cannot be listed: its record is asked"
  },
  {
    breaks: "the provider is called before the marker is committed",
    file: "reactor/Reactor.ts",
    find: "if (needsMarker(owed) && !(yield* mailbox.begin(owed))) return",
    put: "if (needsMarker(owed)) yield* Effect.forkIn(mailbox.begin(owed), yield* Effect.scope) as never",
    caughtBy: delivery,
    test: "L12: a marker that the tables refuse is no permission to send"
  },
  {
    breaks: "a marker that the tables refused is taken for one",
    file: "engine/Mailbox.ts",
    find: "(committed) => owes && (marked || committed !== null)",
    put: "(_committed) => owes || marked",
    caughtBy: delivery,
    test: "L12: a marker that the tables refuse is no permission to send"
  },
  {
    breaks: "the user's answer is passed on twice",
    file: "reactor/answerRequest.ts",
    find: "session.answer(owed.key, owed.answer),",
    put: "Effect.andThen(session.answer(owed.key, owed.answer), Effect.ignore(session.answer(owed.key, owed.answer))),",
    caughtBy: "mutants/once.test.ts",
    test: "L12: a thread that is looked at again and again is sent to, answered and asked after once"
  },
  {
    breaks: "a deadline is an appointment on the wall clock",
    file: "reactor/deadline.ts",
    find: "left = owed.afterMs - Number(((yield* Clock.monotonicTimeNanos) - since) / 1_000_000n)",
    put: "left = owed.afterMs - (yield* Clock.currentTimeMillis) + Number(since / 1_000_000n)",
    caughtBy: "clock/jumps.test.ts",
    test: "L14: a turn that is at work is not asked after because the clock jumped"
  },
  {
    ...commit,
    breaks: "a commit is published before it is one",
    find: "    yield* sql.transact(",
    put: "    publish(plan.published)\n    yield* sql.transact(",
    caughtBy: "commit/feed.test.ts",
    test: "a change that is refused is not published"
  },
  {
    ...commit,
    breaks: "a commit is acknowledged before it is written",
    find: "    yield* sql.transact(",
    put: "    for (const { member, committed } of plan.accepted) member.answer(Exit.succeed(committed))\n    yield* sql.transact(",
    test: "acknowledges nothing while the storage refuses to write, and goes on when it takes writes again"
  },
  {
    ...commit,
    breaks: "what a user was promised does not survive the power",
    find: 'change.receipt !== null || change.events.some((event) => event.type === "turn.send_started")',
    put: "false && change.receipt !== null",
    test: "writes user intent with synchronous FULL and provider output with NORMAL, however often it changes"
  },
  {
    ...commit,
    breaks: "the receipt is not in the commit of what it is for",
    find: "  writeReceipts(plan.receipts),",
    put: "",
    test: "L11: the same command gets the same answer, at once or later, and is carried out once"
  },
  {
    ...commit,
    breaks: "a command is known by its id alone",
    find: "return before.hash === receipt.hash",
    put: "return before.hash !== ''",
    test: "L11: the same command id with another body is refused, together and apart"
  },
  {
    ...commit,
    breaks: "two writers of one stream are let in",
    find: "return expected === actual ? null",
    put: "return expected !== -1 ? null",
    test: "refuses a change that was decided on another version, and writes nothing of it"
  },
  {
    ...commit,
    breaks: "one refused change takes its whole batch with it",
    find: 'if (fault.type === "change" && members.length > 1) {',
    put: 'if (fault.type === "change" && members.length > 100_000) {',
    test: "a change that the tables refuse harms only itself, in whatever company it comes"
  },
  {
    ...commit,
    breaks: "the tables skip an event",
    find: "      plan.batch.steps.push({ record, after })",
    put: '      if (event.type !== "thread.updated") plan.batch.steps.push({ record, after })',
    caughtBy: "model/engine.test.ts",
    test: "whatever clients, providers and crashes do: what was told is kept, once, and every view is the tables"
  },
  {
    ...commit,
    breaks: "the text journal keeps what its item has taken over",
    find: 'if (event.type === "item.completed")',
    put: 'if (event.type === ("never" as string))',
    caughtBy: "store/journal.test.ts",
    test: "is empty as soon as the item completes; the message has the whole text in the same commit"
  },
  {
    breaks: "a failed transaction stays open",
    file: "store/Connection.ts",
    find: "        undo(database)\n        return resultCode(cause) === null",
    put: "        return resultCode(cause) === null",
    caughtBy: statements,
    test: "L12, L14: commit denied 2 and each 7th behind it: write, 1 in a row: nothing is lost, doubled or half written, and all goes on"
  },
  {
    ...feed,
    breaks: "a follower that overflows is not told",
    find: 'waiting = [{ type: "overflowed" }]',
    put: "waiting = []",
    test: "a slow reader is told once that it missed something; what comes then was committed after"
  },
  {
    ...feed,
    breaks: "what waits for a follower has no bound",
    find: "(entries < followerLimits.entries && bytes <= followerLimits.bytes)",
    put: "entries < Infinity",
    test: "what waits for a reader is bounded in bytes too, but one entry always passes"
  },
  {
    breaks: "a client that fell behind goes on without what it missed",
    file: "rpc/ThreadSubscription.ts",
    find: 'if (news.type === "overflowed" || !sent.join(news, items)) {',
    put: 'if (news.type === "overflowed") continue\n          if (!sent.join(news, items)) {',
    caughtBy: "rpc/subscriptions.test.ts",
    test: "a feed that overflows within the gap is caught up event by event"
  },
  {
    breaks: "streamed text joins one character off",
    file: "rpc/ThreadSubscription.ts",
    find: "text: text.slice(have - offset) })",
    put: "text: text.slice(have - offset + 1) })",
    caughtBy: "rpc/subscriptions.test.ts",
    test: "gives a snapshot, says when it is live, then every version once and in order"
  },
  {
    breaks: "text at an earlier offset is appended",
    file: "store/TextJournal.ts",
    find: "(offset >= before.length ? before : before.slice(0, offset)) + text",
    put: "before + text",
    caughtBy: "mutants/replacedText.test.ts",
    test: "C6: it takes the place of what was there, in a snapshot and in what a client missed"
  },
  {
    breaks: "what is open inside a settled turn stays open",
    file: "projection/Items.ts",
    find: "SET status = 'interrupted', completed_at = v.column3",
    put: "SET completed_at = v.column3",
    caughtBy: "projection/thread-view.test.ts",
    test: "L5: a settled turn has nothing open inside it, even where its events forgot to close it"
  },
  {
    breaks: "a provider's word that met a full disk is dropped",
    file: "engine/carrying.ts",
    find: "      lanes.putBack([letter])\n",
    put: "      letter.done(Exit.succeed(null))\n",
    caughtBy: "mutants/once.test.ts",
    test: "L12: what a provider said while the disk was full is kept, in its order"
  },
  {
    breaks: "the user waits behind what the provider has said",
    file: "engine/Lanes.ts",
    find: "const providersTurn = overtaken >= overtakeMax && provider.length > 0",
    put: "const providersTurn = provider.length > 0",
    caughtBy: "lifecycle/progress.test.ts",
    test: "D5: what the user asks for overtakes what the provider has said already"
  },
  {
    breaks: "a repeated command is decided anew",
    file: "engine/Letter.ts",
    find: "if (stored !== null) return yield* verdict(state, [], cause, receipt)",
    put: "",
    caughtBy: delivery,
    test: "L11: also after a crash"
  },
  {
    breaks: "a commit that was denied and is there leaves its thread in the past",
    file: "engine/standing.ts",
    find: "if (committed.version > version) return reread(answer, then)",
    put: "if (committed.version > version) standing = { state: after, version: committed.version }",
    ...simulated("a denied command that came twice")
  },
  {
    breaks: "a thread is put to sleep by a jump of the wall clock",
    file: "engine/Mailboxes.ts",
    find: "const now = yield* Clock.monotonicTimeNanos",
    put: "const now = BigInt(yield* Clock.currentTimeMillis) * 1_000_000n",
    caughtBy: "clock/jumps.test.ts",
    test: "a thread is not put to sleep because the clock jumped"
  },
  {
    breaks: "a statement that could not be prepared once is given up",
    file: "store/Connection.ts",
    find: "    const made = prepare(database, text)\n",
    put: "    const failed = ((known as any).failed ??= new Map())\n    if (failed.has(text)) throw failed.get(text)\n    let made\n    try {\n      made = prepare(database, text)\n    } catch (error) {\n      failed.set(text, error)\n      throw error\n    }\n",
    caughtBy: statements,
    test: "L12, L14: prepare 5 and each 13th behind it: busy, 1 in a row, undone by SQLite: nothing is lost, doubled or half written, and all goes on"
  },
  {
    breaks: "a full disk is taken for a mistake of the change",
    file: "store/storageFault.ts",
    find: "const passing = new Set([5, 6, 7, 8, 10, 13, 14])",
    put: "const passing = new Set([5, 6, 7, 8, 10, 14])",
    caughtBy: "commit/commit.test.ts",
    test: "a full disk is a typed, retryable answer; with space again everything goes on"
  },
  {
    breaks: "a directory that another server holds is taken over",
    file: "store/DataDirectory.ts",
    find: "if (owner !== null && isAlive(owner)) return yield* inUse(directory, owner)",
    put: "",
    caughtBy: "store/data-directory.test.ts",
    test: "E10: the lock file alone protects a living owner"
  },
  {
    breaks: "after a read that failed nobody looks at the thread again",
    file: "reactor/Reactor.ts",
    find: 'Effect.catch(() => Effect.asVoid(Effect.forkIn(Effect.delay(again(threadId), "1 second"), scope)))',
    put: "Effect.catch(() => Effect.void)",
    caughtBy: secondLine,
    test: "L14: where its state cannot be read, it is looked at again"
  },
  {
    breaks: "whether a message arrived is asked while it may still arrive",
    file: "reactor/findEvidence.ts",
    find: "if (owed.final) yield* means.sessions.gone(threadId, -1)",
    put: "",
    ...simulated("a prompt on its way when the line broke")
  },
  {
    breaks: "a record that was not read proves that a message did not arrive",
    file: "reactor/findEvidence.ts",
    find: 'if (owed.resume === null)\n      return known({ type: "none", message: "The provider gave no name by which its record could be read." })',
    put: 'if (owed.resume === null) return known({ type: "absent" })',
    ...simulated("a record that was never read")
  },
  {
    breaks: "a send whose marker stands is neither made nor doubted",
    file: "reactor/Reactor.ts",
    find: "if (lost !== null) return yield* mailbox.tell(",
    put: "if (lost === undefined) return yield* mailbox.tell(",
    ...simulated("a crash in a send and nobody lists")
  },
  {
    breaks: "letters that must not be lost are refused like a command when the storage fails",
    file: "engine/carrying.ts",
    find: "const trouble = letter.patient ? storageTrouble(exit) : null",
    put: "const trouble = null as any",
    ...simulated("an end that met a full disk")
  },
  {
    breaks: "a command whose commit was denied is forgotten, although it is there",
    file: "engine/carrying.ts",
    find: "else if (storageTrouble(exit) !== null) lookLater()",
    put: "",
    ...simulated("a denied command that is there")
  },
  {
    breaks: "who follows a thread is not told of a commit that was denied and is there",
    file: "engine/standing.ts",
    find: "        around.missed(threadId)\n",
    put: "",
    ...simulated("a commit that nobody heard of")
  },
  {
    breaks: "a text with a hole before it goes on as if nothing were missing",
    file: "rpc/ThreadSubscription.ts",
    find: "if (offset > have) return false",
    put: "if (offset > have) return true",
    caughtBy: secondLine,
    test: "C6: a text with a hole before it is not shown: what is missing is read first"
  },
  {
    breaks: "a stop pretends: the provider refused, and the session is shown as stopped",
    file: "reactor/stopSession.ts",
    find: 'if (Result.isFailure(stopped) && stopped.failure.reason !== "SessionGone") {',
    put: "if (Result.isFailure(stopped) && false) {",
    caughtBy: "lifecycle/mission.test.ts",
    test: "A7, L9: a stop that fails leaves the session as it is and says so"
  },
  {
    breaks: "a stop pretends: a session that outlived the server and is not held counts as gone",
    file: "reactor/stopSession.ts",
    find: "if (!lives.success) return Result.succeed(undefined)",
    put: "if (lives.success || !lives.success) return Result.succeed(undefined)",
    caughtBy: "lifecycle/outliving.test.ts",
    test: "L9: a stop takes it up, and ends it"
  },
  {
    breaks: "the reconciler counts one listing",
    file: "reconciler/Reconciler.ts",
    find: "|| before?.version !== version) continue\n          if (before.heardAt !== heardAt || before.says !== sighting.says) continue",
    put: ") continue",
    caughtBy: "mutants/once.test.ts",
    test: "L7: what one listing says counts for nothing: the next one may know the turn again"
  },
  {
    breaks: "the reconciler believes a listing although words are still on their way",
    file: "reconciler/Reconciler.ts",
    find: "before.heardAt !== heardAt || ",
    put: "",
    caughtBy: "mutants/keptPlans.test.ts",
    test: "keeps them all: words that come behind a listing"
  },
  {
    breaks: "half a surrogate pair is put where SQLite cannot hold it",
    file: "store/EventLog.ts",
    find: 'text !== "" && text.isWellFormed() && !text.includes("\\0")',
    put: 'text !== ""',
    caughtBy: "growth/textsOnce.test.ts",
    test: "L12: comes out of the log as it went in, whatever it is of, and is shown as SQLite can show it"
  },
  {
    breaks: "an edited prompt goes on naming the event of its first words",
    file: "projection/Messages.ts",
    find: "SET text = v.column3, text_at = v.column4 FROM",
    put: "SET text = v.column3 FROM",
    caughtBy: "growth/textsOnce.test.ts",
    test: "L12: an edited prompt is shown and found by its new words, and not by its old ones"
  },
  {
    breaks: "a text that was logged before texts stood beside their events is not looked for",
    file: "projection/rowText.ts",
    find: "SELECT coalesce(events.text, events.payload ->> '$.text') FROM",
    put: "SELECT events.text FROM",
    caughtBy: "growth/textsOnce.test.ts",
    test: "E4: of an event that has it in its payload, as all had once, is shown, sized and found the same"
  },
  {
    breaks: "the old words of an edited prompt stay in an index that is made anew",
    file: "maintenance/Anew.ts",
    find: "rows: distinct(words.edited)",
    put: "rows: []",
    caughtBy: "growth/rebuild.test.ts",
    test: "L15: a prompt is found by its last words, on whichever pages of the log it was written and edited"
  },
  {
    breaks: "one of 32 messages does not come to an index that is made anew",
    file: "maintenance/Anew.ts",
    find: "ids.slice(from, from + addedAtOnce)",
    put: "ids.slice(from, from + addedAtOnce - 1)",
    caughtBy: "growth/rebuild.test.ts",
    test: "L15: a prompt is found by its last words, on whichever pages of the log it was written and edited"
  },
  {
    breaks: "a prompt that was edited on its page comes with its first words to an index that is made anew",
    file: "maintenance/Anew.ts",
    find: 'known.set(Number(row["id"]), standIn)',
    put: 'if (!known.has(Number(row["id"]))) known.set(Number(row["id"]), standIn)',
    caughtBy: "growth/rebuild.test.ts",
    test: "L15: a prompt is found by its last words, on whichever pages of the log it was written and edited"
  },
  {
    breaks: "a message comes to an index that is made anew with what stands for its text",
    file: "maintenance/Anew.ts",
    find: "known.get(id) !== standIn",
    put: "known.has(id)",
    caughtBy: "growth/rebuild.test.ts",
    test: "L15: a prompt is found by its last words, on whichever pages of the log it was written and edited"
  },
  {
    breaks: "a long text is stood in for when the tables are made anew",
    file: "projection/rowText.ts",
    find: " AND octet_length(text) <= ${bounds.whole}",
    put: "",
    caughtBy: "growth/longText.test.ts",
    test: "D7: stands once in the database, is shown by its ends, and is read in parts"
  },
  {
    breaks: "what a provider says while its last words are committed overtakes itself",
    file: "ingestion/ahead.ts",
    find: "waiting.push(event)",
    put: "waiting.unshift(event)",
    caughtBy: "mutants/once.test.ts",
    test: "L12: what was read ahead while the disk was full is kept once and in its order, however much"
  },
  {
    breaks: "what was read ahead goes to the mailbox before the last portion is committed",
    file: "ingestion/ahead.ts",
    find: "while (!isOut && waiting.length > 0)",
    put: "while (waiting.length > 0)",
    caughtBy: "commit/ahead.test.ts",
    test: "L12: what comes while a portion is committed is the next one, in its order and once"
  },
  {
    breaks: "a provider that speaks faster than we commit is read without end",
    file: "ingestion/ahead.ts",
    find: "return hasRoom() ? Effect.void : room",
    put: "return Effect.void",
    caughtBy: "commit/ahead.test.ts",
    test: "B9: nothing more is read while as much waits as may wait"
  },
  {
    breaks: "a session that is closed goes on saying what it had read ahead",
    file: "ingestion/ahead.ts",
    find: "const drop = () => void (waiting = [])",
    put: "const drop = () => {}",
    caughtBy: "commit/ahead.test.ts",
    test: "L10: what waits when nobody listens any more is not said"
  },
  {
    breaks: "one poisoned event takes with it what was said with it",
    file: "engine/Mailbox.ts",
    find: "parts: happenings.length > 1 ?",
    put: "parts: happenings.length > batchMax ?",
    caughtBy: "mutants/once.test.ts",
    test: "L12: of what a provider said at once the tables refuse the poisoned event alone"
  }
]
