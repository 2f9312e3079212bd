/** In which order commands may be sent, as plain rules. */
import type { OutboxEntry } from "./Client.ts"

/** Made for another database than the one that answers. */
export const isHeld = ({ epoch }: Pick<OutboxEntry, "epoch">, answering: string): boolean =>
  epoch !== null && epoch !== answering

/**
 * Those that may be sent now: released, for this database, and with no earlier one of the same thread or
 * project still on its way. One that waits for nothing does not wait for others.
 */
export const sendable = (
  entries: ReadonlyArray<OutboxEntry>,
  epoch: string,
  released: ReadonlySet<string>
): ReadonlyArray<OutboxEntry> => {
  const busyThreads = new Set<string>()
  const busyProjects = new Set<string>()
  const found: Array<OutboxEntry> = []
  for (const entry of entries) {
    if (entry.state === "refused" || isHeld(entry, epoch)) continue
    const { project, thread } = subjectsOf(entry)
    const isFree =
      (thread === null || !busyThreads.has(thread)) && (project === null || !busyProjects.has(project))
    if (isFree && entry.state === "waiting" && released.has(entry.commandId)) found.push(entry)
    if (thread !== null) busyThreads.add(thread)
    // A command of the project itself, or a thread that begins in it: what follows there has to wait.
    if (project !== null) busyProjects.add(project)
  }
  return found
}

const subjectsOf = ({ command }: OutboxEntry) => {
  if (!("threadId" in command)) return { thread: null, project: command.projectId }
  const created = "createThread" in command ? command.createThread : undefined
  const project = command.type === "thread.create" ? command.projectId : (created?.projectId ?? null)
  return { thread: command.threadId, project }
}
