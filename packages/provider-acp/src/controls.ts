/**
 * What an agent lets its user choose — its mode, its plan mode, its model — and what our words mean there.
 * Pure.
 *
 * An agent names its modes as it likes. A mode is found by the names that are in use for what we mean, or by
 * the name that the provider's configuration gives; where there is none the agent's own is left as it is, and
 * the user is told.
 */
import type { InteractionMode, RuntimeMode } from "@turnkeeper/domain/thread/Command"
import type { Model } from "@turnkeeper/provider-kit/Provider"
import { list, record, textOf } from "./protocol.ts"

/** One thing that can be chosen, and how it is said. */
export interface Selector {
  readonly via: { readonly type: "option"; readonly id: string } | { readonly type: "mode" | "model" }
  readonly options: ReadonlyArray<{ readonly id: string; readonly name: string }>
  readonly current: string | null
}

export interface Controls {
  readonly mode: Selector | null
  /** Where planning is a choice of its own; null where it is a mode, or not there. */
  readonly plan: Selector | null
  readonly model: Selector | null
}

export const none: Controls = { mode: null, plan: null, model: null }

const optionsMax = 500

/** From the answer that opened the conversation; what it does not say cannot be chosen. */
export const controlsOf = (opened: unknown): Controls => {
  const { modes, models, configOptions } = record(opened)
  const selectors = list(configOptions).flatMap(selectorOf)
  const of = (category: string) => selectors.find((one) => one.category === category)?.selector ?? null
  const mode = of("mode") ?? oldSelector("mode", record(modes), "availableModes", "id", "currentModeId")
  const planned = selectors.find(
    ({ selector, category }) =>
      selector !== mode && !notPlanning.has(category) && selector.options.some(({ id }) => isPlan(id))
  )
  return {
    mode,
    plan: mode?.options.some(({ id }) => isPlan(id)) === true ? null : (planned?.selector ?? null),
    model: of("model") ?? oldSelector("model", record(models), "availableModels", "modelId", "currentModelId")
  }
}

const notPlanning = new Set(["model", "model_config", "thought_level"])

const selectorOf = (
  option: unknown
): ReadonlyArray<{ readonly category: string; readonly selector: Selector }> => {
  const { id, type, category, currentValue, options } = record(option)
  const optionId = textOf(id)
  if (type !== "select" || optionId === null) return []
  // Values come in a list, or in a list of groups.
  const values = list(options).flatMap((one) => {
    const group = record(one)["options"]
    return Array.isArray(group) ? group : [one]
  })
  return [
    {
      category: textOf(category) ?? optionId,
      selector: {
        via: { type: "option", id: optionId },
        options: choices(values, "value"),
        current: textOf(currentValue)
      }
    }
  ]
}

/** Before there were options, modes and models had fields of their own. */
const oldSelector = (
  type: "mode" | "model",
  state: Record<string, unknown>,
  available: string,
  key: string,
  current: string
): Selector | null => {
  const options = choices(list(state[available]), key)
  return options.length === 0 ? null : { via: { type }, options, current: textOf(state[current]) }
}

const choices = (values: ReadonlyArray<unknown>, key: string): Selector["options"] =>
  values
    .map(record)
    .flatMap((value) => {
      const id = textOf(value[key])
      return id === null ? [] : [{ id, name: textOf(value["name"]) ?? id }]
    })
    .slice(0, optionsMax)

/** The agent told its options anew; one that it no longer names keeps what was known of it. */
export const afterOptions = (controls: Controls, configOptions: unknown): Controls => {
  const now = controlsOf({ configOptions })
  return {
    mode: now.mode ?? controls.mode,
    plan: now.plan ?? controls.plan,
    model: now.model ?? controls.model
  }
}

export const afterMode = (controls: Controls, current: string): Controls =>
  controls.mode === null ? controls : { ...controls, mode: { ...controls.mode, current } }

/** Known names of what we mean: the last part of a mode's id, in small letters, without its separators. */
const names: Record<RuntimeMode, ReadonlyArray<string>> = {
  // Who plans changes nothing either.
  read_only: ["readonly", "ask", "plan"],
  // A mode that only reads asks before it does anything else.
  approval_required: ["approvalrequired", "default", "manual", "readonly"],
  full_access: ["fullaccess", "agentfullaccess", "bypasspermissions", "dangerfullaccess", "yolo"]
}

