/** The echo of `echo.ts` as a process of its own, with a client to it. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

export interface Echo {
  readonly exchange: (text: string) => Promise<void>
  readonly end: () => Promise<void>
}

export const startEcho = async (): Promise<Echo> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "echo.ts")], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const [port] = (await once(child.stdout, "data")) as [Buffer]
  const socket = new WebSocket(`ws://127.0.0.1:${Number(port.toString())}`)
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }))
  return {
    exchange: (text) =>
      new Promise((resolve) => {
        socket.addEventListener("message", () => resolve(), { once: true })
        socket.send(text)
      }),
    end: async () => {
      socket.close()
      child.kill("SIGKILL")
      await once(child, "exit")
    }
  }
}
