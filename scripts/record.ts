/**
 * `npm run conformance -- record ADAPTER [SCENE …] [--into DIRECTORY]`: new transcripts of the real program
 * against the fake model, without a secret or a place of this machine in them. Into a new directory when none
 * is named; nothing is put over what tests replay until somebody has read it and copied it there.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { ProviderInstanceId } from "../packages/domain/src/ids.ts"
import type { Provider } from "../packages/provider-kit/src/Provider.ts"
import { defaultPrompts } from "../packages/provider-kit/src/testing/conformance.ts"
import type { Prompts } from "../packages/provider-kit/src/testing/conformance.ts"
import { makeRecorder, playScene, scenes } from "../packages/provider-kit/src/testing/recorder.ts"
import type { Neutral, Tap } from "../packages/provider-kit/src/testing/recorder.ts"
import type { ProviderWorld } from "../packages/testkit/src/providerRig.ts"

interface Subject {
  readonly provider: Provider
  readonly cwd: string
}

/** A real program with a world of its own, whose places are told before anything is heard. */
interface Stage {
  readonly prompts: Prompts
  readonly make: (world: {
    readonly tap: Tap
    readonly hide: (more: Neutral) => void
  }) => Effect.Effect<Subject, never, Scope.Scope>
}

/** Loaded when they are wanted: the programs they need are named by the environment, which is set before. */
const stages: Readonly<Record<string, () => Promise<Stage>>> = {
  codex: async () =>
    stageOf(
      await import("../packages/provider-codex/src/Codex.ts"),
      await import("../packages/provider-codex/test/real.ts")
    ),
  opencode: async () =>
    stageOf(
      await import("../packages/provider-opencode/src/OpenCode.ts"),
      await import("../packages/provider-opencode/test/real.ts")
    ),
  example: async () => {
    const Example = await import("../packages/provider-example/src/Example.ts")
    const { prompts } = await import("../packages/provider-example/test/prompts.ts")
    return {
      prompts: { ...defaultPrompts, ...prompts },
      make: ({ tap, hide }) =>
        Effect.gen(function* () {
          const directory = yield* temporary
          hide(placesOf({ directory, project: directory }))
          const provider = yield* Example.make({
            instanceId: ProviderInstanceId.make("example"),
            ledgerDirectory: join(directory, "processes"),
            stateDirectory: join(directory, "record"),
            tap
          })
          return { provider, cwd: directory }
        })
    }
  }
}

/** An adapter in the surroundings of its own tests of the real program. */
const stageOf = <Options extends object>(
  adapter: { readonly make: (options: Options) => Effect.Effect<Provider, never, Scope.Scope> },
  rig: { readonly makeWorld: () => Effect.Effect<ProviderWorld<Options>, never, Scope.Scope> }
): Stage => ({
  prompts: defaultPrompts,
  make: ({ tap, hide }) =>
    Effect.gen(function* () {
      const world = yield* rig.makeWorld()
      hide(placesOf(world))
      return { provider: yield* adapter.make({ ...world.options, tap }), cwd: world.project }
    })
})

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-recorded-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const placesOf = (world: { readonly directory: string; readonly project: string }): Neutral => ({
  places: [
    [world.project, "/home/user/project"],
    [world.directory, "/home/user"],
    [join(import.meta.dirname, ".."), "/home/user/turnkeeper"]
  ]
})

/** Which adapters can be recorded. */
export const recordable = Object.keys(stages)

/** The transcript of one scene. */
const recorded = (stage: Stage, name: string) =>
  Effect.gen(function* () {
    const scene = scenes(stage.prompts)[name]
    if (scene === undefined) throw new Error(`There is no scene "${name}".`)
    let recorder = makeRecorder()
    const { provider, cwd } = yield* stage.make({
      tap: (direction, line) => recorder.tap(direction, line),
      hide: (neutral) => {
        recorder = makeRecorder(neutral)
      }
    })
    yield* playScene(provider, cwd, scene)
    return recorder.transcript()
  }).pipe(Effect.scoped)

export const record = async (adapter: string, rest: ReadonlyArray<string>): Promise<number> => {
  const stage = await stages[adapter]?.()
  if (stage === undefined) {
    console.error(`Which adapter? npm run conformance -- record ${recordable.join(" | ")}`)
    return 2
  }
  const at = rest.indexOf("--into")
  const into = at < 0 ? mkdtempSync(join(tmpdir(), `transcripts-${adapter}-`)) : resolve(rest[at + 1] ?? ".")
  const named = at < 0 ? rest : rest.toSpliced(at, 2)
  mkdirSync(into, { recursive: true })
  for (const name of named.length > 0 ? named : Object.keys(scenes(stage.prompts))) {
    const transcript = await Effect.runPromise(recorded(stage, name))
    writeFileSync(join(into, `${name}.jsonl`), transcript)
    console.log(`${join(into, `${name}.jsonl`)}: ${transcript.split("\n").length - 1} lines`)
  }
  return 0
}
