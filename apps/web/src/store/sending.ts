/** Messages on their way: what was written is never lost, wherever it is refused. */
import type { Receipt } from "@turnkeeper/client"
import { failureNotice } from "./app.ts"
import type { App } from "./app.ts"
import { setDraft } from "./browser.ts"

/**
 * What becomes of a message is shown where it stands: the outbox keeps one that the server refuses, with its
 * reason. One that the outbox did not take goes back to where it was written.
 */
export const watchSend = (app: App, receipt: Receipt, place: string, text: string): void => {
  const { browser, client, notify } = app
  const wait = async () => {
    try {
      await receipt
    } catch (error) {
      const tag = typeof error === "object" && error !== null && "_tag" in error ? error._tag : null
      const kept = client.outbox.get().entries.some((entry) => entry.commandId === receipt.commandId)
      if (kept || tag === "Discarded" || tag === "Closed") return
      addToDraft(browser, place, text)
      notify(failureNotice(error))
    }
  }
  void wait()
}

/** Behind what is typed there already. */
export const addToDraft = (browser: App["browser"], place: string, text: string): void => {
  const typed = browser.drafts.get()[place] ?? ""
  setDraft(browser, place, typed.trim() === "" ? text : `${typed}\n\n${text}`)
}
