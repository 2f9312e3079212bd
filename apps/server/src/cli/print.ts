/**
 * How a thread looks on a terminal: the conversation on standard output, everything else on standard
 * error, so that `turnkeeper send … > answer.txt` keeps the answer and nothing but the answer.
 */
import type { Entry } from "@turnkeeper/contracts/Rows"
import type { ThreadItem } from "@turnkeeper/contracts/Streams"
import { turnEndWords } from "@turnkeeper/contracts/Words"
import type { TurnId } from "@turnkeeper/domain/ids"

export interface Output {
  readonly text: (text: string) => void
  readonly note: (line: string) => void
}

export const terminal: Output = {
  text: (text) => void process.stdout.write(text),
  note: (line) => void process.stderr.write(`${line}\n`)
}

/** One JSON document per line, for programs. */
export const printJson = (value: unknown) => void process.stdout.write(`${JSON.stringify(value)}\n`)

export interface Printer {
  readonly show: (item: ThreadItem) => void
  /** Ends the line that is being written. */
  readonly finish: () => void
}

/** Prints one turn, or the whole thread where `only` is null. Text that comes twice is printed once. */
export const makePrinter = (only: TurnId | null, out: Output): Printer => {
  /** Open items that are shown: how much of their text was printed. */
  const shown = new Map<string, number>()
  const done = new Set<string>()
  let line: string | null = null

  const finish = () => {
    if (line !== null) out.text("\n")
    line = null
  }
  const note = (words: string) => {
    finish()
    out.note(words)
  }
  const text = (id: string, offset: number, more: string) => {
    const printed = shown.get(id)
    if (printed === undefined) return
    const fresh = more.slice(Math.max(0, printed - offset))
    if (fresh === "") return
    if (line !== id) finish()
    line = id
    shown.set(id, Math.max(printed, offset + more.length))
    out.text(fresh)
  }
  const entry = (row: Entry) => {
    if ((only !== null && row.turnId !== only) || done.has(row.id)) return
    if (row.status !== "open") done.add(row.id)
    if (row.type === "item") return note(`· ${row.title === "" ? row.kind : row.title}`)
    if (row.role === "user" && only === null) return note(`> ${row.text}`)
    if (row.role !== "assistant") return
    if (!shown.has(row.id)) shown.set(row.id, 0)
    text(row.id, 0, row.text)
    if (row.status !== "open") finish()
  }

  const event = (event: Extract<ThreadItem, { readonly type: "event" }>["event"]) => {
    if (event.type === "unknown") return
    if ("turnId" in event && only !== null && event.turnId !== only) return
    switch (event.type) {
      case "turn.queued":
        if (only === null) note(`> ${event.text}`)
        return
      case "item.started":
        if (event.kind === "assistant_message") shown.set(event.itemId, 0)
        else if (event.kind !== "reasoning") note(`· ${event.title === "" ? event.kind : event.title}`)
        return
      case "item.completed":
        if (done.has(event.itemId)) return
        done.add(event.itemId)
        text(event.itemId, 0, event.text)
        shown.delete(event.itemId)
        if (line === event.itemId) finish()
        return
      case "session.recovering":
        return note(`Reconnecting: ${event.message}`)
      case "session.stop_failed":
        return note(`The session could not be stopped: ${event.message}`)
      case "turn.interrupt_requested":
        return note("Stopping…")
      case "turn.settled":
        // Who follows one turn is told of its end by the command itself.
        if (only !== null) return finish()
        return note(
          turnEndWords({ state: event.state, delivered: event.delivery, reason: event.reason }) ?? event.state
        )
      case "notice.recorded":
        return note(event.message)
    }
  }

  return {
    finish,
    show: (item) => {
      switch (item.type) {
        case "snapshot":
          return item.entries.forEach(entry)
        case "event":
          return event(item.event)
        case "delta":
          return text(item.itemId, item.offset, item.text)
      }
    }
  }
}
