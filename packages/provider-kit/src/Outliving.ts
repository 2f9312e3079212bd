/**
 * A provider's program that goes on when this server does not: spoken to over an address of the machine's
 * own, taken over by the next server, ended by an orderly stop.
 *
 * Promises: it leads its own process group and is on the ledger before it is spoken to. It is taken over
 * only where it is proven to be the one that was started: alive with the same start time, with our mark in
 * its environment, of the same program and settings, and itself the one that listens at its address. One of
 * ours that is of no use is ended; anything else is left alone and never spoken to. When it has ended, by
 * whatever cause, everything that it started is ended too. And it does not live for ever: a watcher beside
 * it ends it when no server has given a sign of life for a while.
 *
 * All of this is read from /proc, so it is for Linux only (`isPossible`).
 */
import { spawn as spawnProcess } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { Clock, Deferred, Duration, Effect, Option, Schedule } from "effect"
import type { Scope } from "effect"
import * as Child from "./Child.ts"
import { StartFailed } from "./Child.ts"
import type { OutlivingChild, ProcessLedger } from "./ProcessLedger.ts"
import {
  descendantsOf,
  ensureGone,
  isAlive,
  isMarked,
  listensOn,
  marked,
  signalGroup,
  signalProcess,
  startTimeOf
} from "./processes.ts"

export const isPossible = process.platform === "linux"

export interface OutlivingOptions {
  readonly binary: string
  readonly ledger: ProcessLedger
  readonly ledgerDirectory: string
  /** Begins the mark of all that the program starts: `Child.ownerMark`. */
  readonly owner: string
  /** The variable that carries the mark. */
  readonly markName: string
  readonly arguments: (secret: string) => ReadonlyArray<string>
  readonly env: (secret: string) => Readonly<Record<string, string | undefined>>
  /** All that makes another program of it beside the binary: its settings, its own environment. */
  readonly settings: unknown
  /** Where it listens, as a URL, read from what it has printed so far. */
  readonly addressIn: (printed: string) => string | null
  /** From the start to its word that it listens. */
  readonly deadline: Duration.Input
  /** How long it may take to end after it was terminated. */
  readonly patience?: Duration.Input
  /** How long it goes on without a sign of life of a server. */
  readonly abandonAfter: Duration.Input
}

export interface Attached {
  readonly pid: number
  readonly address: string
  readonly secret: string
  /** The file of its conversations. */
  readonly sessionsFile: string
  /** Resolves when it has ended. */
  readonly gone: Effect.Effect<Gone>
  readonly isGone: () => boolean
  /** Asks it to end, then insists. */
  readonly close: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
}

export interface Gone {
  readonly how: "closed" | "killed" | "by itself"
  /** The last that it printed. */
  readonly printed: string
}

/** The one that can be taken over; null where there is none. Starts and ends nothing. */
export const find = (options: OutlivingOptions): OutlivingChild | null =>
  isPossible ? (options.ledger.outliving().find((child) => isUsable(child, options)) ?? null) : null

/** Ends what earlier servers have left, but for the one that can be taken over. Returns those that did not go away. */
export const reap = Effect.fnUntraced(function* (options: OutlivingOptions) {
  const found = find(options)
  const { survived } = yield* found === null ? options.ledger.reap : options.ledger.reapExcept(found.pid)
  const mark = found?.outliving.mark.value
  const orphans = marked(options.markName, options.owner).filter(
    ({ pid }) => mark === undefined || !isMarked(pid, options.markName, mark)
  )
  return [...survived, ...(yield* ensureGone(orphans)).map(({ pid }) => pid)]
})

/**
 * The program, taken over or started; whatever else is left of earlier servers is ended first. The scope
 * ends it: only the end of this process by force leaves it running.
 */
export const acquire = (options: OutlivingOptions): Effect.Effect<Attached, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    yield* reap(options)
    const found = find(options)
    const held = yield* Effect.acquireRelease(
      found === null ? start(options) : Effect.sync(() => hold(found, options)),
      ({ close }) => close
    )
    yield* Effect.forkScoped(lookedAfter(held, options))
    const { child } = held
    const address = found?.outliving.address ?? (yield* listening(held, options))
    if (found === null)
      options.ledger.recordOutliving(child.pid, child.command, { ...child.outliving, address })
    return {
      pid: child.pid,
      address,
      secret: child.outliving.secret,
      sessionsFile: `${child.outliving.run}.sessions`,
      gone: Deferred.await(held.ended),
      isGone: held.isGone,
      close: held.close,
      kill: held.kill
    }
  })

