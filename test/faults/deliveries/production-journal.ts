import { closeSync, existsSync, fdatasync, openSync, readFileSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'

/** What the producer asked of the database, and what it was answered; numbers `from` to `to`, exclusive. */
export type ProductionLine =
  | { readonly kind: 'asked'; readonly from: number; readonly to: number }
  | {
      readonly kind: 'acknowledged'
      readonly from: number
      readonly to: number
      /** Just before its COMMIT; milliseconds since the epoch, with fractions. */
      readonly committedAt: number
    }
  | { readonly kind: 'failed'; readonly from: number; readonly to: number; readonly why: string }

export type ProductionJournal = {
  /** On the disk when it resolves. */
  readonly write: (line: ProductionLine) => Promise<void>
  readonly close: () => Promise<void>
}

export function openProductionJournal(file: string): ProductionJournal {
  const descriptor = openSync(file, 'a', 0o600)
  return {
    write: (line) => {
      writeSync(descriptor, `${JSON.stringify(line)}\n`)
      return promisify(fdatasync)(descriptor)
    },
    close: () => Promise.resolve(closeSync(descriptor)),
  }
}

type Range = { readonly from: number; readonly to: number }

export type Production = {
  /** Asked for, and not known to have been done. */
  readonly unknown: readonly Range[]
  /** The first number that was never asked for. */
  readonly next: number
  /** When each acknowledged number was committed. */
  readonly committedAt: ReadonlyMap<number, number>
  readonly failures: number
}

/** A line that a kill cut off says nothing: what it was about was not acknowledged to anybody. */
export function readProduction(file: string): Production {
  const open = new Map<number, Range>()
  const committedAt = new Map<number, number>()
  let next = 0
  let failures = 0
  for (const line of readLines(file)) {
    if (line.kind === 'failed') failures += 1
    if (line.kind === 'asked') open.set(line.from, line)
    next = Math.max(next, line.to)
    if (line.kind !== 'acknowledged') continue
    open.delete(line.from)
    for (let number = line.from; number < line.to; number += 1) committedAt.set(number, line.committedAt)
  }
  return { unknown: [...open.values()], next, committedAt, failures }
}

function readLines(file: string): readonly ProductionLine[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.slice(0, -1).map((line) => JSON.parse(line) as ProductionLine)
}
