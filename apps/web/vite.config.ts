/**
 * The web client as plain files in `dist`, which the server gives out. In development: `npx vite` beside a
 * server, whose address is given by TURNKEEPER_URL; `/gallery.html` shows the parts with made rows.
 */
import react from "@vitejs/plugin-react"
import { defineConfig } from "vitest/config"
import shared from "../../scripts/vitestShared.ts"

const server = process.env["TURNKEEPER_URL"] ?? "http://127.0.0.1:4317"
const proxied = { target: server, changeOrigin: true, rewriteWsOrigin: true, ws: true }

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/auth": proxied, "/rpc": proxied } },
  ...shared,
  build: {
    // The server's rules for a page allow files only: nothing may end up inside of another file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2024",
    // What changes seldom stays in the browser's cache when we do not.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            {
              name: "react",
              test: /[\\/]node_modules[\\/](?:\.bun[\\/])?(?:react|react-dom|scheduler)[@\\/]/
            },
            { name: "effect", test: /[\\/]node_modules[\\/](?:\.bun[\\/])?effect[@\\/]/ },
            {
              name: "menus",
              test: /[\\/]node_modules[\\/](?:\.bun[\\/])?(?:radix-ui|@radix-ui|@floating-ui|aria-hidden)[@+\\/]/
            }
          ]
        }
      }
    }
  }
})
