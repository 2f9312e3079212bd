/** What keeps a client out is said as data, and it does not knock on for nothing. */
import { Unauthorized } from "@turnkeeper/contracts/Errors"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { startFrameProxy } from "./support/FrameProxy.ts"
import { startTcpProxy } from "./support/TcpProxy.ts"
import { eventually, isStatus, live, patience, startWorld } from "./support/world.ts"
import type { World } from "./support/world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld()
}, patience.timeout)
afterEach(() => world.endTest())
afterAll(() => world.dispose())

const blocked = isStatus("blocked")

describe("a client that is not let in", patience, () => {
  it("says that it is signed out with a wrong token, and enters once it has the right one", async () => {
    let token = "wrong-token-of-some-length"
    const client = await world.client({ credential: { type: "token", token: () => token } })
    expect(await eventually(client.connection, blocked)).toMatchObject({ reason: { type: "signed_out" } })
    const refused = await client.call("providers.list", {}).catch((error: unknown) => error)
    expect(refused).toMatchObject({ _tag: "Blocked", reason: { type: "signed_out" } })
    token = await world.server.token()
    client.retryNow()
    await live(client)
    const providers = await client.call("providers.list", {})
    expect(providers.map((one) => one.id)).toEqual(["scripted"])
  })

  it("says so without a credential, and when no ticket is given to a page that is signed out", async () => {
    const without = await world.client({ credential: { type: "none" } })
    expect(await eventually(without.connection, blocked)).toMatchObject({ reason: { type: "signed_out" } })
    const ticket = () => Promise.reject(new Unauthorized())
    const page = await world.client({ credential: { type: "ticket", ticket } })
    expect(await eventually(page.connection, blocked)).toMatchObject({ reason: { type: "signed_out" } })
  })

  it("enters with a ticket, a new one for each connection", async () => {
    const token = await world.server.token()
    let tickets = 0
    const ticket = async () => {
      tickets += 1
      const headers = { authorization: `Bearer ${token}` }
      const response = await fetch(`${world.server.url}/auth/ticket`, { method: "POST", headers })
      return ((await response.json()) as { readonly ticket: string }).ticket
    }
    const proxy = await startTcpProxy(world.server.url)
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url, credential: { type: "ticket", ticket } })
    await live(client)
    proxy.cut()
    await eventually(client.connection, isStatus("offline"))
    await live(client)
    expect(tickets).toBe(2)
  })

  it("names both ranges when there is no version in common", async () => {
    const proxy = await startFrameProxy(world.server.url, (frame, direction) =>
      direction === "up"
        ? frame.replace('"protocol":{"min":1,"max":1}', '"protocol":{"min":7,"max":9}')
        : frame
    )
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url })
    expect(await eventually(client.connection, blocked)).toMatchObject({
      reason: { type: "wrong_version", client: { min: 7, max: 9 }, server: { min: 1 } }
    })
  })

  it("says that the server does not know itself by this name", async () => {
    const proxy = await startTcpProxy(world.server.url, { asItself: true })
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url })
    expect(await eventually(client.connection, blocked)).toMatchObject({
      reason: { type: "forbidden", header: "host" }
    })
  })

  it("tries again by itself while nobody answers, less and less often, and comes in when somebody does", async () => {
    const proxy = await startTcpProxy("http://127.0.0.1:9")
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url })
    const later = await eventually(
      client.connection,
      (state) => state.status === "offline" && state.attempt >= 3
    )
    expect(later).toMatchObject({ since: expect.any(Number) })
    proxy.to = world.server.url
    await live(client)
  })
})
