/** Numbers that look random and come again with the same seed. */
export type SeededRandom = {
  /** In [0, 1). */
  readonly next: () => number
  /** Integer in [min, max]. */
  readonly integer: (min: number, max: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <Item>(items: readonly Item[]) => Item
  /** Drawn by `weight`; the items' weights must not all be 0. */
  readonly pickWeighted: <Item extends { readonly weight: number }>(items: readonly Item[]) => Item
  /** `length` characters of the alphabet. */
  readonly text: (length: number, alphabet?: string) => string
  /** A UUID of version 4 made of these numbers. */
  readonly uuid: () => string
}

const HEX = '0123456789abcdef'
const ALPHANUMERIC = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** A generator for the seed (mulberry32: good enough for traffic, not for secrets).
 * @param seed integer
 */
export function createSeededRandom(seed: number): SeededRandom {
  const next = mulberry32(seed)
  const integer = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1))
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(next() * items.length)]!
  const text = (length: number, alphabet = ALPHANUMERIC): string => {
    let result = ''
    for (let index = 0; index < length; index++) result += alphabet[Math.floor(next() * alphabet.length)]!
    return result
  }
  return {
    next,
    integer,
    chance: (probability) => next() < probability,
    pick,
    pickWeighted: (items) => pickByWeight(items, next()),
    text,
    uuid: () =>
      `${text(8, HEX)}-${text(4, HEX)}-4${text(3, HEX)}-${pick(['8', '9', 'a', 'b'])}${text(3, HEX)}-${text(12, HEX)}`,
  }
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function pickByWeight<Item extends { readonly weight: number }>(items: readonly Item[], draw: number): Item {
  const total = items.reduce((sum, item) => sum + item.weight, 0)
  let left = draw * total
  for (const item of items) {
    left -= item.weight
    if (left < 0) return item
  }
  return items.findLast((item) => item.weight > 0)!
}
