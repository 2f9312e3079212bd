/** The record against a real SIGKILL of a real process. */
import { assert, it } from "@effect/vitest"
import { MessageId, ProviderInstanceId, TurnId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { readReceived } from "../src/testing/record.ts"
import { makeScripted } from "../src/testing/ScriptedProvider.ts"

it.live("every prompt acknowledged before a SIGKILL is in the record, once", () =>
  Effect.gen(function* () {
    const recordDirectory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-record-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
    )
    const acknowledged = yield* Effect.promise((signal) => killedAfter(50, recordDirectory, signal))
    assert.ok(acknowledged.length >= 50)

    const received = readReceived(recordDirectory).map((prompt) => prompt.turnId as string)
    assert.strictEqual(new Set(received).size, received.length)
    // The last prompt may have arrived without its acknowledgement getting out.
    assert.deepEqual(
      received.slice(0, acknowledged.length),
      acknowledged.map(({ turn }) => turn)
    )
    assert.ok(received.length <= acknowledged.length + 1)

    const { provider } = makeScripted({ instanceId: ProviderInstanceId.make("scripted"), recordDirectory })
    const { turn, resume } = acknowledged[0]!
    const query = { resume, turnId: TurnId.make(turn), messageId: MessageId.make("message-1") }
    const evidence = yield* provider.evidence(query)
    assert.ok(evidence.type === "found" && !evidence.running && evidence.outcome === "completed")
  })
)

/** Runs the sender and kills it in the middle of its work; what it acknowledged until then. */
const killedAfter = async (count: number, recordDirectory: string, signal: AbortSignal) => {
  const sender = join(import.meta.dirname, "fixtures", "sender.ts")
  const child = spawn(process.execPath, [sender, recordDirectory], {
    stdio: ["ignore", "pipe", "inherit"],
    signal,
    killSignal: "SIGKILL"
  })
  const closed = once(child, "close")
  const acknowledged: Array<{ readonly turn: string; readonly resume: string }> = []
  for await (const line of createInterface({ input: child.stdout })) {
    const [turn = "", resume = ""] = line.split(" ")
    acknowledged.push({ turn, resume })
    if (acknowledged.length === count) child.kill("SIGKILL")
  }
  await closed
  return acknowledged
}
