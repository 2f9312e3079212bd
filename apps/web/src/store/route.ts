/** Which page is shown, in the part of the address that is not sent to the server. */
export type Route =
  | { readonly page: "new"; readonly projectId: string | null }
  | { readonly page: "thread"; readonly threadId: string }

export const parseRoute = (hash: string): Route => {
  const [page, id] = hash.replace(/^#\/?/, "").split("/")
  const name = decoded(id ?? "")
  if (page === "thread" && name !== "") return { page: "thread", threadId: name }
  return { page: "new", projectId: page === "new" && name !== "" ? name : null }
}

export const hashOf = (route: Route): string => {
  if (route.page === "thread") return `#/thread/${encodeURIComponent(route.threadId)}`
  return route.projectId === null ? "#/" : `#/new/${encodeURIComponent(route.projectId)}`
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return ""
  }
}
