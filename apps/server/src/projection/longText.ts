/**
 * Outputs of any length in rows of a bounded one. A long text stands whole in the event that completed its
 * item, and there only; the row keeps its beginning and its end, which is what people look at first.
 */

/** UTF-16 units. What is not longer than `whole` is not cut. */
const bounds = { whole: 65_536, head: 16_384, tail: 16_384 } as const

export interface Shortened {
  readonly text: string
  /** `text` leaves out `length` units at `from`; null where it is whole. */
  readonly omitted: { readonly from: number; readonly length: number } | null
}

export const shortened = (text: string): Shortened => {
  if (text.length <= bounds.whole) return { text, omitted: null }
  const from = boundary(text, bounds.head)
  const to = boundary(text, text.length - bounds.tail)
  return { text: text.slice(0, from) + text.slice(to), omitted: { from, length: to - from } }
}

/** The place itself, or the one before where it would cut a character in two. */
const boundary = (text: string, at: number): number => {
  const unit = text.charCodeAt(at)
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at
}
