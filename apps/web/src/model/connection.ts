/** The connection in words: what it is, what it means, and the one thing to do. Pure. */
import type { BlockedReason, Connection } from "@turnkeeper/client"

export interface ConnectionFace {
  readonly state: "live" | "busy" | "offline" | "blocked"
  readonly words: string
  readonly advice: string | null
  readonly action: "retry" | "sign in" | "reload" | null
}

export const connectionFace = (connection: Connection, now: number): ConnectionFace => {
  switch (connection.status) {
    case "live":
      return { state: "live", words: "Live", advice: null, action: null }
    case "connecting":
      return { state: "busy", words: "Connecting…", advice: null, action: null }
    case "catching up":
      return { state: "busy", words: "Catching up", advice: null, action: null }
    case "offline": {
      const seconds = Math.max(0, Math.ceil((connection.retryAt - now) / 1000))
      return {
        state: "offline",
        words: seconds === 0 ? "Offline: trying again…" : `Offline: trying again in ${seconds} s`,
        advice: "What you write is kept and sent once when the connection is back.",
        action: "retry"
      }
    }
    case "blocked":
      return blockedFace(connection.reason)
    case "closed":
      return { state: "blocked", words: "Closed", advice: "Reload the page.", action: "reload" }
  }
}

const blockedFace = (reason: BlockedReason): ConnectionFace => {
  switch (reason.type) {
    case "signed_out":
      return { state: "blocked", words: "Signed out", advice: "Sign in again to go on.", action: "sign in" }
    case "wrong_version":
      return {
        state: "blocked",
        words: "Wrong version",
        advice:
          "This page and the server speak different versions. Reload the page; if that does not help, update the server.",
        action: "reload"
      }
    case "forbidden":
      return {
        state: "blocked",
        words: "Not allowed from here",
        advice: "The server does not allow this address. Open the one that it printed at its start.",
        action: null
      }
    case "another_server":
      return {
        state: "blocked",
        words: "Another server",
        advice: "Something else answers at this address. Start Turnkeeper there, then try again.",
        action: "retry"
      }
  }
}
