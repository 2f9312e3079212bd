import type { ComponentProps, ReactNode } from "react"

type ButtonProps = ComponentProps<"button"> & { readonly look?: "plain" | "primary" | "danger" | "quiet" }

export const Button = ({ look = "plain", className = "", ...props }: ButtonProps) => (
  <button type="button" className={`button button-${look} ${className}`} {...props} />
)

/** A button that is only a picture has its name for everybody else, and as its tip. */
export const IconButton = ({
  label,
  children,
  className = "",
  ...props
}: Omit<ButtonProps, "look"> & { readonly label: string; readonly children: ReactNode }) => (
  <button type="button" className={`icon-button ${className}`} aria-label={label} title={label} {...props}>
    {children}
  </button>
)
