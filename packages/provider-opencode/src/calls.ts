/** What a session asks of OpenCode's API. */
import type { Call } from "./Api.ts"
import type { Rule } from "./protocol.ts"
import type { SessionContext } from "./SessionContext.ts"

/** Answered before the message is in the record. */
export const prompt = (context: SessionContext, body: unknown) =>
  context.api.post(`${pathOf(context)}/prompt_async`, {
    ...callOf(context, body),
    deadline: context.deadlines.send
  })

export const abort = (context: SessionContext) =>
  context.api.post<boolean>(`${pathOf(context)}/abort`, callOf(context))

/** Puts these rules behind those that the session has. */
export const addRules = (context: SessionContext, rules: ReadonlyArray<Rule>) =>
  context.api.patch(pathOf(context), callOf(context, { permission: rules }))

export const reply = (context: SessionContext, path: string, body: unknown) =>
  context.api.post<boolean>(path, callOf(context, body))

const pathOf = ({ sessionID }: SessionContext) => `/session/${sessionID}`

const callOf = ({ deadlines, directory }: SessionContext, body?: unknown): Call => ({
  directory,
  deadline: deadlines.call,
  ...(body === undefined ? {} : { body })
})
