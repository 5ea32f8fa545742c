/** What a receiver got since it was last told to forget. */
export type ArrivalReport = {
  /** Messages that came at least once. */
  readonly different: number
  /** Arrivals beyond the first of each. */
  readonly doubled: number
  /** Requests that were no message of the bench. */
  readonly strange: number
}

/** The receiver's books: how often each message came, and when it came first. Messages are numbered from 0, so that an arrival costs
 * two writes into arrays that grow by doubling.
 */
export class Arrivals {
  #counts = new Uint16Array(1_024)
  #firstAt = new Float64Array(1_024)
  #different = 0
  #doubled = 0
  #strange = 0

  /** @param number undefined: no message of the bench
   * @param at milliseconds of the machine's monotonic clock
   */
  note(number: number | undefined, at: number): void {
    if (number === undefined) {
      this.#strange += 1
      return
    }
    if (number >= this.#counts.length) this.#grow(number)
    const count = this.#counts[number]!
    this.#counts[number] = count + 1
    if (count > 0) {
      this.#doubled += 1
      return
    }
    this.#different += 1
    this.#firstAt[number] = at
  }

  report(): ArrivalReport {
    return { different: this.#different, doubled: this.#doubled, strange: this.#strange }
  }

  /** When the messages `from` to `to`, exclusive, came first; NaN: not at all. */
  firstArrivals(from: number, to: number): Float64Array {
    return Float64Array.from({ length: to - from }, (_, index) =>
      (this.#counts[from + index] ?? 0) === 0 ? Number.NaN : this.#firstAt[from + index]!,
    )
  }

  forget(): void {
    this.#counts.fill(0)
    this.#different = 0
    this.#doubled = 0
    this.#strange = 0
  }

  #grow(number: number): void {
    const length = 2 ** Math.ceil(Math.log2(number + 1))
    const counts = new Uint16Array(length)
    const firstAt = new Float64Array(length)
    counts.set(this.#counts)
    firstAt.set(this.#firstAt)
    this.#counts = counts
    this.#firstAt = firstAt
  }
}
