/**
 * The table of `docs/providers.md`: what each provider can do, as the conformance suite found it.
 *
 * A cell says `yes` when every check that could be tried has passed, `no` when the provider cannot do that at
 * all, `not tried` when nobody can make it do that here, and names what is known to be otherwise.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  notCapable,
  notNeeded,
  notProvoked,
  scenarioOf,
  scenarios
} from "../packages/provider-kit/src/testing/conformance.ts"
import type { TestResult } from "./vitestRun.ts"

const begin = "<!-- The table: made by `npm run test:providers -- --write`. -->"
const end = "<!-- The end of the table. -->"

interface Tried {
  readonly provider: string
  readonly scenario: string
  readonly status: string
  /** Why it was left out, where it was. */
  readonly reason: string | null
}

/** `PROVIDER: CHECK` or `PROVIDER: CHECK (REASON)`, as the suite names its tests; null for any other test. */
const triedIn = ({ name, status }: TestResult): Tried | null => {
  const at = name.indexOf(": ")
  const provider = name.slice(0, at)
  const rest = name.slice(at + 2)
  const whole = scenarioOf.get(rest)
  if (at > 0 && whole !== undefined) return { provider, scenario: whole, status, reason: null }
  const check = [...scenarioOf.keys()].find((known) => rest.startsWith(`${known} (`) && rest.endsWith(")"))
  if (at <= 0 || check === undefined) return null
  return { provider, scenario: scenarioOf.get(check)!, status, reason: rest.slice(check.length + 2, -1) }
}

const cellOf = (tried: ReadonlyArray<Tried>): string => {
  if (tried.some(({ status }) => status === "failed")) return "**fails**"
  const reasons = tried.flatMap(({ reason }) => reason ?? [])
  const known = [notCapable, notProvoked, notNeeded]
  const exceptions = reasons.filter((reason) => known.every((prefix) => !reason.startsWith(prefix)))
  const passed = tried.some(({ status }) => status === "passed")
  if (!passed && exceptions.length === 0) {
    return reasons.some((reason) => reason.startsWith(notCapable)) ? "no" : "not tried"
  }
  return [passed ? "yes" : "no", ...new Set(exceptions)].join("; ")
}

const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

export const tableOf = (results: ReadonlyArray<TestResult>): string => {
  const tried = results.flatMap((result) => triedIn(result) ?? [])
  const providers = [...new Set(tried.map(({ provider }) => provider))].toSorted()
  const rows = scenarios.map((scenario) => [
    scenario,
    ...providers.map((provider) =>
      cellOf(tried.filter((one) => one.provider === provider && one.scenario === scenario))
    )
  ])
  return [["", ...providers], ["---", ...providers.map(() => "---")], ...rows].map(line).join("\n")
}

/** The page with this table in the place of the one it has. */
export const withTable = (page: string, table: string): string => {
  const [before, after] = [page.indexOf(begin), page.indexOf(end)]
  if (before < 0 || after < before) throw new Error("The page has no place for the table.")
  return `${page.slice(0, before + begin.length)}\n\n${table}\n\n${page.slice(after)}`
}

const page = join(import.meta.dirname, "..", "docs", "providers.md")

/** Prints the table. Says whether the page has the same one, or has it now. */
export const tellTable = (results: ReadonlyArray<TestResult>, isWriting: boolean): boolean => {
  const table = tableOf(results)
  const before = readFileSync(page, "utf8")
  console.log(`\n${table}\n`)
  if (sameTable(before, table)) return true
  if (isWriting) writeFileSync(page, withTable(before, table))
  else console.log("docs/providers.md says something else: npm run test:providers -- --write")
  return isWriting
}

/** Compares cells, whatever a formatter did to the spaces between them. */
export const sameTable = (page: string, table: string): boolean =>
  squeezed(withTable(page, table)) === squeezed(page)

const squeezed = (text: string) => text.replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---")
