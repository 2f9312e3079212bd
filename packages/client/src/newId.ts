/** Ids that a client makes: unlike any other, and telling in a log what they name. */

export const newId = (kind: "command" | "thread" | "turn" | "message" | "project"): string =>
  `${kind}-${uuid()}`

/** `crypto.randomUUID` exists only where the page came over TLS or from this machine. */
const uuid = (): string => {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID()
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
}
