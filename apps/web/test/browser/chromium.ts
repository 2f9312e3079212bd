/** The browser of the tests. */
import { existsSync } from "node:fs"

/** Where Debian, Ubuntu, Fedora, macOS and Windows keep it; TURNKEEPER_CHROMIUM comes first. */
const places = [
  process.env["TURNKEEPER_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe"
]

/** Null: none is installed. */
export const findChromium = (): string | null =>
  places.find((place) => place !== undefined && place !== "" && existsSync(place)) ?? null
