/**
 * A desktop app around Turnkeeper, as small as it can be: one window with the web client, and the server as
 * a child of the app.
 */
import { app, BrowserWindow, dialog, shell } from "electron"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { keepServer, signInLink } from "./serverProcess.mjs"

const serverMain =
  process.env["TURNKEEPER_MAIN"] ?? join(import.meta.dirname, "../../apps/server/dist/main.js")
const dataDirectory = process.env["TURNKEEPER_HOME"] ?? join(app.getPath("home"), ".turnkeeper")

let window = null
let server = null

const openWindow = () => {
  window = new BrowserWindow({
    width: 1280,
    height: 860,
    webPreferences: { sandbox: true, contextIsolation: true, nodeIntegration: false }
  })
  // The window shows our server and nothing else; links go to the browser.
  window.webContents.setWindowOpenHandler(({ url }) => {
    if (url.startsWith("https:")) void shell.openExternal(url)
    return { action: "deny" }
  })
  window.webContents.on("will-navigate", (event, url) => {
    if (new URL(url).origin !== new URL(window.webContents.getURL()).origin) event.preventDefault()
  })
  window.on("closed", () => (window = null))
}

const show = async (url, token) => {
  if (window === null) openWindow()
  await window.loadURL(await signInLink(url, token))
}

const onState = (state) => {
  switch (state.type) {
    case "ready":
      return void show(state.url, state.secret).catch(complain)
    case "in_use":
      // Somebody has started one in a terminal, say. Its token is in the directory, for the same user.
      return void readFile(join(dataDirectory, "token"), "utf8")
        .then((token) => show(state.url, token.trim()))
        .catch(complain)
    case "failed":
      return complain(new Error(state.reason))
  }
}

const complain = (error) => dialog.showErrorBox("Turnkeeper", error.message)

if (!app.requestSingleInstanceLock()) app.quit()
else {
  app.on("second-instance", () => window?.focus())
  app.on("window-all-closed", () => app.quit())
  // Quitting waits for the server: what runs is ended in order.
  let isStopped = false
  app.on("before-quit", (event) => {
    if (isStopped || server === null) return
    event.preventDefault()
    void server.stop().finally(() => {
      isStopped = true
      app.quit()
    })
  })
  await app.whenReady()
  server = keepServer({
    command: process.execPath,
    // As `npm start` does: it then holds half the memory under load.
    args: ["--max-semi-space-size=4", "--heap-growing-percent=100", serverMain],
    dataDirectory,
    // Electron's own program is Node when it is told so.
    env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" },
    onState
  })
}
