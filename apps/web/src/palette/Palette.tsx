/** Everything by keyboard: threads by their names, and what one can do here. */
import { Command } from "cmdk"
import { useState } from "react"
import type { ReactNode } from "react"
import { Modal } from "../ui/Modal.tsx"

export interface PaletteItem {
  readonly id: string
  readonly group: string
  readonly label: string
  readonly hint?: string | undefined
  readonly icon?: ReactNode
  readonly run: () => void
}

interface PaletteProps {
  readonly items: ReadonlyArray<PaletteItem>
  readonly onClose: () => void
}

/** More would only be scrolled past: typing narrows them. */
const shownMax = 200

export const Palette = ({ items, onClose }: PaletteProps) => {
  const [query, setQuery] = useState("")
  const [chosen, setChosen] = useState<string | null>(null)
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const matching = items.filter((item) => {
    const text = `${item.label} ${item.hint ?? ""}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  // Enter runs what is on top as soon as it is typed: a choice from before the last letter counts no more.
  const value = matching.find((item) => item.id === chosen)?.id ?? matching[0]?.id ?? ""
  const groups = Map.groupBy(matching.slice(0, shownMax), (item) => item.group)
  return (
    <Modal label="Search threads and commands" head={false} onClose={onClose} className="palette">
      <Command label="Threads and commands" shouldFilter={false} loop value={value} onValueChange={setChosen}>
        <Command.Input
          data-first
          value={query}
          onValueChange={(text) => {
            setQuery(text)
            setChosen(null)
          }}
          placeholder="Search threads and commands…"
        />
        <Command.List>
          <Command.Empty>Nothing found.</Command.Empty>
          {[...groups].map(([group, members]) => (
            <Command.Group key={group} heading={group}>
              {members.map((item) => (
                <Command.Item
                  key={item.id}
                  value={item.id}
                  onSelect={() => {
                    onClose()
                    item.run()
                  }}
                >
                  <span className="palette-icon" aria-hidden="true">
                    {item.icon}
                  </span>
                  <span className="palette-label">{item.label}</span>
                  {item.hint !== undefined && <span className="palette-hint">{item.hint}</span>}
                </Command.Item>
              ))}
            </Command.Group>
          ))}
        </Command.List>
      </Command>
    </Modal>
  )
}
