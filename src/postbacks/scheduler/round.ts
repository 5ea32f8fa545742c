/** Forgotten places at the front until the others move up. */
const GONE_MAX = 256

/** Who comes next: everyone once, in the order of coming; a Set whose first is taken out again and again would be walked from its
 * forgotten beginning each time.
 */
export class Round<T extends object> {
  #items: (T | undefined)[] = []
  #head = 0
  /** Where an item stands, counted from the first that there ever was. */
  readonly #places = new Map<T, number>()
  #gone = 0

  get size(): number {
    return this.#places.size
  }

  first(): T | undefined {
    return this.#items[this.#head]
  }

  /** Puts an item at the end; one that is there stays where it is. */
  add(item: T): void {
    if (this.#places.has(item)) return
    this.#places.set(item, this.#gone + this.#items.length)
    this.#items.push(item)
  }

  /** @returns whether it was there */
  delete(item: T): boolean {
    const place = this.#places.get(item)
    if (place === undefined) return false
    this.#places.delete(item)
    this.#items[place - this.#gone] = undefined
    while (this.#head < this.#items.length && this.#items[this.#head] === undefined) this.#head += 1
    if (this.#head >= GONE_MAX && this.#head * 2 >= this.#items.length) this.#forgetGone()
    return true
  }

  #forgetGone(): void {
    this.#items = this.#items.slice(this.#head)
    this.#gone += this.#head
    this.#head = 0
  }
}
