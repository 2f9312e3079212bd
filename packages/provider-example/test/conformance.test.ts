/** The suite that defines an adapter, on the real program. */
import { it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { conformance, type Driver } from "@turnkeeper/provider-kit/testing/conformance"
import { marked } from "@turnkeeper/provider-kit/processes"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Example from "../src/Example.ts"
import { prompts } from "./prompts.ts"

interface Subject {
  readonly provider: Provider
  readonly ledgerDirectory: string
}

const runMark = "EXAMPLE_RUN"

/** The processes on the ledger: those that run. */
const pids = ({ ledgerDirectory }: Subject) =>
  readdirSync(ledgerDirectory).map((name) => Number(/\.(\d+)\.json$/.exec(name)?.[1]))

const driver: Driver<Subject> = {
  capabilities: Example.capabilities,
  make: Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "example-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    const ledgerDirectory = join(directory, "processes")
    const provider = yield* Example.make({
      instanceId: ProviderInstanceId.make("example"),
      ledgerDirectory,
      stateDirectory: join(directory, "record"),
      env: { [runMark]: ledgerDirectory }
    })
    return { provider, ledgerDirectory }
  }),
  kill: (subject) =>
    Effect.sync(() => {
      for (const pid of pids(subject)) process.kill(pid, "SIGKILL")
    }),
  // Whatever the agents start inherits the mark, and is found by it wherever it has gone.
  survivors: (subject) =>
    Effect.sync(() =>
      marked(runMark, subject.ledgerDirectory)
        .filter(({ pid }) => !pids(subject).includes(pid))
        .map(({ pid }) => String(pid))
    ),
  patience: { clock: "real", deadlineMs: 30_000 },
  cwd: tmpdir(),
  prompts
}

conformance("example", driver, it)
