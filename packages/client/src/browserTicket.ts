/** How a page that has signed in gets into the WebSocket: by a ticket that its cookie buys. */
import { authPaths, ownHeader, Ticket } from "@turnkeeper/contracts/Access"
import { Forbidden, Unauthorized } from "@turnkeeper/contracts/Errors"
import { Schema } from "effect"

const decode = Schema.decodeUnknownSync(Ticket)

/**
 * `url`: the server's, e.g. `location.origin`. Each call asks for a ticket for one connection. Rejects with
 * `Unauthorized` when the page is signed out, with `Forbidden` when its address is not the server's own.
 */
export const browserTicket = (url: string) => async (): Promise<string> => {
  const response = await fetch(new URL(authPaths.ticket, url), {
    method: "POST",
    credentials: "include",
    headers: { [ownHeader]: "1" },
    signal: AbortSignal.timeout(ticketMillis)
  })
  if (response.status === 401) throw new Unauthorized()
  if (response.status === 403) throw new Forbidden({ header: "origin" })
  if (!response.ok) throw new Error(`The server gave no ticket: HTTP status ${response.status}.`)
  return decode(await response.json()).ticket
}

const ticketMillis = 10_000
