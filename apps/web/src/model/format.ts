/** Numbers and times as people read them. Pure. */

/** `1.2 s`, `14 s`, `2 m 05 s`, `1 h 04 m`: how long something took. */
export const tookWords = (milliseconds: number): string => {
  const seconds = Math.max(0, milliseconds) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} m`
}

const pad = (value: number) => String(value).padStart(2, "0")

/** `1 file`, `3 files`. */
export const countWords = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

/** The time of day, with the date where it is not today. */
export const timeWords = (at: number, now: number, locale?: string): string => {
  const date = new Date(at)
  const today = new Date(now)
  const time = date.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" })
  if (date.toDateString() === today.toDateString()) return time
  return `${date.toLocaleDateString(locale, { day: "numeric", month: "short" })}, ${time}`
}

/** The end of a path, which is what tells folders apart. */
export const shortPath = (path: string, parts = 2): string => {
  const all = path.split(/[\\/]/).filter((part) => part !== "")
  return all.length <= parts ? path : `…/${all.slice(-parts).join("/")}`
}

/** The first line of a message, as the title of its thread. */
export const titleFrom = (text: string, length = 60): string => {
  const words = text.trim().replaceAll(/\s+/g, " ")
  if (words === "") return "New thread"
  if (words.length <= length) return words
  const cut = words.slice(0, length)
  const blank = cut.lastIndexOf(" ")
  return `${blank > length / 2 ? cut.slice(0, blank) : cut}…`
}
