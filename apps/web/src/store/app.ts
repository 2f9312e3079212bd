/** What every part of the page can reach: the client, what this browser remembers, and the page's own voice. */
import type { Client } from "@turnkeeper/client"
import { refusalWords } from "@turnkeeper/contracts/Words"
import { createContext, useContext } from "react"
import type { BrowserStore } from "./browser.ts"
import type { Route } from "./route.ts"

export interface Notice {
  readonly id: number
  readonly tone: "failure" | "info"
  readonly text: string
  /** The tag and fields of an error: for "Details". */
  readonly details: string | null
}

export interface App {
  readonly client: Client
  readonly browser: BrowserStore
  readonly go: (route: Route) => void
  /** A sentence at the edge of the page, read out to who does not see it. */
  readonly notify: (notice: Omit<Notice, "id">) => void
  /** Waits for a command; what it is refused with is told in words. `onDone`: only when it was accepted. */
  readonly attempt: (command: Promise<unknown>, onDone?: () => void) => void
  readonly openPalette: () => void
}

export const AppContext = createContext<App | null>(null)

export const useApp = (): App => {
  const app = useContext(AppContext)
  if (app === null) throw new Error("This part of the page stands outside of the app.")
  return app
}

/** The words and the details of whatever a promise was rejected with. */
export const failureNotice = (error: unknown): Omit<Notice, "id"> => {
  const tagged = typeof error === "object" && error !== null && "_tag" in error ? error : null
  if (tagged === null || typeof tagged._tag !== "string") {
    return { tone: "failure", text: "Something went wrong in this page.", details: String(error) }
  }
  return { tone: "failure", text: refusalWords({ _tag: tagged._tag }), details: detailsOf(tagged) }
}

const detailsOf = (error: object): string => {
  const fields = Object.entries(error).filter(
    ([name]) => name !== "stack" && name !== "message" && name !== "cause"
  )
  return JSON.stringify(Object.fromEntries(fields), null, 2)
}
