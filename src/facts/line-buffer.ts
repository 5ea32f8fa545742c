const START_BYTES = 1 << 16

/** Lines of an insert in one growing buffer, so that thousands of rows cost no object each. */
export class LineBuffer {
  #bytes: Buffer
  #length = 0
  #lines = 0

  /** @param expectedBytes of all lines; each time it turns out too small the buffer doubles and is copied */
  constructor(expectedBytes = START_BYTES) {
    this.#bytes = Buffer.allocUnsafe(expectedBytes)
  }

  get lineCount(): number {
    return this.#lines
  }

  /** A row as JSON text. */
  addText(json: string): void {
    this.#reserve(json.length * 3 + 1)
    this.#length += this.#bytes.write(json, this.#length)
    this.#endLine()
  }

  /** A row that is there as the bytes of a JSON object, with more fields at its end.
   * @param object bytes from `{` to `}`, not empty inside
   * @param moreFields `"name":value` pairs, comma-separated, ASCII only
   */
  addObject(object: Buffer, moreFields: string): void {
    this.#reserve(object.length + moreFields.length + 2)
    this.#length += object.copy(this.#bytes, this.#length, 0, object.length - 1)
    this.#length += this.#bytes.write(`,${moreFields}}`, this.#length, 'latin1')
    this.#endLine()
  }

  /** All lines so far; valid until the next one is added. */
  toBuffer(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #endLine(): void {
    this.#bytes[this.#length++] = 0x0a
    this.#lines++
  }

  #reserve(more: number): void {
    if (this.#length + more + 1 <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + more + 1))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
