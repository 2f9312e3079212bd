/** What the palette offers: every thread, and what can be done from here. */
import {
  Archive,
  ArrowDown,
  ArrowUp,
  FolderPlus,
  MessageSquare,
  Moon,
  OctagonX,
  Plus,
  RefreshCw,
  Square,
  Stethoscope,
  Sun
} from "lucide-react"
import { threadWords } from "@turnkeeper/contracts/Words"
import { useApp } from "../store/app.ts"
import { useReadable } from "../store/react.ts"
import { toThread } from "../store/route.ts"
import type { Route } from "../store/route.ts"
import { stepThread } from "../store/stepThread.ts"
import type { PaletteItem } from "./Palette.tsx"

export const usePaletteItems = (route: Route, onAddProject: () => void): ReadonlyArray<PaletteItem> => {
  const app = useApp()
  const { client, browser, go, attempt } = app
  const shell = useReadable(client.shell)
  const titles = new Map(shell.projects.map((project) => [project.projectId as string, project.title]))
  const current =
    route.page === "thread" ? shell.threads.find((row) => row.threadId === route.threadId) : undefined
  const here: ReadonlyArray<PaletteItem> =
    current === undefined
      ? []
      : [
          {
            id: "stop",
            group: "This thread",
            label: "Stop what runs",
            hint: "Ctrl .",
            icon: <Square size={15} />,
            run: () => attempt(client.interrupt(current.threadId))
          },
          ...(current.activeTurn === null
            ? []
            : [
                {
                  id: "check",
                  group: "This thread",
                  label: "Ask the agent whether it is at work",
                  icon: <Stethoscope size={15} />,
                  run: () => attempt(client.check(current.threadId, current.activeTurn?.turnId ?? ""))
                }
              ]),
          {
            id: "stop-session",
            group: "This thread",
            label: "End the session and withdraw what waits",
            icon: <OctagonX size={15} />,
            run: () => attempt(client.stop(current.threadId))
          },
          {
            id: "archive",
            group: "This thread",
            label:
              current.archivedAt === null ? "Archive this thread" : "Take this thread out of the archive",
            icon: <Archive size={15} />,
            run: () =>
              attempt(
                current.archivedAt === null
                  ? client.archive(current.threadId)
                  : client.unarchive(current.threadId)
              )
          }
        ]
  return [
    {
      id: "new",
      group: "Commands",
      label: "New thread",
      icon: <Plus size={15} />,
      run: () => go({ page: "new", projectId: null })
    },
    {
      id: "project",
      group: "Commands",
      label: "Add a project",
      icon: <FolderPlus size={15} />,
      run: onAddProject
    },
    {
      id: "next",
      group: "Commands",
      label: "Next thread",
      hint: "Alt ↓",
      icon: <ArrowDown size={15} />,
      run: () => stepThread(app, route, 1)
    },
    {
      id: "previous",
      group: "Commands",
      label: "Previous thread",
      hint: "Alt ↑",
      icon: <ArrowUp size={15} />,
      run: () => stepThread(app, route, -1)
    },
    {
      id: "providers",
      group: "Commands",
      label: "Look for agents again",
      icon: <RefreshCw size={15} />,
      run: () => attempt(client.refreshProviders())
    },
    {
      id: "light",
      group: "Commands",
      label: "Light look",
      icon: <Sun size={15} />,
      run: () => browser.theme.set("light")
    },
    {
      id: "dark",
      group: "Commands",
      label: "Dark look",
      icon: <Moon size={15} />,
      run: () => browser.theme.set("dark")
    },
    ...here,
    ...shell.threads
      .filter((row) => row.deletedAt === null)
      .map((row) => ({
        id: `thread/${row.threadId}`,
        group: "Threads",
        label: row.title === "" ? "Thread" : row.title,
        hint: `${titles.get(row.projectId) ?? ""} · ${threadWords(row)}`,
        icon: <MessageSquare size={15} />,
        run: () => go(toThread(row.threadId))
      }))
  ]
}