const plain = (id: string): string =>
  (id.split(/[#/]/).at(-1) ?? "").toLowerCase().replaceAll(/[^a-z0-9]/g, "")

const isPlan = (id: string): boolean => plain(id) === "plan"

/** The names of the agent's modes where they are not the known ones. */
export type ModeNames = { readonly [Mode in RuntimeMode | "plan"]?: string | undefined }

export interface Wanted {
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
  readonly model: string | null
}

export interface Step {
  readonly what: "mode" | "plan" | "model"
  readonly selector: Selector
  readonly value: string
}

export interface Plan {
  readonly steps: ReadonlyArray<Step>
  /** The agent has a mode of its own for what the user allows. */
  readonly hasMode: boolean
  /** What cannot be had, in sentences for the user. */
  readonly missing: ReadonlyArray<string>
}

/** What to say to the agent so that it works as wanted. `first` is the mode that it began with. */
export const planOf = (
  controls: Controls,
  wanted: Wanted,
  modeNames: ModeNames,
  first: string | null
): Plan => {
  const planning = wanted.interactionMode === "plan"
  const ours = idOf(controls.mode, modeNames[wanted.runtimeMode], names[wanted.runtimeMode])
  const plan = planId(controls, modeNames)
  const mode = planning && plan?.what === "mode" ? plan.id : (ours ?? ownMode(controls.mode, first))
  const steps = [
    step("mode", controls.mode, mode),
    step("plan", controls.plan, planning && plan?.what === "plan" ? plan.id : otherThanPlan(controls.plan)),
    step("model", controls.model, wanted.model)
  ].filter((one) => one !== null)
  return {
    steps,
    hasMode: ours !== null,
    missing: [
      ...(ours === null && wanted.runtimeMode !== "full_access" ? [noMode[wanted.runtimeMode]] : []),
      ...(planning && plan === null
        ? ["This agent has no mode for planning: it works as it always does."]
        : []),
      ...(wanted.model !== null && controls.model === null ? ["This agent has no choice of models."] : [])
    ]
  }
}

const noMode = {
  read_only: "This agent has no mode that only reads: what it may do follows its own settings.",
  approval_required:
    "This agent has no mode that asks before everything: what it asks for follows its own settings."
}

const step = (what: Step["what"], selector: Selector | null, value: string | null): Step | null =>
  selector === null || value === null || selector.current === value ? null : { what, selector, value }

const idOf = (
  selector: Selector | null,
  named: string | undefined,
  known: ReadonlyArray<string>
): string | null => {
  if (selector === null) return null
  if (named !== undefined) return selector.options.some(({ id }) => id === named) ? named : null
  for (const name of known) {
    const option = selector.options.find(({ id }) => plain(id) === name)
    if (option !== undefined) return option.id
  }
  return null
}

const planId = (controls: Controls, { plan }: ModeNames): { what: "mode" | "plan"; id: string } | null => {
  const mode = idOf(controls.mode, plan, ["plan"])
  if (mode !== null) return { what: "mode", id: mode }
  const own = idOf(controls.plan, plan, ["plan"])
  return own === null ? null : { what: "plan", id: own }
}

/** The mode to go back to: the one that the agent began with, unless it began with planning. */
const ownMode = (selector: Selector | null, first: string | null): string | null =>
  first !== null && !isPlan(first) ? first : otherThanPlan(selector)

const otherThanPlan = (selector: Selector | null): string | null => {
  if (selector === null || selector.current === null || !isPlan(selector.current)) return null
  return selector.options.find(({ id }) => !isPlan(id))?.id ?? null
}

/** Is this model among those that the agent offers? An agent that offers no list is asked. */
export const offers = ({ model }: Controls, wanted: string): boolean =>
  model === null || model.options.some(({ id }) => id === wanted)

export const modelsOf = ({ model }: Controls): ReadonlyArray<Model> =>
  (model?.options ?? []).map(({ id, name }) => ({ id, name, isDefault: id === model?.current }))
