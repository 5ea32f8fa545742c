import { closeSync, fdatasync, openSync, readFileSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'

/** What the installation acknowledged to a client, one JSON line each. */
export type Acknowledged =
  | { readonly kind: 'click'; readonly clickId: string; readonly at: number }
  | {
      readonly kind: 'event'
      readonly clickId: string
      readonly type: string
      readonly txid: string
      readonly at: number
    }
  | { readonly kind: 'postback'; readonly clickId: string; readonly txid: string; readonly at: number }

export type Journal = {
  /** Kept at once; on the disk after the next flush. */
  readonly write: (line: Acknowledged) => void
  /** Flushes to the disk what was written. */
  readonly flush: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The client's own memory of what it was promised, kept apart from everything that Waypost writes. */
export function openJournal(file: string): Journal {
  const descriptor = openSync(file, 'a', 0o600)
  const flush = (): Promise<void> => promisify(fdatasync)(descriptor)
  return {
    write: (line) => void writeSync(descriptor, `${JSON.stringify(line)}\n`),
    flush,
    close: async () => {
      await flush()
      closeSync(descriptor)
    },
  }
}

export const readJournal = (file: string): readonly Acknowledged[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Acknowledged)
