/** What became of a question that somebody else has closed. Pure. */
import type { RequestRow } from "@turnkeeper/contracts/Rows"
import { decisionWords } from "@turnkeeper/contracts/Words"

/** `closed`: the row as it was closed; null: that was not told. */
export const closedWords = ({ ask }: RequestRow, closed: RequestRow | null): string => {
  const what = ask.questions[0]?.question ?? ask.title
  if (closed?.status === "expired") return `The agent is no longer waiting for this: ${what}`
  const answer = closed?.status === "answered" ? answerWords(closed) : null
  if (answer === null) return `Answered elsewhere, or no longer asked: ${what}`
  const who = closed?.answeredBy == null ? "elsewhere" : `by ${closed.answeredBy}`
  return `Answered ${who} with “${answer}”: ${what}`
}

const answerWords = ({ answer }: RequestRow): string | null => {
  if (answer === null) return null
  const said = Object.values(answer.answers).flat().join(", ")
  if (said !== "") return said
  return answer.decision === null ? null : decisionWords[answer.decision]
}
