import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'

type Limit = { readonly maxOutputLength: number }

const decoders: Readonly<Record<string, (bytes: Buffer, limit: Limit) => Buffer>> = {
  identity: (bytes) => bytes,
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
}

/** Encodings of one answer, one upon the other: more would keep everybody waiting, as an archive that holds itself does. */
const ENCODINGS_MAX = 3

const BYTE_ORDER_MARK = /^\uFEFF/

/** The words of an answer. We ask for none that is encoded; some receivers encode all the same.
 * @param encoding `content-encoding` as it came: none, one, or several in the order in which they were applied
 * @param bytesMax bytes that it may have once it is decoded
 * @returns undefined: it cannot be read, since the encoding is unknown or broken, there are more than three, or the text is too long
 */
export function textOf(
  bytes: Buffer,
  encoding: string | readonly string[] | undefined,
  bytesMax: number,
): string | undefined {
  const listed = [encoding ?? []].flat().flatMap((text) => text.toLowerCase().split(','))
  const names = listed.map((one) => one.trim()).filter((one) => one !== '')
  if (names.length > ENCODINGS_MAX) return undefined
  let decoded = bytes
  for (const name of names.toReversed()) {
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
