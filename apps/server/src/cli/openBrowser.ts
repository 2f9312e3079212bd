/**
 * Opens a page in the user's browser, where there is one and somebody sits before it.
 *
 * It is a comfort and never more: the link is printed as well, and nothing here fails.
 */
import { spawn } from "node:child_process"

export interface Surroundings {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  /** Somebody reads what is printed. */
  readonly isTerminal: boolean
}

export interface Opener {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/** What opens the address; null where that would open nothing, or something on another machine's screen. */
export const openerOf = (url: string, { platform, env, isTerminal }: Surroundings): Opener | null => {
  const isSet = (name: string) => (env[name] ?? "") !== ""
  if (!isTerminal || isSet("TURNKEEPER_NO_OPEN") || isSet("CI") || isSet("SSH_CONNECTION")) return null
  switch (platform) {
    case "darwin":
      return { command: "open", args: [url] }
    case "win32":
      return { command: "rundll32", args: ["url.dll,FileProtocolHandler", url] }
    default:
      return isSet("DISPLAY") || isSet("WAYLAND_DISPLAY") ? { command: "xdg-open", args: [url] } : null
  }
}

export const openBrowser = (url: string): void => {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY
  const opener = openerOf(url, { platform: process.platform, env: process.env, isTerminal })
  if (opener === null) return
  const child = spawn(opener.command, opener.args, { stdio: "ignore", detached: true })
  child.on("error", () => {})
  child.unref()
}
