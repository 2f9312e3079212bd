/**
 * Where the text of a row stands: in the event that said it, and nowhere a second time. The row only names the
 * event. Of a long text it keeps the beginning and the end beside that, which is what people look at first.
 */
import { standsBeside } from "../store/EventLog.ts"

/** UTF-16 units. What is not longer than `whole` is not cut. */
const bounds = { whole: 65_536, head: 16_384, tail: 16_384 } as const

/** What a row has of a text. */
export interface RowText {
  /** The row's own: empty where the event's is meant, shortened where `omitted` says so. */
  readonly text: string
  /** Sequence of the event that has the whole; null where `text` is the whole. */
  readonly textAt: number | null
}

export interface Shortened extends RowText {
  /** `text` leaves out `length` units at `from`; null where nothing is left out. */
  readonly omitted: { readonly from: number; readonly length: number } | null
}

/** What an event of that sequence says, by a row without a bound. */
export const pointed = (text: string, sequence: number): RowText =>
  standsBeside(text) ? { text: "", textAt: sequence } : { text, textAt: null }

/** The same by a row of a bounded length. */
export const shortened = (text: string, sequence: number): Shortened => {
  if (text.length <= bounds.whole) return { ...pointed(text, sequence), omitted: null }
  const from = boundary(text, bounds.head)
  const to = boundary(text, text.length - bounds.tail)
  return {
    text: text.slice(0, from) + text.slice(to),
    textAt: sequence,
    omitted: { from, length: to - from }
  }
}

/** The place itself, or the one before where it would cut a character in two. */
const boundary = (text: string, at: number): number => {
  const unit = text.charCodeAt(at)
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at
}

/** Stands for any text that rows only name. */
export const standIn = "…"

/** Up to so many bytes a text stands beside what is read anyway. */
const besideBytes = 2_048

/**
 * SQL of an event's text as far as rows depend on it: a longer one that they only name need not be read. Bytes are
 * never fewer than units.
 */
export const textForRows = `CASE WHEN octet_length(text) > ${besideBytes} AND octet_length(text) <= ${bounds.whole}
    THEN '${standIn}' ELSE text END`

/** SQL of what is shown of the text. What was logged before texts stood beside their events has it in its JSON. */
export const textOf = (row: string): string => `coalesce(nullif(${row}.text, ''), (
    SELECT coalesce(events.text, events.payload ->> '$.text') FROM events WHERE events.sequence = ${row}.text_at
  ), '')`

/** SQL of how many bytes that is, at most, without reading them. */
export const textBytesOf = (row: string): string => `octet_length(${row}.text) + coalesce((
    SELECT coalesce(octet_length(events.text), octet_length(events.payload)) FROM events
    WHERE events.sequence = ${row}.text_at AND ${row}.text = ''
  ), 0)`
