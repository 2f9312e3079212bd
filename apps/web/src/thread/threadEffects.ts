/** What a thread's page does beside showing: keys for answers, words for who is read to. */
import type { AnswerInput, ThreadModel } from "@turnkeeper/client"
import type { RequestRow } from "@turnkeeper/contracts/Rows"
import { closedWords } from "../model/requests.ts"
import { useCallback, useEffect, useRef } from "react"
import type { App } from "../store/app.ts"

/** Alt and a digit answer the first open approval by its n-th choice, from anywhere on the page. */
export const useAnswerKeys = (
  requests: ReadonlyArray<RequestRow>,
  answer: (requestId: string, answer: AnswerInput) => void
) => {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!event.altKey || event.ctrlKey || event.metaKey) return
      const digit = /^Digit([1-9])$/.exec(event.code)?.[1]
      const request = requests.find((one) => one.status === "open" && one.ask.questions.length === 0)
      const decision = digit === undefined ? undefined : request?.ask.decisions[Number(digit) - 1]
      if (request === undefined || decision === undefined) return
      event.preventDefault()
      document
        .querySelector<HTMLButtonElement>(
          `[data-request="${CSS.escape(request.requestId)}"] [data-decision="${decision}"]`
        )
        ?.focus()
      answer(request.requestId, { decision })
    }
    document.addEventListener("keydown", onKey)
    return () => document.removeEventListener("keydown", onKey)
  }, [requests, answer])
}

/** Says so when a question that was open here is closed by somebody else. Gives: "this one I answer here". */
export const useClosedElsewhere = (model: ThreadModel, notify: App["notify"]) => {
  const here = useRef(new Set<string>())
  const before = useRef<ReadonlyArray<RequestRow>>([])
  useEffect(() => {
    const still = new Set(model.requests.map((request) => request.requestId))
    const gone = before.current.filter(
      (request) => !still.has(request.requestId) && !here.current.has(request.requestId)
    )
    before.current = model.requests
    for (const request of gone) {
      const closed = model.closedRequests.findLast((one) => one.requestId === request.requestId)
      // A turn that has ended takes its questions along: its own end says so.
      const ended = request.turnId !== model.thread?.activeTurn?.turnId
      if (closed?.status !== "answered" && ended) continue
      notify({ tone: "info", text: closedWords(request, closed ?? null), details: null })
    }
  }, [model.requests, model.closedRequests, model.thread?.activeTurn?.turnId, notify])
  return useCallback((requestId: string) => {
    here.current.add(requestId)
  }, [])
}