/** Proven to be ours (it is on the ledger), and of use. */
const isUsable = ({ outliving, pid }: OutlivingChild, options: OutlivingOptions): boolean =>
  outliving.address !== null &&
  outliving.mark.value.startsWith(options.owner) &&
  outliving.identity === identityOf(options) &&
  listensOn(pid, Number(new URL(outliving.address).port))

/** The program by its file, so that another version is another program, and all that was set for it. */
const identityOf = ({ binary, settings }: OutlivingOptions): string => {
  const hash = createHash("sha256").update(JSON.stringify(settings))
  try {
    const path = realpathSync(binary)
    const { mtimeMs, size } = statSync(path)
    hash.update(`\n${path}\n${size}\n${mtimeMs}`)
  } catch {
    // It cannot be looked at: then it cannot be started either.
  }
  return hash.digest("hex")
}

interface Held extends Pick<Attached, "isGone" | "close" | "kill"> {
  readonly child: OutlivingChild
  readonly ended: Deferred.Deferred<Gone>
  /** It has been seen to have ended. */
  readonly end: () => void
}

const hold = (child: OutlivingChild, options: OutlivingOptions): Held => {
  const { pid } = child
  const { run, mark } = child.outliving
  const ended = Deferred.makeUnsafe<Gone>()
  let how: Gone["how"] = "by itself"

  const end = () => {
    if (Deferred.isDoneUnsafe(ended)) return
    signalGroup(pid, "SIGKILL")
    for (const left of marked(mark.name, mark.value)) signalProcess(left.pid, "SIGKILL")
    const printed = tailOf(`${run}.log`)
    options.ledger.forget(pid)
    Deferred.doneUnsafe(ended, Effect.succeed({ how, printed }))
  }
  const isGone = () => {
    if (!Deferred.isDoneUnsafe(ended) && !isAlive(child)) end()
    return Deferred.isDoneUnsafe(ended)
  }
  const goneWithin = (patience: Duration.Input) =>
    Effect.sync(isGone).pipe(
      Effect.repeat({ until: (gone) => gone, schedule: Schedule.spaced("20 millis") }),
      Effect.timeoutOption(patience),
      Effect.map(Option.isSome)
    )
  const ending = (by: "closed" | "killed", effect: Effect.Effect<unknown>) =>
    Effect.suspend(() => {
      if (isGone()) return Effect.void
      if (how === "by itself") how = by
      const below = descendantsOf(pid)
      return effect.pipe(
        Effect.andThen(Effect.suspend(() => ensureGone([...below, ...marked(mark.name, mark.value)]))),
        Effect.asVoid
      )
    })
  const kill = ending(
    "killed",
    Effect.suspend(() => (signalGroup(pid, "SIGKILL"), goneWithin("5 seconds")))
  )
  const close = ending(
    "closed",
    Effect.gen(function* () {
      // Not the group: the watcher in it would end with it, and what was asked may be refused.
      signalProcess(pid, "SIGTERM")
      if (!(yield* goneWithin(options.patience ?? "2 seconds"))) yield* kill
    })
  )
  return { child, ended, end, isGone, close, kill }
}

const start = Effect.fn("Outliving.start")(function* (options: OutlivingOptions) {
  const { ledger, ledgerDirectory, markName, owner } = options
  const secret = randomUUID()
  const mark = { name: markName, value: `${owner}${randomUUID()}` }
  const run = join(ledgerDirectory, `run-${mark.value}`)
  mkdirSync(ledgerDirectory, { recursive: true })
  writeFileSync(`${run}.lease`, "")
  const pid = yield* spawned(options, secret, mark.value, run)
  const command = [options.binary, ...options.arguments("")].join(" ")
  const outliving = { mark, identity: identityOf(options), address: null, secret, run }
  ledger.recordOutliving(pid, command, outliving)
  return hold({ pid, startTime: startTimeOf(pid) ?? "", command, outliving }, options)
})

