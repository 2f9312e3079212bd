/**
 * A plan as a file that can be kept: JSON, one line for what holds for the whole run, then one for each step.
 * What an older file does not name was not there when it was written, and is friendly.
 */
import { readFileSync } from "node:fs"
import { friendly } from "./Hostile.ts"
import type { Plan, Step } from "./plan.ts"

export const planText = ({ seed, setting, steps }: Plan): string =>
  [{ seed, setting }, ...steps].map((line) => `${JSON.stringify(line)}\n`).join("")

/** Throws where the file is none, or holds no plan. */
export const readPlan = (file: string): Plan => planFrom(readFileSync(file, "utf8"))

export const planFrom = (text: string): Plan => {
  const [first, ...steps] = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line): unknown => JSON.parse(line))
  if (!isHead(first)) throw new Error("The first line of a plan has its seed and its setting")
  const wrong = steps.findIndex((step) => !isStep(step))
  if (wrong !== -1) throw new Error(`Line ${wrong + 2} of the plan is no step: it has a deed and a pause`)
  const { seed, setting } = first
  const hostility = { ...friendly, ...setting.hostility }
  return { seed, setting: { ...setting, hostility }, steps: steps as ReadonlyArray<Step> }
}

const isHead = (line: unknown): line is Pick<Plan, "seed" | "setting"> =>
  has(line, "seed") && typeof line.seed === "number" && has(line, "setting") && has(line.setting, "providers")

const isStep = (line: unknown): line is Step =>
  has(line, "deed") && has(line.deed, "type") && has(line, "pause") && has(line.pause, "type")

const has = <Name extends string>(value: unknown, name: Name): value is { readonly [Key in Name]: unknown } =>
  typeof value === "object" && value !== null && name in value
