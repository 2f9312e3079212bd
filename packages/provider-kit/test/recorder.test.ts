/** Transcripts tell what happened on the wire, and nothing of the machine it happened on. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { homedir } from "node:os"
import { makeRecorder, messageOf, neutralizer } from "../src/testing/recorder.ts"

const places = [
  ["/tmp/world-1/project", "/home/user/project"],
  ["/tmp/world-1", "/home/user"]
] as const

describe("a recorder", () => {
  it("keeps lines of a child process in their order, as JSON where they are", () => {
    const recorder = makeRecorder()
    recorder.tap("sent", '{"id":1,"method":"initialize"}')
    recorder.tap("received", "warming up")
    recorder.tap("received", '{"id":1,"result":{}}')
    assert.deepStrictEqual(recorder.transcript().trimEnd().split("\n"), [
      '{"send":{"id":1,"method":"initialize"}}',
      '{"recv":"warming up"}',
      '{"recv":{"id":1,"result":{}}}'
    ])
  })

  it("keeps calls over HTTP, their answers and the events of a stream", () => {
    assert.deepStrictEqual(messageOf('POST /session?directory=x {"title":"a"}'), {
      call: "POST /session?directory=x",
      body: { title: "a" }
    })
    assert.deepStrictEqual(messageOf("GET /session/status"), { call: "GET /session/status" })
    assert.deepStrictEqual(messageOf('200 /session [{"id":"s"}]'), {
      status: 200,
      call: "/session",
      body: [{ id: "s" }]
    })
    assert.deepStrictEqual(messageOf("204 /session/abort "), { status: 204, call: "/session/abort" })
    assert.deepStrictEqual(messageOf('data: {"type":"server.connected"}'), { type: "server.connected" })
  })

  it("replaces places, the longest first, and the user's home", () => {
    const recorder = makeRecorder({ places })
    recorder.tap("received", JSON.stringify({ cwd: "/tmp/world-1/project/src", home: "/tmp/world-1/x" }))
    assert.include(recorder.transcript(), '{"cwd":"/home/user/project/src","home":"/home/user/x"}')
    assert.strictEqual(neutralizer({ places })("tmp/world-1/project/src"), "home/user/project/src")
    if (homedir() !== "/") assert.notInclude(neutralizer({})(`${homedir()}/notes`), `${homedir()}/`)
  })

  it("replaces what was given as a secret, and what looks like one", () => {
    const neutral = neutralizer({ secrets: ["correct horse"] })
    for (const secret of [
      "correct horse",
      "sk-0123456789abcdefghij",
      "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
      "somebody@company.org"
    ]) {
      assert.notInclude(neutral(`it is ${secret}.`), secret)
    }
    assert.strictEqual(neutral("Authorization: Bearer abcdefgh12345"), "Authorization: Bearer (secret)")
    assert.strictEqual(neutral("http://127.0.0.1:41523/v1"), "http://127.0.0.1:1/v1")
  })

  it("what was made neutral once stays as it is", () => {
    const neutral = neutralizer({ places, secrets: ["correct horse"] })
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.constantFrom(
              "correct horse",
              "/tmp/world-1/project",
              "sk-0123456789abcdefghij",
              "a@b.org",
              "Bearer abcdefgh12345",
              "localhost:80"
            )
          )
        ),
        (parts) => {
          const once = neutral(parts.join(" "))
          assert.strictEqual(neutral(once), once)
        }
      )
    )
  })
})
