import type { Claim, ClaimRequest, Origin } from './hot-state.ts'

/** One record that held a key, and until when. */
export type Holder = { readonly origin: Origin; readonly at: number; readonly expiresAt: number }

/** Holders kept for a key. Earlier ones matter only to a batch that is replayed, and a key must lapse this many times
 * within one batch before a replay could get another answer.
 */
export const HOLDERS_MAX = 32

/** Decides a claim against all who held the key, oldest first.
 *
 *     free ──claim──▶ held ──(at > expiresAt of the last holder)──▶ held by the next
 *
 * A record that ever held the key is first again, so a replay after a take-over changes nothing. Any other is told the
 * oldest holder whose claim had not lapsed at the time of the request: later take-overs do not change that answer either.
 * @returns the answer, and the holders to keep where they change
 */
export function judgeClaim(
  holders: readonly Holder[],
  request: ClaimRequest,
): { readonly claim: Claim; readonly holders?: readonly Holder[] } {
  if (holders.some((holder) => isSameOrigin(holder.origin, request.origin))) return { claim: { kind: 'first' } }
  const blocker = holders.find((holder) => holder.expiresAt >= request.at)
  if (blocker !== undefined) return { claim: { kind: 'taken', by: blocker.origin, at: blocker.at } }
  const holder = { origin: request.origin, at: request.at, expiresAt: request.at + request.ttlMs }
  return { claim: { kind: 'first' }, holders: [...holders, holder].slice(-HOLDERS_MAX) }
}

const isSameOrigin = (a: Origin, b: Origin): boolean => a.offset === b.offset && a.partition === b.partition

/** Bytes of a holder beside the partition's name: its length, offset, at, expiry. */
const HOLDER_BYTES = 25

/** Holders one after the other; a partition's name has at most 255 bytes. */
export function encodeHolders(holders: readonly Holder[]): Buffer {
  const names = holders.map((holder) => Buffer.from(holder.origin.partition, 'utf8'))
  const bytes = Buffer.allocUnsafe(names.reduce((sum, name) => sum + HOLDER_BYTES + name.length, 0))
  let at = 0
  for (const [index, holder] of holders.entries()) {
    at = bytes.writeUInt8(names[index]!.length, at)
    at += names[index]!.copy(bytes, at)
    at = bytes.writeDoubleLE(holder.origin.offset, at)
    at = bytes.writeDoubleLE(holder.at, at)
    at = bytes.writeDoubleLE(holder.expiresAt, at)
  }
  return bytes
}

export function decodeHolders(bytes: Buffer): readonly Holder[] {
  const holders: Holder[] = []
  for (let at = 0; at < bytes.length;) {
    const nameEnd = at + 1 + bytes[at]!
    const partition = bytes.toString('utf8', at + 1, nameEnd)
    const origin = { partition, offset: bytes.readDoubleLE(nameEnd) }
    holders.push({ origin, at: bytes.readDoubleLE(nameEnd + 8), expiresAt: bytes.readDoubleLE(nameEnd + 16) })
    at = nameEnd + 24
  }
  return holders
}
