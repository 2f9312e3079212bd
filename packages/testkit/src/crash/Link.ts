/**
 * The connection of many users to a server that dies again and again. A command that lost its connection
 * is sent again over the next one, with the same command id: so the server may have taken it before, and
 * must then take it once only.
 */
import { dispatch, newId } from "../Chat.ts"
import type { Accepted, Sendable } from "../Chat.ts"
import { ConnectionClosed } from "../jsonrpc/Client.ts"
import type { Client } from "../jsonrpc/Client.ts"

/** No more connections: the run is over. */
export class RunOver extends Error {
  override readonly name = "RunOver"
}

export class Link {
  private current = Promise.withResolvers<Client>()
  private live: Client | null = null
  private over = false
  /** Commands that had to be sent more than once. */
  repeated = 0

  constructor() {
    // Nobody may be waiting when the run ends; that is no error of its own.
    this.current.promise.catch(() => {})
  }

  /** The connection, as soon as there is one. */
  client(): Promise<Client> {
    return this.current.promise
  }

  up(client: Client) {
    this.live = client
    this.current.resolve(client)
    void this.watch(client)
  }

  private async watch(client: Client) {
    await client.closed
    if (this.live === client) this.down()
  }

  /** Who waits for a connection, now or later, gets `RunOver`. */
  end() {
    this.over = true
    const waiting = this.current
    this.down()
    waiting.reject(new RunOver("The run is over."))
  }

  /** Resolves with the acknowledgement; rejects with the server's typed refusal, or at the end of the run. */
  async send(command: Sendable): Promise<Accepted> {
    const again = { commandId: newId("command"), ...command }
    for (;;) {
      const client = await this.client()
      try {
        return await dispatch(client, again)
      } catch (error) {
        if (!(error instanceof ConnectionClosed)) throw error
        this.repeated += 1
        // The connection ends for everybody a moment later; until then it must not be used again.
        await client.closed
      }
    }
  }

  private down() {
    this.live = null
    this.current = Promise.withResolvers()
    this.current.promise.catch(() => {})
    if (this.over) this.current.reject(new RunOver("The run is over."))
  }
}
