/** Which page is shown, in the part of the address that is not sent to the server. */
export type Route =
  | { readonly page: "new"; readonly projectId: string | null }
  /** `at`: the position of the entry that is looked for; null: the newest. */
  | { readonly page: "thread"; readonly threadId: string; readonly at: number | null }

/** A thread, at its newest. */
export const toThread = (threadId: string): Route => ({ page: "thread", threadId, at: null })

export const parseRoute = (hash: string): Route => {
  const [page, id, at] = hash.replace(/^#\/?/, "").split("/")
  const name = decoded(id ?? "")
  if (page === "thread" && name !== "") {
    return { page: "thread", threadId: name, at: /^\d{1,15}$/.test(at ?? "") ? Number(at) : null }
  }
  return { page: "new", projectId: page === "new" && name !== "" ? name : null }
}

export const hashOf = (route: Route): string => {
  if (route.page === "thread") {
    const at = route.at === null ? "" : `/${route.at}`
    return `#/thread/${encodeURIComponent(route.threadId)}${at}`
  }
  return route.projectId === null ? "#/" : `#/new/${encodeURIComponent(route.projectId)}`
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return ""
  }
}
