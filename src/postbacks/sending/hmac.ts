import { hash } from 'node:crypto'

/** HMAC-SHA256 of RFC 2104 out of two one-shot hashes: node:crypto's own makes an object and several calls into native code for each
 * message, and every delivery needs one.
 */

/** What a key makes of a block: computed once for each key, not for each message. */
export type SigningKey = { readonly inner: Buffer; readonly outer: Buffer }

const BLOCK_BYTES = 64
const DIGEST_BYTES = 32

/** @param key 64 bytes at most: a longer one would have to be hashed first */
export function createSigningKey(key: Buffer): SigningKey {
  if (key.length > BLOCK_BYTES) throw new RangeError(`A key for HMAC has ${BLOCK_BYTES} bytes at most.`)
  const padded = (byte: number, length: number): Buffer => {
    const block = Buffer.alloc(length)
    for (let index = 0; index < BLOCK_BYTES; index += 1) block[index] = (key[index] ?? 0) ^ byte
    return block
  }
  return { inner: padded(0x36, BLOCK_BYTES), outer: padded(0x5c, BLOCK_BYTES + DIGEST_BYTES) }
}

/** Holds the message behind the inner block while it is hashed. */
let scratch = Buffer.allocUnsafe(16_384)

/** @param parts of the content, one after the other: a long one need not be joined with a short one first */
export function hmacSha256(
  { inner, outer }: SigningKey,
  parts: readonly (string | Buffer)[],
  encoding: 'base64' | 'hex',
): string {
  // A character of a string has three bytes at most.
  const lengthMax = parts.reduce((sum, part) => sum + part.length * (typeof part === 'string' ? 3 : 1), BLOCK_BYTES)
  if (scratch.length < lengthMax) scratch = Buffer.allocUnsafe(lengthMax)
  scratch.set(inner)
  let length = BLOCK_BYTES
  for (const part of parts)
    length += typeof part === 'string' ? scratch.write(part, length) : part.copy(scratch, length)
  // Node gives out hex without making a Buffer first, which costs less than half.
  outer.write(hash('sha256', scratch.subarray(0, length), 'hex'), BLOCK_BYTES, 'hex')
  return hash('sha256', outer, encoding)
}
