import { KeyRound } from "lucide-react"
import { useState } from "react"
import { codeOf } from "./signIn.ts"
import type { PairingEnd } from "./signIn.ts"
import { Button } from "./ui/Button.tsx"

interface SignInProps {
  readonly problem: PairingEnd | null
  readonly onCode: (code: string) => Promise<void>
}

const problems: Readonly<Record<PairingEnd, string>> = {
  done: "",
  failed: "This link was used before, or its time is over. Make a new one.",
  later: "There were too many wrong tries. Wait a minute, then try again.",
  unreachable: "The server did not answer. See whether it runs, then try again."
}

export const SignIn = ({ problem, onCode }: SignInProps) => {
  const [typed, setTyped] = useState("")
  const [busy, setBusy] = useState(false)
  const submit = () => {
    const code = codeOf(typed)
    if (code === "" || busy) return
    setBusy(true)
    void onCode(code).finally(() => setBusy(false))
  }
  return (
    <main className="page page-empty sign-in">
      <KeyRound size={28} aria-hidden="true" />
      <h1>Sign in to Turnkeeper</h1>
      {problem !== null && (
        <p className="problem" role="alert">
          {problems[problem]}
        </p>
      )}
      <p>Open the link that the server printed at its start. For a new one, on the machine of the server:</p>
      <pre className="sign-in-command">turnkeeper pair</pre>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <label htmlFor="code">Or paste the link here</label>
        <div className="sign-in-field">
          <input
            id="code"
            className="field"
            value={typed}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setTyped(event.target.value)}
          />
          <Button type="submit" look="primary" disabled={codeOf(typed) === "" || busy}>
            Sign in
          </Button>
        </div>
      </form>
    </main>
  )
}
