/** Before the first message: where, with whom, and something to click for who does not know what to say. */
import { newId } from "@turnkeeper/client"
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import { FolderPlus, Folder } from "lucide-react"
import { useEffect, useState } from "react"
import { Choices } from "../composer/Choices.tsx"
import type { ChosenSettings, SettingChanges } from "../composer/Choices.tsx"
import { Composer } from "../composer/Composer.tsx"
import { titleFrom } from "../model/format.ts"
import { firstChoice, healthWords, isUsable } from "../model/providers.ts"
import { useApp } from "../store/app.ts"
import { setDraft } from "../store/browser.ts"
import { follow, useReadable } from "../store/react.ts"
import { toThread } from "../store/route.ts"
import { watchSend } from "../store/sending.ts"
import { Button } from "../ui/Button.tsx"
import { ChoiceMenu } from "../ui/Menu.tsx"

interface NewThreadPageProps {
  readonly projectId: string | null
  readonly onAddProject: () => void
}

export const NewThreadPage = ({ projectId: wanted, onAddProject }: NewThreadPageProps) => {
  const app = useApp()
  const { client, browser, go, attempt } = app
  const shell = useReadable(client.shell)
  const { providers, status } = useReadable(client.providers)
  const remembered = useReadable(browser.choices)
  const [changes, setChanges] = useState<SettingChanges>({})
  const project =
    shell.projects.find((one) => one.projectId === (wanted ?? remembered.projectId)) ??
    shell.projects[0] ??
    null
  const provider = firstChoice(providers, changes.provider ?? remembered.provider)
  const chosen = chosenOf(provider, remembered.runtimeMode, changes)

  const change = (next: SettingChanges) => {
    setChanges({ ...changes, ...next })
    browser.choices.set({
      ...browser.choices.get(),
      ...(next.provider === undefined ? {} : { provider: next.provider }),
      ...(next.runtimeMode === undefined ? {} : { runtimeMode: next.runtimeMode })
    })
  }
  const begin = (text: string, projectId: string, title: string) => {
    if (provider === null) return
    const threadId = newId("thread")
    const { runtimeMode } = chosen
    const sent = client.send({
      threadId,
      text,
      createThread: {
        projectId,
        title,
        provider: provider.id,
        model: chosen.model,
        ...(runtimeMode === "unknown" ? {} : { runtimeMode }),
        ...(chosen.interactionMode === "plan" ? { interactionMode: "plan" as const } : {})
      }
    })
    watchSend(app, sent, "new", text)
    browser.choices.set({ ...browser.choices.get(), projectId })
    go(toThread(threadId))
  }
  const loading = shell.status === "loading" || (status === "loading" && providers.length === 0)
  const playground = usePlayground(!loading && project === null)
  const send = (text: string, title = titleFrom(text)) => {
    if (project !== null) return begin(text, project.projectId, title)
    if (playground === null || playground === "asking") return
    const created = client.createProject({ title: "Playground", directory: playground.directory })
    // The text stays where it was written until it has somewhere to go.
    setDraft(browser, "new", text)
    attempt(created, () => {
      setDraft(browser, "new", "")
      begin(text, created.projectId, title)
    })
  }
  return (
    <main className="page new-page">
      <div className="new-middle">
        <h1>What should be done?</h1>
        {!loading && project === null ? (
          <div className="first-project">
            <p>
              An agent works in a folder. Choose one, or write: the first message goes to an empty playground.
            </p>
            <Button onClick={onAddProject}>
              <FolderPlus size={15} aria-hidden="true" /> Choose a folder
            </Button>
          </div>
        ) : (
          project !== null && (
            <p className="new-where">
              in{" "}
              <ChoiceMenu
                label="Project"
                value={project.projectId as string}
                icon={<Folder size={14} aria-hidden="true" />}
                choices={shell.projects.map((one) => ({
                  value: one.projectId as string,
                  label: one.title,
                  description: one.directory
                }))}
                onChoose={(projectId) => go({ page: "new", projectId })}
              />
            </p>
          )
        )}
        {provider !== null && (
          <Trouble provider={provider} onRefresh={() => void client.refreshProviders()} />
        )}
        <Composer
          place="new"
          label="First message"
          running={false}
          canSteer={false}
          onSend={(text) => send(text)}
          loading={loading || provider === null || (project === null && playground === "asking")}
          blocked={project === null && playground === null ? "Choose a folder first" : null}
        >
          {provider !== null && <Choices chosen={chosen} providers={providers} onChange={change} />}
        </Composer>
        {(project !== null || playground !== null) && <Examples provider={provider} onChoose={send} />}
      </div>
    </main>
  )
}

/** Null: there is none. */
type Playground = { readonly directory: string } | "asking" | null

/** The folder of a first try, asked for while there is no project. */
const usePlayground = (wanted: boolean): Playground => {
  const { client } = useApp()
  const [folder, setFolder] = useState<Playground>("asking")
  useEffect(() => {
    if (!wanted) return undefined
    return follow(
      client.call("workspace.browse", {}),
      (found) => setFolder({ directory: found.playground }),
      // Without it a folder has to be chosen; the page says so.
      () => setFolder(null)
    )
  }, [client, wanted])
  return folder
}

const chosenOf = (
  provider: ProviderRow | null,
  mode: string | null,
  changes: SettingChanges
): ChosenSettings => ({
  provider: provider?.id ?? "",
  model: changes.model ?? null,
  runtimeMode:
    changes.runtimeMode ??
    (mode === "read_only" || mode === "full_access" || mode === "approval_required"
      ? mode
      : "approval_required"),
  interactionMode: changes.interactionMode ?? "default"
})

/** An agent that can not be used says why, and what to do. */
const Trouble = ({
  provider,
  onRefresh
}: {
  readonly provider: ProviderRow
  readonly onRefresh: () => void
}) =>
  isUsable(provider) && provider.notice === null ? null : (
    <div className="trouble" role="note">
      <p>
        <strong>{provider.displayName}.</strong> {isUsable(provider) ? "" : `${healthWords(provider)} `}
        {provider.notice}
      </p>
      <Button onClick={onRefresh}>Look again</Button>
    </div>
  )

interface ExamplesProps {
  readonly provider: ProviderRow | null
  readonly onChoose: (prompt: string, title: string) => void
}

const Examples = ({ provider, onChoose }: ExamplesProps) =>
  provider === null || provider.examples.length === 0 ? null : (
    <section className="examples" aria-label="Examples">
      <h2>Try one</h2>
      <ul>
        {provider.examples.map((example) => (
          <li key={example.title}>
            <button
              type="button"
              onClick={() => onChoose(example.prompt, example.title)}
              title={example.prompt}
            >
              {example.title}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
