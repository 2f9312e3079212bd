/** Menus and choices. Not modal: they lay nothing over the page and put no style into it. */
import { Check, ChevronDown } from "lucide-react"
import { DropdownMenu } from "radix-ui"
import type { ReactNode } from "react"

export interface Choice<V extends string> {
  readonly value: V
  readonly label: string
  readonly description?: string | undefined
  readonly disabled?: boolean
}

interface ChoiceMenuProps<V extends string> {
  readonly label: string
  readonly value: V
  readonly choices: ReadonlyArray<Choice<V>>
  readonly onChoose: (value: V) => void
  readonly icon?: ReactNode
  readonly disabled?: boolean
  /** What stands on the button; the chosen one's label when absent. */
  readonly shown?: string
}

/** One of several, with what each means. */
export const ChoiceMenu = <V extends string>(props: ChoiceMenuProps<V>) => {
  const { label, value, choices, onChoose, icon, disabled = false, shown } = props
  const chosen = shown ?? choices.find((choice) => choice.value === value)?.label ?? value
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger
        className="choice"
        disabled={disabled}
        aria-label={`${label}: ${chosen}`}
        title={label}
      >
        {icon}
        <span className="choice-text">{chosen}</span>
        <ChevronDown size={13} aria-hidden="true" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="start" sideOffset={6} collisionPadding={8}>
          <DropdownMenu.Label className="menu-label">{label}</DropdownMenu.Label>
          <DropdownMenu.RadioGroup value={value} onValueChange={(next) => onChoose(next as V)}>
            {choices.map((choice) => (
              <DropdownMenu.RadioItem
                key={choice.value}
                value={choice.value}
                className="menu-item"
                disabled={choice.disabled ?? false}
              >
                <span className="menu-check" aria-hidden="true">
                  <DropdownMenu.ItemIndicator>
                    <Check size={14} />
                  </DropdownMenu.ItemIndicator>
                </span>
                <span>
                  {choice.label}
                  {choice.description !== undefined && (
                    <span className="menu-description">{choice.description}</span>
                  )}
                </span>
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  )
}

export interface Action {
  readonly label: string
  readonly icon?: ReactNode
  readonly danger?: boolean
  readonly run: () => void
}

export const ActionMenu = ({
  label,
  children,
  actions
}: {
  readonly label: string
  readonly children: ReactNode
  readonly actions: ReadonlyArray<Action>
}) => (
  <DropdownMenu.Root modal={false}>
    <DropdownMenu.Trigger className="icon-button" aria-label={label} title={label}>
      {children}
    </DropdownMenu.Trigger>
    <DropdownMenu.Portal>
      <DropdownMenu.Content className="menu" align="end" sideOffset={4} collisionPadding={8}>
        {actions.map((action) => (
          <DropdownMenu.Item
            key={action.label}
            className={`menu-item ${action.danger === true ? "menu-danger" : ""}`}
            onSelect={action.run}
          >
            <span className="menu-check" aria-hidden="true">
              {action.icon}
            </span>
            {action.label}
          </DropdownMenu.Item>
        ))}
      </DropdownMenu.Content>
    </DropdownMenu.Portal>
  </DropdownMenu.Root>
)
