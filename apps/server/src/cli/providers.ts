/** `turnkeeper providers`: the configured ones, asked anew, and the schema of their settings file. */
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import { healthWords } from "@turnkeeper/contracts/Providers"
import { Effect } from "effect"
import { visit } from "./follow.ts"
import { printJson, terminal } from "./print.ts"

interface Options {
  readonly data: string
  readonly json: boolean
}

/** One line of a list: which, how it is, what to do. */
export const providerLine = ({ id, displayName, health, notice }: ProviderRow): string => {
  const more = [health.advice, notice].filter((words) => words !== null).join(" ")
  return `${id}  ${displayName}  ${healthWords(health)}${more === "" ? "" : `: ${more}`}`
}

export const listProviders = ({ data, json }: Options) =>
  Effect.map(
    visit(data, (client) => client["providers.list"]({})),
    (rows) => print(rows, json)
  )

/** Reads the settings file again and asks every provider anew. */
export const refreshProviders = ({ data, json }: Options) =>
  Effect.map(
    visit(data, (client) => client["providers.refresh"]({})),
    ({ providers, settingsProblem }) => {
      print(providers, json)
      if (settingsProblem !== null) terminal.note(`${settingsProblem}. The providers of before are used.`)
    }
  )

const print = (rows: ReadonlyArray<ProviderRow>, json: boolean) => {
  for (const row of rows) {
    if (json) printJson(row)
    else terminal.text(`${providerLine(row)}\n`)
  }
}

/** Needs no server. */
export const printSchema = Effect.gen(function* () {
  const { fileSchema } = yield* Effect.promise(() => import("../provider/configured.ts"))
  terminal.text(`${JSON.stringify(fileSchema, null, 2)}\n`)
})
