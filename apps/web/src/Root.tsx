/** The page before there is an app: let in or not, and by what. */
import { browserTicket, connect, localStorageOutbox } from "@turnkeeper/client"
import type { Client } from "@turnkeeper/client"
import { useEffect, useMemo, useState } from "react"
import { AppPage } from "./AppPage.tsx"
import { SignIn } from "./SignIn.tsx"
import { codeInAddress, isSignedIn, pair } from "./signIn.ts"
import type { PairingEnd } from "./signIn.ts"
import { makeBrowserStore } from "./store/browser.ts"
import { useReadable } from "./store/react.ts"

type Stage =
  | { readonly type: "asking" }
  | { readonly type: "outside"; readonly problem: PairingEnd | null }
  | { readonly type: "inside"; readonly client: Client }

export const Root = () => {
  const browser = useMemo(makeBrowserStore, [])
  const [stage, setStage] = useState<Stage>({ type: "asking" })
  const theme = useReadable(browser.theme)
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset["theme"]
    else document.documentElement.dataset["theme"] = theme
  }, [theme])

  useEffect(() => {
    let current = true
    const enter = async () => {
      const next = await begin()
      if (current) setStage(next)
    }
    void enter()
    return () => {
      current = false
    }
  }, [])

  switch (stage.type) {
    case "asking":
      return (
        <main className="page page-empty" aria-busy="true">
          <p>One moment…</p>
        </main>
      )
    case "outside":
      return (
        <SignIn
          problem={stage.problem}
          onCode={async (code) => {
            const end = await pair(code)
            setStage(end === "done" ? { type: "inside", client: open() } : { type: "outside", problem: end })
          }}
        />
      )
    case "inside":
      return (
        <AppPage
          client={stage.client}
          browser={browser}
          onSignIn={() => {
            void stage.client.close()
            setStage({ type: "outside", problem: null })
          }}
        />
      )
  }
}

const open = (): Client =>
  connect({
    url: location.origin,
    credential: { type: "ticket", ticket: browserTicket(location.origin) },
    client: { name: "turnkeeper-web", version: "0.0.0" },
    outbox: localStorageOutbox(location.origin)
  })

/** One try per page, also where React mounts a component twice: a code is good once. */
let begun: Promise<Stage> | null = null
const begin = (): Promise<Stage> => (begun ??= letIn())

const letIn = async (): Promise<Stage> => {
  const code = codeInAddress()
  if (code !== null) {
    const end = await pair(code)
    if (end !== "done") return (await isSignedIn()) ? inside() : { type: "outside", problem: end }
    return inside()
  }
  return (await isSignedIn()) ? inside() : { type: "outside", problem: null }
}

const inside = (): Stage => ({ type: "inside", client: open() })
