/** What people do with the web client, in a real browser against the real server. */
import { limits } from "@turnkeeper/domain/thread/lifecycle"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { composer, enabled, launch, openPage, openWorld, say, threadIdOf } from "./rig.ts"
import type { World } from "./rig.ts"

describe.skipIf(!enabled)("the web client", () => {
  let browser: Browser
  let world: World
  let context: BrowserContext
  let page: Page
  let complaints: ReadonlyArray<string>

  beforeAll(async () => {
    browser = await launch()
    world = await openWorld(browser, { mute: true })
    context = await world.visitor()
  }, 60_000)
  afterEach(async () => {
    await page?.close()
    expect(complaints, "errors on the page").toEqual([])
  })
  afterAll(async () => {
    await world?.dispose()
    await browser?.close()
  })

  const begin = async (text: string | null) => {
    const opened = await openPage(world, context)
    page = opened.page
    complaints = opened.complaints
    if (text === null) return
    await composer(page).waitFor()
    await say(page, text)
    await page.locator(".thread-page").waitFor()
  }
  const answers = () => page.locator(".answer")
  const done = () => page.locator(".turn-end-completed").last()
  const status = () => page.getByTestId("session-words")

  it("a newcomer's first message is answered, streamed, without any other step", async () => {
    await begin("Hello there")
    await page.locator(".prompt", { hasText: "Hello there" }).waitFor()
    await page.locator(".answer-open").waitFor()
    await done().waitFor()
    expect(await answers().innerText()).toContain("You said: “Hello there”")
    expect(await done().innerText()).toMatch(/^Done · [\d.]+ s · \d+ tokens in, \d+ out$/)
    await page.locator(".thread-line", { hasText: "Hello there" }).waitFor()
    expect(await page.locator(".thread-head h1").innerText()).toBe("Hello there")
  })

  it("an example is sent by one press", async () => {
    await begin(null)
    const example = page.getByRole("region", { name: "Examples" }).getByRole("button").first()
    const title = await example.innerText()
    await example.click()
    await page.locator(".thread-page .prompt").waitFor()
    await done().waitFor()
    expect(await page.locator(".thread-head h1").innerText()).toBe(title)
  })

  it("a command shows as a card that opens and has its output", async () => {
    await begin("[[shell:ls -l]]")
    await done().waitFor()
    const card = page.getByRole("region", { name: "Command: ls -l" })
    await card.getByRole("button", { expanded: false }).click()
    await card.getByText("(the scripted provider executes nothing)").waitFor()
  })

  it("an approval shows the whole command and goes on with the choice that is pressed", async () => {
    await begin("[[ask:git push --force origin main]]")
    const request = page.getByRole("region", { name: "Scripted wants to run a command" })
    expect(await request.locator("pre").innerText()).toBe("git push --force origin main")
    expect(await request.locator("mark").innerText()).toBe("git push --force")
    expect(await status().innerText()).toBe("Waiting for you")
    await request.getByRole("button", { name: "Yes", exact: true }).click()
    await request.waitFor({ state: "detached" })
    await done().waitFor()
  })

  it("an approval is declined by its key while one types, and the card says so", async () => {
    await begin("[[ask:rm -rf build]]")
    await page.locator(".request").waitFor()
    await composer(page).fill("half a thought")
    await composer(page).press("Alt+3")
    await page.locator(".card-declined").waitFor()
    expect(await page.getByText(/^Answered /).count()).toBe(0)
    await done().waitFor()
    expect(await composer(page).inputValue()).toBe("half a thought")
    await composer(page).fill("")
  })

  it("a question is answered with one of its choices", async () => {
    await begin("[[question:Which colour?|Red|Blue]]")
    const request = page.getByRole("region", { name: "Scripted has a question" })
    expect(await request.getByRole("button", { name: "Answer" }).isDisabled()).toBe(true)
    await request.getByRole("radio", { name: "Blue" }).check()
    await request.getByRole("button", { name: "Answer" }).click()
    await page.getByText("You chose: Blue.").waitFor()
  })

  it("a question is answered in one's own words", async () => {
    await begin("[[question:Which colour?|Red|Blue]]")
    await page.getByRole("textbox", { name: "Something else" }).fill("Green")
    await page.keyboard.press("Enter")
    await page.getByText("You chose: Green.").waitFor()
  })

  it("a failure says why, and is tried again", async () => {
    await begin("[[fail:The model service is out of luck.]]")
    const end = page.locator(".turn-end-error")
    await end.getByText("Failed: The model service is out of luck.").waitFor()
    await page.locator(".thread-line-failed[aria-current=page]", { hasText: "Failed" }).waitFor()
    await end.getByRole("button", { name: "Retry" }).click()
    await page.locator(".turn-end-error").nth(1).waitFor()
    expect(await page.locator(".prompt").count()).toBe(2)
    await page.getByText("tried again").waitFor()
  })

  it("a bad connection of the agent shows as reconnecting, and the cut half is out of the way", async () => {
    await begin("[[drop:3]]")
    await status()
      .getByText(/^Reconnecting \d\/5$/)
      .waitFor()
    await done().waitFor()
    await page.getByText("whole again after 3 lost connections").waitFor()
    await page.getByText("Cut off when the connection was lost").waitFor()
  })

  it("a stop ends the turn, keeps its text and offers to go on", async () => {
    await begin("[[slow:5000]]")
    await page.getByText("w5", { exact: false }).first().waitFor()
    await page.keyboard.press("Control+.")
    const end = page.locator(".turn-end-interrupted")
    await end.waitFor()
    expect(await answers().first().innerText()).toContain("w5")
    expect(await page.getByTestId("session-words").count()).toBe(0)
    await end.getByRole("button", { name: "Continue" }).click()
    await page.locator(".prompt", { hasText: "Continue where you stopped." }).waitFor()
    await done().waitFor()
  })

  it("follow-ups queue up and are edited, moved and removed before their turn", async () => {
    await begin("[[slow:5000]]")
    await page.locator(".answer-open").waitFor()
    for (const text of ["first follow-up", "second follow-up", "third follow-up"]) await say(page, text)
    const queued = page.locator(".queued")
    await queued.nth(2).waitFor()
    expect(await page.locator(".queued-place").allInnerTexts()).toEqual(["1st", "2nd", "3rd"])

    await queued.nth(2).getByRole("button", { name: "Move up" }).click()
    await expect
      .poll(() => page.locator(".queued-text").allInnerTexts())
      .toEqual(["first follow-up", "third follow-up", "second follow-up"])
    await queued.nth(0).getByRole("button", { name: "Remove" }).click()
    await expect.poll(() => queued.count()).toBe(2)
    await queued.nth(1).getByRole("button", { name: "Edit" }).click()
    await page.getByRole("textbox", { name: "The waiting message" }).fill("second, changed")
    await page.keyboard.press("Enter")
    await expect
      .poll(() => page.locator(".queued-text").allInnerTexts())
      .toEqual(["third follow-up", "second, changed"])
    // A message that is in the queue is not in the page as well.
    expect(await page.locator(".prompt").count()).toBe(
      1 + (await page.locator(".turn-end-cancelled").count())
    )
  })

  it("a message is steered into the turn that runs", async () => {
    await begin("[[slow:120]]")
    await page.locator(".answer-open").waitFor()
    await composer(page).fill("[[text:The steered words.]]")
    await composer(page).press("Control+Enter")
    await page.getByText("steered into the turn that ran").waitFor()
    await page.getByText("The steered words.", { exact: true }).waitFor()
    await done().waitFor()
    expect(await page.locator(".turn-end-completed").count()).toBe(1)
  })

  it("a message that the server refuses keeps its text, says why, and is sent again when there is room", async () => {
    await begin("[[slow:5000]]")
    await page.locator(".answer-open").waitFor()
    const threadId = threadIdOf(page)
    const client = await world.server().connect()
    const dispatch = (command: object) => client.call("orchestration.dispatch", { command })
    for (let turn = 1; turn <= limits.queuedTurns; turn += 1) {
      const ids = { commandId: `full-${turn}`, turnId: `full-${turn}`, messageId: `m-full-${turn}` }
      await dispatch({ type: "thread.turn.start", threadId, ...ids, text: "waits" })
    }
    await say(page, "one message too many")
    await page.getByText("Not sent. Too many messages wait in this thread.").waitFor()
    const list = page.getByRole("region", { name: "Not sent" })
    await list.getByRole("link", { name: "one message too many" }).waitFor()

    await dispatch({ type: "thread.turn.interrupt", threadId, commandId: "room", turnId: "full-1" })
    await page.locator(".prompt-stuck").getByRole("button", { name: "Send again" }).click()
    await page.locator(".queued-text", { hasText: "one message too many" }).waitFor()
    await list.waitFor({ state: "detached" })
    await dispatch({ type: "thread.session.stop", threadId, commandId: "end" })
    await client.close()
  })

  it("a message that is too long stays where it was written", async () => {
    await begin("Short")
    await page.locator(".turn-end-completed").waitFor()
    await composer(page).fill("x".repeat(limits.promptLength + 1))
    await composer(page).press("Enter")
    await page.getByRole("log").getByText("The server did not understand the request.").waitFor()
    expect((await composer(page).inputValue()).length).toBe(limits.promptLength + 1)
    await composer(page).fill("")
  })

  it("a project is added from a folder that is chosen", async () => {
    await begin(null)
    await page.getByRole("button", { name: "Add project" }).click()
    const dialog = page.getByRole("dialog", { name: "Add a project" })
    await dialog.getByRole("textbox", { name: "Folder" }).fill(world.server().dataDirectory)
    await page.keyboard.press("Enter")
    await dialog.getByRole("button", { name: "playground", exact: true }).click()
    await expect.poll(() => dialog.getByLabel("Name of the project").inputValue()).toBe("playground")
    await dialog.getByLabel("Name of the project").fill("Chosen")
    await dialog.getByRole("button", { name: "Use this folder" }).click()
    await page.getByRole("button", { name: "Project: Chosen" }).waitFor()
    await say(page, "In the chosen folder")
    await page.locator(".thread-where", { hasText: "Chosen" }).waitFor()
    await done().waitFor()
  })

  it("the palette finds a thread and opens it by keyboard alone", async () => {
    await begin("A thread with a needle in it")
    await done().waitFor()
    await page.goto(`${world.server().url}/#/`)
    await page.getByRole("heading", { name: "What should be done?" }).waitFor()
    await page.keyboard.press("Control+k")
    await page.getByPlaceholder("Search threads, messages and commands…").waitFor()
    await page.keyboard.type("needle")
    await page.keyboard.press("Enter")
    await expect.poll(() => page.locator(".thread-head h1").innerText()).toBe("A thread with a needle in it")
  })

  it("the palette gives the focus back to where one wrote", async () => {
    await begin(null)
    await composer(page).fill("half a")
    await page.keyboard.press("Control+k")
    await page.getByPlaceholder("Search threads, messages and commands…").waitFor()
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
    await page.keyboard.type(" thought")
    await expect.poll(() => composer(page).inputValue()).toBe("half a thought")
    await composer(page).fill("")
  })

  it("what was said in any thread is found by its words, and its place is shown", async () => {
    await begin("The haystack [[text:Somewhere, far from the begin of it all, in here is a pangolin.]]")
    await done().waitFor()
    const threadId = threadIdOf(page)
    await page.goto(`${world.server().url}/#/`)
    await page.keyboard.press("Control+k")
    await page.getByPlaceholder("Search threads, messages and commands…").fill("far here pang")
    const hit = page.getByRole("option").filter({ hasText: "The agent · The haystack" })
    await hit.waitFor()
    expect(await hit.locator("mark").allInnerTexts()).toContain("pangolin")
    await hit.click()
    await page.locator(".timeline-row[aria-current=true]", { hasText: "pangolin" }).waitFor()
    expect(threadIdOf(page).split("/")[0]).toBe(threadId)
    await page.keyboard.press("Control+k")
    await page.getByPlaceholder("Search threads, messages and commands…").fill("no such words anywhere")
    await page.getByText("Nothing found.").waitFor()
    await page.keyboard.press("Escape")
  })

  it("an agent that says nothing is asked whether it is at work, without a wait", async () => {
    await begin("[[stall]]")
    await status()
      .getByText(/^Working/)
      .waitFor()
    await page.keyboard.press("Control+k")
    await page.getByPlaceholder("Search threads, messages and commands…").fill("at work")
    await page.keyboard.press("Enter")
    await page
      .locator(".session-quiet")
      .getByText(/^The agent says that it is at work/)
      .waitFor()
    // Counting on, by itself.
    await status()
      .getByText(/^Quiet for [3-9] s$/)
      .waitFor()
    await page.getByRole("button", { name: "Check", exact: true }).click()
    await page
      .locator(".session-quiet")
      .getByText(/^The agent says that it is at work/)
      .waitFor()
    await page.keyboard.press("Control+.")
    await page.locator(".turn-end-interrupted").waitFor()
  })

  it("a message whose agent does not even start is taken back before it is sent", async () => {
    const visitor = await world.visitor()
    const opened = await openPage(world, visitor)
    page = opened.page
    complaints = opened.complaints
    await page.getByRole("button", { name: "Agent: Scripted" }).click()
    await page.getByRole("menuitemradio", { name: /mute/ }).click()
    await say(page, "Is anybody there?")
    await status().getByText("Starting").waitFor()
    await page.getByRole("button", { name: /^Cancel/ }).click()
    await page.locator(".turn-end-cancelled p").getByText("Withdrawn before it was sent").waitFor()
    expect(await page.locator(".notice").count()).toBe(0)
    await visitor.close()
  })

  it("what waited behind a turn that was stopped says once that it was not sent", async () => {
    await begin("[[slow:5000]]")
    await page.locator(".answer-open").waitFor()
    await say(page, "the follow-up")
    await page.locator(".queued").waitFor()
    await page.keyboard.press("Control+.")
    const end = page.locator(".turn-end-cancelled")
    await end.waitFor()
    expect(await end.locator(".turn-end-words p").first().innerText()).toBe(
      "Not sent: the turn before it was interrupted"
    )
    await end.getByRole("button", { name: "Edit and send" }).click()
    await expect.poll(() => composer(page).inputValue()).toBe("the follow-up")
    await composer(page).fill("")
  })

  it("what an agent writes is shown and never run", async () => {
    await begin(
      "[[text:Look: <img src=x onerror=\"document.title='run'\"><script>document.title='run'</script> " +
        "[a](javascript:document.title='run') ![p](https://example.invalid/p.png)]]"
    )
    await done().waitFor()
    const answer = answers().first()
    expect(await answer.innerText()).toContain('<img src=x onerror="')
    expect(await answer.locator("img, script").count()).toBe(0)
    expect(await answer.getByText("a", { exact: true }).getAttribute("href")).toBe("")
    expect(await page.title()).not.toBe("run")
  })

  it("code is coloured by its language", async () => {
    await begin("[[text:```ts\nconst answer: number = 42 // why\n```]]")
    await done().waitFor()
    await page.locator(".code-block .code-keyword", { hasText: "const" }).waitFor()
    await page.locator(".code-block .code-comment", { hasText: "// why" }).waitFor()
  })

  it("a thread is renamed, archived and deleted", async () => {
    await begin("To be renamed")
    await done().waitFor()
    const menu = () => page.getByRole("button", { name: "More about this thread" }).click()
    await menu()
    await page.getByRole("menuitem", { name: "Rename" }).click()
    await page.getByRole("textbox", { name: "Title" }).fill("Another name")
    await page.keyboard.press("Enter")
    await page.locator(".thread-line", { hasText: "Another name" }).waitFor()
    await menu()
    await page.getByRole("menuitem", { name: "Archive" }).click()
    await page.locator(".thread-line", { hasText: "Another name" }).waitFor({ state: "detached" })
    await menu()
    await page.getByRole("menuitem", { name: "Delete…" }).click()
    await page.getByRole("button", { name: "Delete", exact: true }).click()
    await page.getByRole("heading", { name: "What should be done?" }).waitFor()
  })

  it("a thread that comes to rest unseen is shown as unread until it is looked at", async () => {
    await begin("[[slow:40]] unread later")
    await page.locator(".answer-open").waitFor()
    await page.goto(`${world.server().url}/#/`)
    const line = page.locator(".thread-line", { hasText: "unread later" })
    await line.getByText("Done, unread").waitFor()
    await line.click()
    // It counts as looked at once it is there to be looked at.
    await done().waitFor()
    await page.goto(`${world.server().url}/#/`)
    await page.getByRole("heading", { name: "What should be done?" }).waitFor()
    await expect.poll(() => line.getByText("Done, unread").count()).toBe(0)
  })

  it("who looks elsewhere and asked for it is told what waits and what is done, and comes back by a press", async () => {
    const visitor = await world.visitor({ permissions: ["notifications"] })
    // The system's side of it: what is shown is kept, and can be pressed.
    await visitor.addInitScript(() => {
      const shown: Array<unknown> = []
      class Shown extends EventTarget {
        static permission = "granted"
        static requestPermission = async () => "granted"
        constructor(title: string, { body }: { readonly body: string }) {
          super()
          shown.push({ title, body, press: () => this.dispatchEvent(new Event("click")) })
        }
        close() {}
      }
      Object.assign(globalThis, { Notification: Shown, shown })
      document.hasFocus = () => false
    })
    const opened = await openPage(world, visitor)
    page = opened.page
    complaints = opened.complaints
    const told = () =>
      page.evaluate(() =>
        (globalThis as unknown as { shown: ReadonlyArray<{ title: string; body: string }> }).shown.map(
          ({ title, body }) => `${title}: ${body}`
        )
      )
    await say(page, "Unasked")
    await done().waitFor()
    await page.getByRole("button", { name: "Notify me when a thread waits or ends" }).click()
    await page.getByRole("button", { name: "Do not notify me" }).waitFor()
    await page.goto(`${world.server().url}/#/`)
    await say(page, "Elsewhere [[ask:git push]]")
    await page.locator(".request").waitFor()
    await expect.poll(told).toEqual(["Elsewhere [[ask:git push]]: Waiting for you"])
    const hash = new URL(page.url()).hash
    await page.goto(`${world.server().url}/#/`)
    await page.evaluate(() =>
      (globalThis as unknown as { shown: ReadonlyArray<{ press: () => void }> }).shown[0]?.press()
    )
    await page.getByRole("button", { name: "Yes", exact: true }).click()
    expect(new URL(page.url()).hash).toBe(hash)
    await expect.poll(told).toContain("Elsewhere [[ask:git push]]: Done")
    await visitor.close()
  })

  it("a setting of the next message is chosen and kept by the thread", async () => {
    await begin("Settings")
    await done().waitFor()
    await page.getByRole("button", { name: "How freely it acts: Ask first" }).click()
    await page.getByRole("menuitemradio", { name: /Read only/ }).click()
    await page.getByRole("button", { name: "How freely it acts: Read only" }).waitFor()
    await page.reload()
    await page.getByRole("button", { name: "How freely it acts: Read only" }).waitFor()
  })

  it("a link that was used is not good twice, and the page says what to do", async () => {
    const link = await world.link()
    const stranger = await browser.newContext()
    page = await stranger.newPage()
    complaints = []
    await page.goto(link)
    await page.getByRole("heading", { name: "What should be done?" }).waitFor()
    await stranger.clearCookies()
    await page.goto(`${world.server().url}/?again`)
    await page.getByRole("heading", { name: "Sign in to Turnkeeper" }).waitFor()
    await page.getByLabel("Or paste the link here").fill(link)
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.getByText("This link was used before").waitFor()
    await page.getByLabel("Or paste the link here").fill(await world.link())
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.getByRole("heading", { name: "What should be done?" }).waitFor()
    await stranger.close()
  })
})
