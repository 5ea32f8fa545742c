import type { CapGap } from '#caps'
import type { EventLog, Partition, ReadLimits } from '#log'
import { clickIdOf, type ClickRecord } from '#records'

import { Stopped } from './retry.ts'
import { readSoundClick } from './sound-record.ts'

/** Few enough that the process does other work in between. */
const LIMITS: ReadLimits = { maxRecords: 1_000, maxBytes: 4 << 20 }
const ONE: ReadLimits = { maxRecords: 1, maxBytes: 1 }
/** A click is appended a little after the moment that it is timed by, and clocks are set now and then. */
const MARGIN_MS = 60_000

/** The clicks of the log that were appended within a time, and some from around it.
 * @throws {Stopped} the signal aborted
 */
export async function* readLostClicks(
  log: EventLog,
  { sinceMs, untilMs }: CapGap,
  signal: AbortSignal,
): AsyncGenerator<ClickRecord> {
  for (const partition of await log.partitions()) {
    const { nextOffset } = await log.bounds(partition)
    let offset = await findOffset(log, partition, sinceMs - MARGIN_MS)
    while (offset < nextOffset) {
      if (signal.aborted) throw new Stopped()
      const { records, nextOffset: next } = await log.read(partition, offset, LIMITS)
      for (const { payload } of records) {
        const click = clickIdOf(payload) === undefined ? undefined : readSoundClick(payload)
        if (click !== undefined) yield click
      }
      if (next === offset || (records.at(-1)?.appendedAt ?? 0) > untilMs + MARGIN_MS) break
      offset = next
    }
  }
}

/** The first offset that was appended at that time or later: times never decrease within a partition. */
async function findOffset(log: EventLog, partition: Partition, atMs: number): Promise<number> {
  const bounds = await log.bounds(partition)
  let [low, high] = [bounds.firstOffset, bounds.nextOffset]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const { records } = await log.read(partition, middle, ONE)
    const [record] = records
    if (record === undefined || record.appendedAt >= atMs) high = middle
    else low = Math.max(middle, record.offset) + 1
  }
  return low
}
