/**
 * The process that has started this one, over a pipe: its first line is the secret, and its end is our end.
 *
 * A pipe is closed by the system however its other side ends, by SIGKILL too. So the same pipe that brings
 * the secret tells us, without asking again and again, that nobody needs us any more.
 */
import { Deferred, Effect, Exit, Redacted, Schema } from "effect"
import { Socket } from "node:net"
import type { Readable } from "node:stream"

/** No secret came: nothing, too little, too much, or too late. */
export class SecretMissing extends Schema.TaggedError<SecretMissing>()("SecretMissing", {
  reason: Schema.Literals(["ended", "late", "too_short", "too_long", "unreadable"])
}) {}

export interface Parent {
  readonly secret: Redacted.Redacted
  /** Resolves when the parent is gone, or has closed the pipe. */
  readonly gone: Effect.Effect<void>
}

const lengthMin = 32
const lengthMax = 1_024
const waitFor = "15 seconds"

/** `descriptor`: 0 is standard input. */
export const meetParent = (descriptor: number): Effect.Effect<Parent, SecretMissing> =>
  Effect.suspend(() => {
    const pipe = opened(descriptor)
    if (pipe === null) return Effect.fail(new SecretMissing({ reason: "unreadable" }))
    const first = Deferred.makeUnsafe<string, SecretMissing>()
    const gone = Deferred.makeUnsafe<void>()
    listen(pipe, {
      line: (exit) => Deferred.doneUnsafe(first, exit),
      end: () => {
        Deferred.doneUnsafe(first, Exit.fail(new SecretMissing({ reason: "ended" })))
        Deferred.doneUnsafe(gone, Exit.void)
      }
    })
    return Deferred.await(first).pipe(
      Effect.timeoutOrElse({
        duration: waitFor,
        orElse: () => Effect.fail(new SecretMissing({ reason: "late" }))
      }),
      Effect.map((line) => ({
        secret: Redacted.make(line, { label: "secret" }),
        gone: Effect.raceFirst(Deferred.await(gone), adopted)
      }))
    )
  })

/** Null: there is nothing with this number that could be read. */
const opened = (descriptor: number): Readable | null => {
  try {
    // Not as a file: reading a pipe would hold a thread until it closes.
    return descriptor === 0 ? process.stdin : new Socket({ fd: descriptor, readable: true, writable: false })
  } catch {
    return null
  }
}

interface Heard {
  readonly line: (exit: Exit.Exit<string, SecretMissing>) => void
  readonly end: () => void
}

/** The first line; what comes after it is read and dropped, because only its end means something. */
const listen = (pipe: Readable, heard: Heard) => {
  let text = ""
  let isDone = false
  const done = (exit: Exit.Exit<string, SecretMissing>) => {
    isDone = true
    text = ""
    heard.line(exit)
  }
  pipe.setEncoding("utf8")
  pipe.on("data", (chunk: string) => {
    if (isDone) return
    text += chunk
    const end = text.indexOf("\n")
    if (end !== -1) done(secretIn(text.slice(0, end).trim()))
    else if (text.length > lengthMax) done(Exit.fail(new SecretMissing({ reason: "too_long" })))
  })
  pipe.on("end", heard.end)
  pipe.on("close", heard.end)
  pipe.on("error", () => {
    heard.line(Exit.fail(new SecretMissing({ reason: "unreadable" })))
    heard.end()
  })
}

const secretIn = (line: string): Exit.Exit<string, SecretMissing> => {
  if (line.length < lengthMin) return Exit.fail(new SecretMissing({ reason: "too_short" }))
  if (line.length > lengthMax) return Exit.fail(new SecretMissing({ reason: "too_long" }))
  return Exit.succeed(line)
}

/**
 * Another process holds the pipe's other end, one that the parent has started, say: then it stays open. But
 * whoever loses its parent is given another one.
 */
const adopted = Effect.suspend(() => {
  const parent = process.ppid
  return Effect.sleep("1 second").pipe(Effect.repeat({ while: () => process.ppid === parent }), Effect.asVoid)
})
