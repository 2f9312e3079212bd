/** The app: the list at the side, the page of what is chosen, and what can be reached from everywhere. */
import type { Client, ShellModel } from "@turnkeeper/client"
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import { LogOut, Menu as MenuIcon, Monitor, Moon, Sun } from "lucide-react"
import { lazy, Suspense, useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react"
import { connectionFace } from "./model/connection.ts"
import { usePaletteItems } from "./palette/items.tsx"
import { ConnectionBar } from "./shell/ConnectionBar.tsx"
import { FolderDialog } from "./shell/FolderDialog.tsx"
import { NewsSwitch, useNews } from "./shell/news.tsx"
import { Notices } from "./shell/Notices.tsx"
import { Sidebar } from "./shell/Sidebar.tsx"
import { Unsent } from "./shell/Unsent.tsx"
import { signOut } from "./signIn.ts"
import { AppContext, failureNotice, useApp } from "./store/app.ts"
import type { App, Notice } from "./store/app.ts"
import { isUnread, markFirstVisit, toggleFolded } from "./store/browser.ts"
import type { BrowserStore, Theme } from "./store/browser.ts"
import { useFrames, useNow, useReadable } from "./store/react.ts"
import { hashOf, parseRoute } from "./store/route.ts"
import type { Route } from "./store/route.ts"
import { stepThread } from "./store/stepThread.ts"
import { NewThreadPage } from "./thread/NewThreadPage.tsx"
import { ThreadPage } from "./thread/ThreadPage.tsx"
import { ActionMenu } from "./ui/Menu.tsx"
import { IconButton } from "./ui/Button.tsx"

const Palette = lazy(() => import("./palette/Palette.tsx").then(({ Palette }) => ({ default: Palette })))

interface AppPageProps {
  readonly client: Client
  readonly browser: BrowserStore
  readonly onSignIn: () => void
}

export const AppPage = ({ client, browser, onSignIn }: AppPageProps) => {
  const route = useRoute()
  const [notices, setNotices] = useState<ReadonlyArray<Notice>>([])
  const [open, setOpen] = useState<"palette" | "folder" | null>(null)
  const [listShown, setListShown] = useState(false)
  const notify = useNotify(setNotices)
  const app = useMemo<App>(
    () => ({
      client,
      browser,
      go: (next) => {
        location.hash = hashOf(next)
      },
      notify,
      attempt: (command, onDone = () => {}) => {
        const wait = async () => {
          try {
            await command
          } catch (error) {
            notify(failureNotice(error))
            return
          }
          onDone()
        }
        void wait()
      },
      openPalette: () => setOpen("palette")
    }),
    [client, browser, notify]
  )
  useEffect(() => setListShown(false), [route])
  usePageKeys(client, route, app)
  const live = useReadable(client.connection).status === "live"
  return (
    <AppContext value={app}>
      <div className={`app ${listShown ? "app-list" : ""} ${live ? "" : "app-stale"}`}>
        <Side route={route} onAddProject={() => setOpen("folder")} onSignIn={onSignIn} />
        <div className="main">
          <Connection onSignIn={onSignIn} />
          <IconButton label="Threads" className="list-button" onClick={() => setListShown(!listShown)}>
            <MenuIcon size={18} />
          </IconButton>
          {route.page === "thread" ? (
            <ThreadPage threadId={route.threadId} at={route.at} />
          ) : (
            <NewThreadPage
              key={route.projectId}
              projectId={route.projectId}
              onAddProject={() => setOpen("folder")}
            />
          )}
        </div>
        {listShown && (
          <button
            type="button"
            className="scrim"
            aria-label="Close the list"
            onClick={() => setListShown(false)}
          />
        )}
      </div>
      {open === "palette" && (
        <Suspense>
          <OpenPalette route={route} onClose={() => setOpen(null)} onAddProject={() => setOpen("folder")} />
        </Suspense>
      )}
      {open === "folder" && (
        <FolderDialog
          onClose={() => setOpen(null)}
          onCreated={(projectId) => {
            setOpen(null)
            app.go({ page: "new", projectId })
          }}
        />
      )}
      <Notices
        notices={notices}
        onClose={(id) => setNotices((all) => all.filter((notice) => notice.id !== id))}
      />
    </AppContext>
  )
}

const useRoute = (): Route => {
  const hash = useSyncExternalStore(
    (listener) => {
      addEventListener("hashchange", listener)
      return () => removeEventListener("hashchange", listener)
    },
    () => location.hash
  )
  return useMemo(() => parseRoute(hash), [hash])
}

const noticesMax = 4
let noticeId = 0

const useNotify = (set: (change: (all: ReadonlyArray<Notice>) => ReadonlyArray<Notice>) => void) =>
  useCallback(
    (notice: Omit<Notice, "id">) => {
      noticeId += 1
      const id = noticeId
      set((all) => [...all.filter((one) => one.text !== notice.text), { ...notice, id }].slice(-noticesMax))
    },
    [set]
  )

/** Keys that work everywhere. */
const usePageKeys = (client: Client, route: Route, app: App) => {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const command = event.ctrlKey || event.metaKey
      if (command && event.key.toLowerCase() === "k") {
        event.preventDefault()
        app.openPalette()
      } else if (command && event.key === "." && route.page === "thread") {
        event.preventDefault()
        app.attempt(client.interrupt(route.threadId))
      } else if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        event.preventDefault()
        stepThread(app, route, event.key === "ArrowDown" ? 1 : -1)
      }
    }
    document.addEventListener("keydown", onKey)
    return () => document.removeEventListener("keydown", onKey)
  }, [client, route, app])
}