const spawned = (options: OutlivingOptions, secret: string, mark: string, run: string) =>
  Effect.callback<number, StartFailed>((resume) => {
    const seconds = Duration.toSeconds(options.abandonAfter)
    const watchSeconds = Math.max(1, Math.min(watchSecondsMax, Math.ceil(seconds / 3)))
    const limit = Math.ceil(seconds / watchSeconds)
    // It prints into a file: a pipe would break with us, and it with the pipe.
    const output = openSync(`${run}.log`, "a", 0o600)
    const child = spawnProcess(
      "/bin/sh",
      [
        "-c",
        watchScriptOf(watchSeconds),
        watcherName,
        `${run}.lease`,
        String(limit),
        mark,
        options.binary,
        ...options.arguments(secret)
      ],
      {
        cwd: options.ledgerDirectory,
        env: { ...options.env(secret), [options.markName]: mark },
        detached: true,
        stdio: ["ignore", output, output]
      }
    )
    closeSync(output)
    child.unref()
    child.once("error", (error: NodeJS.ErrnoException) =>
      resume(new StartFailed({ missing: error.code === "ENOENT", text: error.message }))
    )
    if (child.pid !== undefined) resume(Effect.succeed(child.pid))
  })

/** How often the watcher looks for a sign of life, and how often a server gives one. */
const watchSecondsMax = 20
const signSecondsMax = 5

const watcherName = "turnkeeper-watch"

/** Whether these are the arguments of a watcher: it is not something that the program runs. */
export const isWatcher = (command: ReadonlyArray<string>): boolean => command.includes(watcherName)

/**
 * The shell becomes the program; the watcher stays behind as a child of it, in its group, so that the
 * group's number is not used again while it looks. It counts its own looks and reads no clock, so that a
 * machine that slept does not count as a server that is gone.
 */
const watchScriptOf = (seconds: number) => `
lease=$1 limit=$2 mark=$3 program=$$
shift 3
(
  last= unchanged=0
  self=$(exec /bin/sh -c 'echo $PPID')
  while kill -0 $program 2>/dev/null; do
    sleep ${seconds}
    now=$(cat "$lease" 2>/dev/null)
    if [ "$now" = "$last" ]; then unchanged=$((unchanged + 1)); else unchanged=0 last=$now; fi
    if [ $unchanged -ge $limit ]; then
      kill -TERM $program 2>/dev/null
      sleep 2
      for file in $(grep -lsaF "$mark" /proc/[0-9]*/environ); do
        other=\${file#/proc/}
        other=\${other%/environ}
        if [ "$other" != "$self" ]; then kill -KILL "$other"; fi
      done
      kill -KILL -$program
    fi
  done
) </dev/null >/dev/null 2>&1 &
exec "$@"
`

/** Until it says where it listens, or ends, or the time is over. */
const listening = ({ child, ended, isGone }: Held, options: OutlivingOptions) =>
  Effect.suspend((): Effect.Effect<string, StartFailed | "not yet"> => {
    const printed = tailOf(`${child.outliving.run}.log`)
    const address = options.addressIn(printed)
    if (address !== null) return Effect.succeed(address)
    return isGone()
      ? Effect.flatMap(Deferred.await(ended), (gone) =>
          Effect.fail(new StartFailed({ missing: false, text: lastLineOf(gone.printed) }))
        )
      : Effect.fail("not yet" as const)
  }).pipe(
    Effect.retry({ while: (error) => error === "not yet", schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOrElse({ duration: options.deadline, orElse: () => Effect.fail("not yet" as const) }),
    Effect.mapError((error) =>
      error === "not yet"
        ? new StartFailed({ missing: false, text: "The program did not start in time." })
        : error
    )
  )

const lookEvery = "200 millis"

/** Notices its end, gives the watcher its signs of life, and keeps what it prints from growing without bound. */
const lookedAfter = (held: Held, { abandonAfter }: OutlivingOptions) => {
  const { run } = held.child.outliving
  const between = Duration.seconds(Math.min(signSecondsMax, Duration.toSeconds(abandonAfter) / 4))
  const notice = Effect.sync(held.isGone).pipe(
    Effect.repeat({ until: (gone) => gone, schedule: Schedule.spaced(lookEvery) })
  )
  const sign = Effect.map(Clock.currentTimeMillis, (now) => {
    try {
      writeFileSync(`${run}.lease`, String(now))
      if (statSync(`${run}.log`).size > logBytesMax) truncateSync(`${run}.log`)
    } catch {
      // It has ended meanwhile, or the disk is full: the next sign is soon enough.
    }
  })
  return Effect.raceFirst(notice, Effect.forever(Effect.andThen(sign, Effect.sleep(between))))
}

const logBytesMax = 1024 * 1024
const charactersKept = 4_000

const tailOf = (file: string): string => {
  try {
    return Child.plain(readFileSync(file, "utf8")).slice(-charactersKept)
  } catch {
    return ""
  }
}

/** Of what it printed, for people. */
export const lastLineOf = (printed: string): string =>
  Child.lastLineOf(printed) || "The program ended at once."
