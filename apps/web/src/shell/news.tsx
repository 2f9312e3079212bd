/** Notifications of the system, for who asked for them and looks elsewhere. */
import type { ShellModel } from "@turnkeeper/client"
import { Bell, BellOff } from "lucide-react"
import { useEffect, useRef } from "react"
import { newsOf } from "../model/news.ts"
import type { News } from "../model/news.ts"
import { useApp } from "../store/app.ts"
import { useReadable } from "../store/react.ts"
import { toThread } from "../store/route.ts"
import { IconButton } from "../ui/Button.tsx"

const canNotify = () => "Notification" in globalThis && Notification.permission === "granted"
const looksElsewhere = () => document.visibilityState === "hidden" || !document.hasFocus()

/** Tells what is new in the list since it was last drawn. */
export const useNews = ({ status, threads }: ShellModel) => {
  const { browser, go } = useApp()
  const wanted = useReadable(browser.notifies)
  const before = useRef<ShellModel["threads"] | null>(null)
  useEffect(() => {
    if (status !== "live") return
    const news = newsOf(before.current ?? threads, threads)
    before.current = threads
    if (!wanted || !canNotify() || !looksElsewhere()) return
    for (const one of news) show(one, () => go(toThread(one.threadId)))
  }, [status, threads, wanted, go])
}

const show = ({ threadId, title, words }: News, open: () => void) => {
  try {
    // Of one thread only the newest is of use; several pages of one browser show it once.
    const shown = new Notification(title === "" ? "Thread" : title, { body: words, tag: threadId })
    shown.addEventListener("click", () => {
      globalThis.focus()
      open()
      shown.close()
    })
  } catch {
    // Some systems let only a service worker do this. The list and the title of the page tell it too.
  }
}

export const NewsSwitch = () => {
  const { browser, notify } = useApp()
  const wanted = useReadable(browser.notifies)
  if (!("Notification" in globalThis)) return null
  const turn = async () => {
    if (wanted) return browser.notifies.set(false)
    if ((await Notification.requestPermission()) === "granted") return browser.notifies.set(true)
    notify({
      tone: "failure",
      text: "This browser does not let the page notify you. Allow it in the browser's settings for this address.",
      details: null
    })
  }
  return (
    <IconButton
      label={wanted ? "Do not notify me" : "Notify me when a thread waits or ends"}
      onClick={() => void turn()}
    >
      {wanted ? <Bell size={15} /> : <BellOff size={15} />}
    </IconButton>
  )
}
