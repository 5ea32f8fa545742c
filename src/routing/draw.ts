/** Draws that can be replayed: the same click, configuration version and place in the tree always draw the same. */

/** 32-bit FNV-1a of a text's UTF-16 units. @see http://www.isthe.com/chongo/tech/comp/fnv/ */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** Two hashes made one, every bit of either reaching every bit of the result (finaliser of MurmurHash3). */
function mixHashes(left: number, right: number): number {
  let hash = left ^ Math.imul(right, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Seed of a place where something is drawn: its configuration version and node. */
export const drawSeed = (version: number, node: string): number => hashText(`${version}|${node}`)

/** An integer in [0, total), evenly spread over clicks.
 * @param total integer ≥ 1
 */
export const drawNumber = (clickHash: number, seed: number, total: number): number =>
  Math.floor((mixHashes(clickHash, seed) / 2 ** 32) * total)

/** The candidate that a number in [0, sum of weights) falls on. */
export function candidateAt<T extends { readonly weight: number }>(candidates: readonly T[], drawn: number): T {
  let left = drawn
  for (const candidate of candidates) {
    left -= candidate.weight
    if (left < 0) return candidate
  }
  throw new RangeError(`Draw of ${drawn} is outside the weights of the candidates.`)
}

export const totalWeight = (candidates: readonly { readonly weight: number }[]): number => {
  let total = 0
  for (const candidate of candidates) total += candidate.weight
  return total
}
