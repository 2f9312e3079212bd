import { groupThreads, inListOrder } from "../model/shellView.ts"
import type { App } from "./app.ts"
import { toThread } from "./route.ts"
import type { Route } from "./route.ts"

/** To the next thread of the list, or the one before. */
export const stepThread = ({ client, go }: App, route: Route, by: 1 | -1) => {
  const { projects, threads } = client.shell.get()
  const list = inListOrder(groupThreads(projects, threads, false))
  const at = list.findIndex((row) => route.page === "thread" && row.threadId === route.threadId)
  const next = list[at === -1 ? (by === 1 ? 0 : list.length - 1) : at + by]
  if (next !== undefined) go(toThread(next.threadId))
}
