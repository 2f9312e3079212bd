/**
 * The browser's own dialog: it keeps the focus inside, closes by Escape and gives the focus back. What is inside
 * and has `data-first` gets the focus when it opens.
 */
import { X } from "lucide-react"
import { useEffect, useRef } from "react"
import type { ReactNode } from "react"
import { IconButton } from "./Button.tsx"

interface ModalProps {
  readonly label: string
  readonly onClose: () => void
  readonly children: ReactNode
  /** Without a head the label is only read out. */
  readonly head?: boolean
  readonly className?: string
}

export const Modal = ({ label, onClose, children, head = true, className = "" }: ModalProps) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const element = dialog.current
    const before = document.activeElement
    if (element !== null && !element.open) {
      element.showModal()
      element.querySelector<HTMLElement>("[data-first]")?.focus()
    }
    return () => {
      element?.close()
      // The dialog has left the page by now: one that is gone gives nothing back by itself.
      if (before instanceof HTMLElement && document.activeElement === document.body) before.focus()
    }
  }, [])
  return (
    // A press beside the dialog lands on the dialog element itself: its content covers it.
    <dialog
      ref={dialog}
      className={`modal ${className}`}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onMouseDown={(event) => {
        if (event.target === event.currentTarget) onClose()
      }}
    >
      <div className="modal-body">
        {head && (
          <header className="modal-head">
            <h2>{label}</h2>
            <IconButton label="Close" onClick={onClose}>
              <X size={16} />
            </IconButton>
          </header>
        )}
        {children}
      </div>
    </dialog>
  )
}
