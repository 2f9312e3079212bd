/** The whole page with made rows: states that are seldom met, to look at. Not part of what is built. */
import { createRoot } from "react-dom/client"
import { AppPage } from "../AppPage.tsx"
import { makeBrowserStore } from "../store/browser.ts"
import { madeClient } from "./madeClient.ts"

const browser = makeBrowserStore()
createRoot(document.getElementById("root")!).render(
  <AppPage client={madeClient} browser={browser} onSignIn={() => {}} />
)
