/**
 * Every bound of the protocol, in one place. The server keeps them and tells them in its hello, so that
 * a client can stay below them instead of running into them.
 */
export const limits = {
  /** Bytes of one frame from a client. A larger one closes the connection (close code 1009). */
  frameBytes: 4 * 1024 * 1024,
  /** Nesting of arrays and objects in one frame. */
  nesting: 64,
  /** Calls of one connection that are not yet answered. */
  callsInFlight: 64,
  /** Open subscriptions of one connection. */
  subscriptions: 64,
  /** Events a subscription catches up one by one; a wider gap is answered with a snapshot. */
  gapEvents: 1_000,
  gapBytes: 1024 * 1024,
  /** Newest entries of a snapshot, when the client does not say how many. */
  tail: 75,
  /** At most so many, whatever the client says. */
  tailMax: 500,
  /** Entries of one page of history. */
  historyPage: 200,
  pageBytes: 1024 * 1024,
  /** UTF-16 units of one part of an item's text. */
  itemTextPage: 262_144,
  /** Hits of one page of a search. */
  searchPage: 50,
  /** Items in one chunk of a subscription: one acknowledgement per chunk. */
  chunkItems: 128,
  /** Bytes that may wait in a socket before its subscriptions pause and later read again. */
  socketBacklogBytes: 1024 * 1024,
  /** Milliseconds between two heartbeats of a subscription. */
  heartbeatMillis: 15_000,
  /** Milliseconds in which changed rows of the shell are gathered. */
  shellGatherMillis: 50
} as const
