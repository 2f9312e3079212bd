/** A prompt in the protocol's blocks of content. */
import type { Attachment } from "@turnkeeper/domain/thread/Command"
import type { Prompt } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import { readFile, stat } from "node:fs/promises"
import { pathToFileURL } from "node:url"
import type { ContentBlock } from "./protocol.ts"

/** Of one picture that is sent as a whole; a larger one goes as a link. */
const imageBytesMax = 10 * 1024 * 1024

/**
 * Null for an attachment that is neither a file nor an address. A picture goes as its bytes where the agent
 * takes them, everything else as a link, which every agent has to take.
 */
export const blocksOf = (prompt: Prompt, takesImages: boolean): Effect.Effect<Array<ContentBlock> | null> =>
  Effect.forEach(prompt.attachments, (attachment) => blockOf(attachment, takesImages)).pipe(
    Effect.map((attached) => {
      const reachable = attached.filter((block) => block !== null)
      if (reachable.length < attached.length) return null
      return [...(prompt.text === "" ? [] : [{ type: "text" as const, text: prompt.text }]), ...reachable]
    })
  )

const blockOf = (attachment: Attachment, takesImages: boolean): Effect.Effect<ContentBlock | null> => {
  const { name, mediaType, source } = attachment
  const [, mimeType, data] = /^data:([^;,]+);base64,(.+)$/s.exec(source) ?? []
  if (mimeType !== undefined && data !== undefined) {
    return Effect.succeed(
      takesImages && mimeType.startsWith("image/") ? { type: "image", data, mimeType } : null
    )
  }
  const isFile = source.startsWith("/")
  if (!isFile && !/^https?:/.test(source)) return Effect.succeed(null)
  const link: ContentBlock = {
    type: "resource_link",
    name,
    mimeType: mediaType,
    uri: isFile ? pathToFileURL(source).href : source
  }
  if (!isFile || !takesImages || !mediaType.startsWith("image/")) return Effect.succeed(link)
  return Effect.tryPromise(async (): Promise<ContentBlock> => {
    if ((await stat(source)).size > imageBytesMax) return link
    return { type: "image", data: await readFile(source, "base64"), mimeType: mediaType, uri: link.uri }
  }).pipe(Effect.catch(() => Effect.succeed(null)))
}
