/** Two 32-bit hashes of a key, from which all its places in a table are made. Kept in one object, overwritten by the next call:
 * the hash of a key is taken several times for every click.
 */
export const keyHash = { first: 0, second: 0 }

/** @param seed known to nobody outside: else somebody could choose visitor codes that fill the cells of another visitor */
export function hashKey(key: string, seed: number): typeof keyHash {
  let first = seed ^ 0x811c9dc5
  let second = Math.imul(seed, 0x9e3779b1) ^ 0x2545f491
  for (let index = 0; index < key.length; index += 1) {
    const unit = key.charCodeAt(index)
    first = Math.imul(first ^ unit, 0x01000193)
    second = Math.imul((second << 5) ^ (second >>> 27) ^ unit, 0x85ebca6b)
  }
  keyHash.first = finish(first)
  keyHash.second = finish(second ^ key.length)
  return keyHash
}

/** Every bit reaches every bit (finaliser of MurmurHash3). */
function finish(given: number): number {
  let hash = Math.imul(given ^ (given >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) | 0
}
