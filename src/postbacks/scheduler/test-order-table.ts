type Ranked = { readonly id: number; readonly clickId: number; readonly place: string }

/** `delivery_order` of one endpoint in memory: its messages in the order of their places. Does what the statements of turns.ts do. */
export class OrderTable<Row extends Ranked> {
  readonly #rows: Row[] = []

  get rows(): readonly Row[] {
    return this.#rows
  }

  /** In the order of their ids, behind those that were ranked before. */
  rank(rows: readonly Row[]): void {
    for (const row of rows.toSorted((a, b) => a.id - b.id)) if (!this.#rows.includes(row)) this.#rows.push(row)
  }

  /** Those that have another of their click before them. */
  behind(rows: readonly Row[]): readonly Row[] {
    return rows.filter((row) => this.firstOf(row.clickId) !== row)
  }

  firstOf(clickId: number): Row | undefined {
    return this.#rows.find((row) => row.clickId === clickId)
  }

  /** The first of each click. */
  first(): readonly Row[] {
    return this.#rows.filter((row) => this.firstOf(row.clickId) === row)
  }

  /** @returns false: it had no place */
  remove(row: Row): boolean {
    const index = this.#rows.indexOf(row)
    if (index >= 0) this.#rows.splice(index, 1)
    return index >= 0
  }
}
