/** How the agent works now: its mode, whether it plans, and its model. It may choose by itself, too. */
import type { Model } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"
import * as Controls from "./controls.ts"
import { record, textOf } from "./protocol.ts"
import type { SessionContext } from "./SessionContext.ts"

export interface CurrentControls {
  /** Has the agent work as wanted. Gives what cannot be had, in sentences, each once. */
  readonly apply: (
    operation: "open" | "send",
    wanted: Controls.Wanted
  ) => Effect.Effect<ReadonlyArray<string>, ProviderError>
  /** What the agent says of its own choice in a `session/update`. */
  readonly note: (update: Record<string, unknown>) => void
  /** Everything is allowed, and the agent has no mode that says so. */
  readonly allowsAll: () => boolean
  readonly models: () => ReadonlyArray<Model>
}

export interface ControlsOptions {
  readonly controls: Controls.Controls
  readonly modeNames: Controls.ModeNames
}

type Operation = "open" | "send"

export const make = (context: SessionContext, options: ControlsOptions): CurrentControls => {
  const firstMode = options.controls.mode?.current ?? null
  const said = new Set<string>()
  let controls = options.controls
  let allowsAll = false

  const apply: CurrentControls["apply"] = (operation, wanted) =>
    Effect.gen(function* () {
      yield* offered(context, controls, operation, wanted)
      const plan = Controls.planOf(controls, wanted, options.modeNames, firstMode)
      const hasMode = yield* takeSteps(operation, wanted, plan)
      allowsAll = wanted.runtimeMode === "full_access" && wanted.interactionMode !== "plan" && !hasMode
      const news = plan.missing.filter((sentence) => !said.has(sentence))
      for (const sentence of news) said.add(sentence)
      return news
    })

  /** Whether the agent then has a mode of its own for what the user allows. */
  const takeSteps = (operation: Operation, wanted: Controls.Wanted, plan: Controls.Plan) =>
    Effect.gen(function* () {
      const { fail, wrap } = context
      let hasMode = plan.hasMode
      for (const step of plan.steps) {
        yield* choose(step).pipe(
          Effect.catchTag("Refused", (refused) => {
            // More freedom was not granted: what the agent asks for is allowed by us. Less must not be missed.
            if (step.what !== "mode" || wanted.runtimeMode !== "full_access") return Effect.fail(refused)
            hasMode = false
            return Effect.void
          }),
          // What could not be said before the prompt: the prompt itself was not sent.
          Effect.mapError((error) =>
            error._tag === "Refused" || operation === "open"
              ? wrap(operation)(error)
              : fail(operation, "Unavailable", error.message)
          )
        )
      }
      return hasMode
    })

  const choose = ({ what, selector: { via }, value }: Controls.Step) =>
    Effect.gen(function* () {
      const { connection, sessionId } = context
      const call = { deadline: context.deadlines.call }
      if (via.type === "option") {
        const { configOptions } = yield* connection
          .call("session/set_config_option", { sessionId, configId: via.id, value }, call)
          .pipe(Effect.map(record))
        controls = Controls.afterOptions(controls, configOptions)
      } else if (via.type === "mode") {
        yield* connection.call("session/set_mode", { sessionId, modeId: value }, call)
      } else {
        yield* connection.call("session/set_model", { sessionId, modelId: value }, call)
      }
      const selector = controls[what]
      if (selector !== null) controls = { ...controls, [what]: { ...selector, current: value } }
    })

  return {
    apply,
    note: (update) => {
      controls = afterUpdate(controls, update)
    },
    allowsAll: () => allowsAll,
    models: () => Controls.modelsOf(controls)
  }
}

const offered = (
  { fail }: SessionContext,
  controls: Controls.Controls,
  operation: Operation,
  { model }: Controls.Wanted
) => {
  if (model === null || Controls.offers(controls, model)) return Effect.void
  const ids = Controls.modelsOf(controls).map(({ id }) => id)
  return Effect.fail(
    fail(
      operation,
      "Rejected",
      `This agent does not offer the model "${model}". It offers: ${ids.slice(0, 20).join(", ")}.`
    )
  )
}

const afterUpdate = (controls: Controls.Controls, update: Record<string, unknown>): Controls.Controls => {
  const mode = textOf(update["currentModeId"])
  if (update["sessionUpdate"] === "current_mode_update" && mode !== null)
    return Controls.afterMode(controls, mode)
  if (update["sessionUpdate"] === "config_option_update")
    return Controls.afterOptions(controls, update["configOptions"])
  return controls
}
