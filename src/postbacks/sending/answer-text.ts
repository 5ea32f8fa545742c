import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'

type Limit = { readonly maxOutputLength: number }

const decoders: Readonly<Record<string, (bytes: Buffer, limit: Limit) => Buffer>> = {
  identity: (bytes) => bytes,
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
}

const BYTE_ORDER_MARK = /^\uFEFF/

/** The words of an answer. We ask for none that is encoded; some receivers encode all the same.
 * @param encoding `content-encoding` as it came: none, one, or several in the order in which they were applied
 * @param bytesMax bytes that it may have once it is decoded
 * @returns undefined: it cannot be read, since the encoding is unknown or broken, or the text is too long
 */
export function textOf(
  bytes: Buffer,
  encoding: string | readonly string[] | undefined,
  bytesMax: number,
): string | undefined {
  const names = [encoding ?? []].flat().flatMap((text) => text.toLowerCase().split(','))
  let decoded = bytes
  for (const name of names
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .reverse()) {
    const decode = Object.hasOwn(decoders, name) ? decoders[name] : undefined
    if (decode === undefined) return undefined
    try {
      decoded = decode(decoded, { maxOutputLength: bytesMax })
    } catch {
      // No such bytes, or more than is looked at.
      return undefined
    }
  }
  return decoded.toString('utf8').replace(BYTE_ORDER_MARK, '')
}
