type Mark<Worker> = { worker: Worker | undefined; readonly crashes: number; readonly isOnce: boolean }

export type Aside<Row> = { readonly unknown: readonly Row[]; readonly quarantined: readonly Row[] }

/** `delivery_marks` in memory: what workers wrote down before they tried it. Does what the statements of ownership.ts do. */
export class MarkTable<Row, Worker> {
  readonly #marks = new Map<Row, Mark<Worker>>()

  has(row: Row): boolean {
    return this.#marks.has(row)
  }

  /** Whether anybody may mark it: nobody has, or a worker that is gone, and it may arrive more than once. */
  isFree(row: Row): boolean {
    const mark = this.#marks.get(row)
    return mark === undefined || (mark.worker === undefined && !mark.isOnce)
  }

  /** @returns how many workers died with it in a row; undefined: it may not be tried */
  mark(
    row: Row,
    worker: Worker,
    { isOnce, isRepeat = false }: { isOnce: boolean; isRepeat?: boolean },
  ): number | undefined {
    const known = this.#marks.get(row)
    if (!this.isFree(row) && !(isRepeat && known?.worker === worker)) return undefined
    const crashes = known?.crashes ?? 0
    this.#marks.set(row, { worker, crashes, isOnce })
    return crashes
  }

  /** Its try is on record. */
  unmark(row: Row, worker: Worker): void {
    if (this.#marks.get(row)?.worker === worker) this.#marks.delete(row)
  }

  /** The worker was taken for dead. */
  accuse(worker: Worker): void {
    for (const [row, mark] of this.#marks)
      if (mark.worker === worker) this.#marks.set(row, { ...mark, worker: undefined, crashes: mark.crashes + 1 })
  }

  /** The worker left by itself, with nothing under way. */
  leave(worker: Worker): void {
    for (const mark of this.#marks.values()) if (mark.worker === worker) mark.worker = undefined
  }

  /** What must not be tried again.
   * @param isWaiting where it was marked
   */
  setAside(crashesMax: number, isWaiting: (row: Row) => boolean): Aside<Row> {
    const pills = [...this.#marks].filter(([, mark]) => mark.worker === undefined && (mark.crashes >= crashesMax || mark.isOnce)) // prettier-ignore
    for (const [row] of pills) this.#marks.delete(row)
    const found = pills.filter(([row]) => isWaiting(row))
    return {
      unknown: found.filter(([, { isOnce }]) => isOnce).map(([row]) => row),
      quarantined: found.filter(([, { isOnce }]) => !isOnce).map(([row]) => row),
    }
  }
}
