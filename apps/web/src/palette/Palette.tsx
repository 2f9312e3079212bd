/** Everything by keyboard: threads by their names, what one can do here, and what was said anywhere. */
import { Command } from "cmdk"
import { useState } from "react"
import type { ReactNode } from "react"
import { Modal } from "../ui/Modal.tsx"
import { useFound } from "./found.tsx"

export interface PaletteItem {
  readonly id: string
  readonly group: string
  readonly label: string
  /** The label as it is shown, where it is more than words. */
  readonly shown?: ReactNode
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
  const found = useFound(query)
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const matching = items.filter((item) => {
    const text = `${item.label} ${item.hint ?? ""}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const all = [...matching.slice(0, shownMax), ...found.items]
  // Enter runs what is on top as soon as it is typed: a choice from before the last letter counts no more.
  const value = all.find((item) => item.id === chosen)?.id ?? all[0]?.id ?? ""
  const groups = Map.groupBy(all, (item) => item.group)
  return (
    <Modal label="Search threads, messages and commands" head={false} onClose={onClose} className="palette">
      <Command
        label="Threads, messages and commands"
        shouldFilter={false}
        loop
        value={value}
        onValueChange={setChosen}
      >
        <Command.Input
          data-first
          value={query}
          onValueChange={(text) => {
            setQuery(text)
            setChosen(null)
          }}
          placeholder="Search threads, messages and commands…"
        />
        <Command.List>
          <Command.Empty>{found.note ?? "Nothing found."}</Command.Empty>
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
                  <span className="palette-label">{item.shown ?? item.label}</span>
                  {item.hint !== undefined && <span className="palette-hint">{item.hint}</span>}
                </Command.Item>
              ))}
            </Command.Group>
          ))}
        </Command.List>
        {found.note !== null && all.length > 0 && <p className="palette-note">{found.note}</p>}
      </Command>
    </Modal>
  )
}
