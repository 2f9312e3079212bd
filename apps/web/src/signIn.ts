/** How this browser is let in: by a link that is good once, which the server turns into a cookie of its own. */
import { authPaths, ownHeader, pairPage } from "@turnkeeper/contracts/Access"

/** `failed`: the code is not good any more. `later`: too many tries. `unreachable`: the server did not answer. */
export type PairingEnd = "done" | "failed" | "later" | "unreachable"

/** The code of a pairing link; it is taken out of the address, so that it stays in no history. */
export const codeInAddress = (): string | null => {
  if (location.pathname !== pairPage) return null
  const code = decodeURIComponent(location.hash.slice(1))
  history.replaceState(null, "", "/")
  return code === "" ? null : code
}

/** The code of a link, or a code by itself. */
export const codeOf = (typed: string): string =>
  (typed.includes("#") ? (typed.split("#").at(-1) ?? "") : typed).trim()

export const pair = async (code: string): Promise<PairingEnd> => {
  const response = await post(authPaths.pair, { code, name: browserName() })
  if (response === null) return "unreachable"
  if (response.ok) return "done"
  return response.status === 429 ? "later" : response.status >= 500 ? "unreachable" : "failed"
}

/** A server that does not answer is no reason to be signed out: the app says that it is away. */
export const isSignedIn = async (): Promise<boolean> => {
  try {
    const response = await fetch(authPaths.session, { signal: AbortSignal.timeout(answerMillis) })
    if (!response.ok) return response.status >= 500
    const state: unknown = await response.json()
    return typeof state === "object" && state !== null && "signedIn" in state && state.signedIn === true
  } catch {
    return true
  }
}

export const signOut = async (): Promise<boolean> => (await post(authPaths.signOut, {}))?.ok === true

const answerMillis = 10_000

const post = async (path: string, body: unknown): Promise<Response | null> => {
  try {
    return await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", [ownHeader]: "1" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(answerMillis)
    })
  } catch {
    return null
  }
}

/** For the owner's list of who is signed in: which browser, on which system. */
const browserName = (): string => {
  const agent = navigator.userAgent
  const browser =
    ["Edg", "Firefox", "Chrome", "Safari"].find((name) => agent.includes(`${name}/`)) ?? "Browser"
  const system = ["Windows", "Mac OS", "Android", "iPhone", "Linux"].find((name) => agent.includes(name))
  const shown = browser === "Edg" ? "Edge" : browser
  return system === undefined ? shown : `${shown} on ${system}`
}
