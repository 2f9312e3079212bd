/** By which prompts each situation is provoked. */
import type { Prompts } from "@turnkeeper/provider-kit/testing/conformance"

export const prompts: Partial<Prompts> = {
  text: "Hello",
  slow: "count 2000",
  approval: "run printf approved",
  tool: "run sleep 60",
  fail: "fail on purpose",
  stall: "wait",
  flood: "flood 20000",
  unknown: "hum",
  // It has no model behind it whose connection could break.
  transient: null,
  retrying: null
}
