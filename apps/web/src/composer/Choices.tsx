/** Which agent, which model, how freely: what the next messages are sent with. */
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import { Bot, ListChecks, ShieldCheck, Sparkles } from "lucide-react"
import { ChoiceMenu } from "../ui/Menu.tsx"
import type { Choice } from "../ui/Menu.tsx"
import { healthWords } from "../model/providers.ts"

export type Mode = Exclude<ThreadRow["runtimeMode"], "unknown">

export interface ChosenSettings {
  readonly provider: string
  readonly model: string | null
  readonly runtimeMode: ThreadRow["runtimeMode"]
  readonly interactionMode: ThreadRow["interactionMode"]
}

export interface SettingChanges {
  readonly provider?: string
  readonly model?: string | null
  readonly runtimeMode?: Mode
  readonly interactionMode?: "default" | "plan"
}

interface ChoicesProps {
  readonly chosen: ChosenSettings
  readonly providers: ReadonlyArray<ProviderRow>
  readonly onChange: (changes: SettingChanges) => void
}

const modes: ReadonlyArray<Choice<Mode>> = [
  { value: "read_only", label: "Read only", description: "It looks and changes nothing." },
  { value: "approval_required", label: "Ask first", description: "It asks before it acts." },
  { value: "full_access", label: "Full access", description: "It acts without asking." }
]

/** Stands for "whatever the provider takes by itself": no model has an empty name. */
const usual = "default"

export const Choices = ({ chosen, providers, onChange }: ChoicesProps) => {
  const provider = providers.find((row) => row.id === chosen.provider)
  const models = provider?.health.models ?? []
  const standard = models.find((model) => model.isDefault)
  return (
    <>
      <ChoiceMenu
        label="Agent"
        value={chosen.provider}
        icon={<Bot size={14} aria-hidden="true" />}
        shown={provider?.displayName ?? chosen.provider}
        choices={providers.map((row) => ({
          value: row.id as string,
          label: row.displayName,
          description: healthWords(row)
        }))}
        onChoose={(value) => onChange({ provider: value, model: null })}
      />
      {models.length > 0 && (
        <ChoiceMenu
          label="Model"
          value={chosen.model ?? usual}
          icon={<Sparkles size={14} aria-hidden="true" />}
          choices={[
            { value: usual, label: standard === undefined ? "Usual model" : `Usual: ${standard.name}` },
            ...models.map((model) => ({ value: model.id, label: model.name }))
          ]}
          onChoose={(value) => onChange({ model: value === usual ? null : value })}
        />
      )}
      <ChoiceMenu
        label="How freely it acts"
        value={chosen.runtimeMode === "unknown" ? "approval_required" : chosen.runtimeMode}
        icon={<ShieldCheck size={14} aria-hidden="true" />}
        choices={modes}
        onChoose={(runtimeMode) => onChange({ runtimeMode })}
      />
      {(provider?.capabilities["planMode"] === true || chosen.interactionMode === "plan") && (
        <button
          type="button"
          className="choice"
          aria-pressed={chosen.interactionMode === "plan"}
          title="Plan first: it makes a plan and does not act"
          onClick={() =>
            onChange({ interactionMode: chosen.interactionMode === "plan" ? "default" : "plan" })
          }
        >
          <ListChecks size={14} aria-hidden="true" /> Plan{chosen.interactionMode === "plan" ? " on" : ""}
        </button>
      )}
    </>
  )
}
