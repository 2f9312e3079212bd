/** What every response tells a browser, and what the page's own files tell it beside. */
import { HttpServerResponse } from "effect/http"

const always = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin"
}

/**
 * The page loads nothing but our own files and speaks to nobody but us: what an agent writes, a message
 * shows, and never runs or fetches.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

/** For each file of the web client. */
export const ofPage = {
  ...always,
  "content-security-policy": contentSecurityPolicy,
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "x-frame-options": "DENY"
}

export const secured = HttpServerResponse.setHeaders(always)

/** An answer that no cache may keep. */
export const json = (body: unknown, status = 200) =>
  HttpServerResponse.jsonUnsafe(body, { status, headers: { "cache-control": "no-store" } })

/** A typed refusal, as every route gives it. */
export const refusal = (status: number, error: { readonly _tag: string }) =>
  json({ ...error, _tag: error._tag }, status)