interface SideProps {
  readonly route: Route
  readonly onAddProject: () => void
  readonly onSignIn: () => void
}

const Side = ({ route, onAddProject, onSignIn }: SideProps) => {
  const { client, browser, openPalette } = useApp()
  const shell = useFrames(client.shell)
  const seen = useReadable(browser.seen)
  const seenBefore = useReadable(browser.seenBefore)
  const discarded = useReadable(browser.discarded)
  const folded = useReadable(browser.folded)
  const clock = useNow(true, 10_000)
  const now = shell.status === "stale" ? (shell.asOf ?? clock) : clock
  useFirstVisit(browser, shell)
  useTitle(shell)
  useNews(shell)
  return (
    <Sidebar
      shell={shell}
      route={route}
      now={now}
      isUnread={(row: ThreadRow) => isUnread(row, seen, seenBefore)}
      isDiscarded={(turnId) => discarded[turnId] === true}
      folded={folded}
      onFold={(projectId) => toggleFolded(browser, projectId)}
      onSearch={openPalette}
      onAddProject={onAddProject}
      unsent={<Unsent />}
      footer={<SideFooter onSignIn={onSignIn} />}
    />
  )
}

/** The tab says how many threads wait for somebody. */
const useTitle = ({ threads }: ShellModel) => {
  const waiting = threads.filter((row) => row.deletedAt === null && row.openRequests > 0).length
  useEffect(() => {
    document.title = waiting === 0 ? "Turnkeeper" : `(${waiting}) Turnkeeper`
  }, [waiting])
}

const useFirstVisit = (browser: BrowserStore, shell: ShellModel) => {
  useEffect(() => {
    if (shell.status === "live") markFirstVisit(browser, shell.threads)
  }, [browser, shell])
}

const themes: Readonly<Record<Theme, { readonly label: string; readonly shape: typeof Sun }>> = {
  system: { label: "Look: as the system", shape: Monitor },
  light: { label: "Look: light", shape: Sun },
  dark: { label: "Look: dark", shape: Moon }
}

const SideFooter = ({ onSignIn }: { readonly onSignIn: () => void }) => {
  const { client, browser, notify } = useApp()
  const theme = useReadable(browser.theme)
  const connection = useReadable(client.connection)
  const face = connectionFace(connection, Date.now())
  const Shape = themes[theme].shape
  const leave = async () => {
    if (await signOut()) onSignIn()
    else
      notify({ tone: "failure", text: "The server did not answer. You are still signed in.", details: null })
  }
  return (
    <footer className="side-foot">
      <span className={`live-mark live-${face.state}`} aria-hidden="true" />
      <span className="side-words">{face.words}</span>
      <ActionMenu
        label={themes[theme].label}
        actions={(Object.keys(themes) as ReadonlyArray<Theme>).map((name) => {
          const { label, shape: Icon } = themes[name]
          return { label, icon: <Icon size={14} />, run: () => browser.theme.set(name) }
        })}
      >
        <Shape size={15} />
      </ActionMenu>
      <NewsSwitch />
      <IconButton label="Sign out" onClick={() => void leave()}>
        <LogOut size={15} />
      </IconButton>
    </footer>
  )
}

const Connection = ({ onSignIn }: Pick<SideProps, "onSignIn">) => {
  const { client } = useApp()
  const connection = useReadable(client.connection)
  const now = useNow(connection.status === "offline", 500)
  // The shell is followed on every page: when it was last true, the page was.
  const shell = useFrames(client.shell)
  return (
    <ConnectionBar
      connection={connection}
      asOf={shell.asOf}
      now={now}
      onRetry={client.retryNow}
      onSignIn={onSignIn}
    />
  )
}

interface OpenPaletteProps {
  readonly route: Route
  readonly onClose: () => void
  readonly onAddProject: () => void
}

const OpenPalette = ({ route, onClose, onAddProject }: OpenPaletteProps) => (
  <Palette items={usePaletteItems(route, onAddProject)} onClose={onClose} />
)
