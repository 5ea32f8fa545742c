/** A cache of at most 2 · `size` values that keeps what is asked for again: two generations of a Map. A hit costs one
 * look-up (a strict LRU on a Map costs a delete and an insert with each hit), and a value is dropped only when it was not
 * asked for while `size` others were.
 */
export class BoundedCache<Key extends string | number, Value> {
  readonly #size: number
  #young = new Map<Key, Value>()
  #old = new Map<Key, Value>()

  /** @param size values per generation, integer ≥ 1 */
  constructor(size: number) {
    this.#size = size
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: Key, value: Value): void {
    if (this.#young.size >= this.#size) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  /** Values held, at most twice the size. */
  get count(): number {
    return this.#young.size + this.#old.size
  }
}
