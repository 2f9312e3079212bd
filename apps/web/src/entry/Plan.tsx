import type { ItemEntry } from "@turnkeeper/contracts/Rows"
import { Circle, CircleCheck, CircleDashed, ListChecks } from "lucide-react"
import { stepsOf } from "../model/details.ts"
import { Markdown } from "../ui/LazyMarkdown.tsx"

const shapes = { done: CircleCheck, active: CircleDashed, todo: Circle } as const
const words = { done: "done", active: "in progress", todo: "to do" } as const

export const Plan = ({ entry }: { readonly entry: ItemEntry }) => {
  const steps = stepsOf(entry.detail)
  const done = steps.filter((step) => step.status === "done").length
  const { explanation } = entry.detail
  return (
    <section className="plan" aria-label="Plan">
      <h3>
        <ListChecks size={15} aria-hidden="true" /> {entry.title === "" ? "Plan" : entry.title}
        {steps.length > 0 && (
          <span className="plan-count">
            {done} of {steps.length}
          </span>
        )}
      </h3>
      {typeof explanation === "string" && <p>{explanation}</p>}
      {entry.text !== "" && <Markdown text={entry.text} />}
      <ol>
        {steps.map((step, index) => {
          const Shape = shapes[step.status]
          return (
            <li key={index} className={`plan-${step.status}`}>
              <Shape size={15} aria-hidden="true" />
              <span>
                {step.text} <span className="visually-hidden">({words[step.status]})</span>
              </span>
            </li>
          )
        })}
      </ol>
    </section>
  )
}
