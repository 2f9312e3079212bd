import { Check, Copy } from "lucide-react"
import { useEffect, useState } from "react"
import { IconButton } from "./Button.tsx"

export const CopyButton = ({ text, label = "Copy" }: { readonly text: string; readonly label?: string }) => {
  const [state, setState] = useState<"idle" | "copied" | "failed">("idle")
  useEffect(() => {
    if (state === "idle") return
    const timer = setTimeout(() => setState("idle"), 1_500)
    return () => clearTimeout(timer)
  }, [state])
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setState("copied")
    } catch {
      setState("failed")
    }
  }
  const shown = { idle: label, copied: "Copied", failed: "The browser did not allow it" }[state]
  return (
    <IconButton label={shown} className="copy-button" onClick={() => void copy()}>
      {state === "copied" ? <Check size={14} /> : <Copy size={14} />}
    </IconButton>
  )
}
