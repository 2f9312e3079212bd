/** Where the server is, as a client on this machine reaches it. */
import { Effect } from "effect"
import { HttpServer } from "effect/http"

/** `http://127.0.0.1:4317` */
export const url = Effect.map(HttpServer.HttpServer, ({ address }) =>
  HttpServer.formatAddress(address).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
)
