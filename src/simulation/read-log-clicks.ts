import type { EventLog } from '#log'
import { clickIdOf } from '#records'
import type { LogStart, Period } from '#reports'

/** What a simulation reads of the log. */
export type ReadableLog = Pick<EventLog, 'partitions' | 'bounds' | 'read'>

/** Records of one partition that may be of a period. */
export type LogRange = LogStart & { readonly nextOffset: number; readonly oldestOffset: number }

/** A click is appended when it is decided; a slow disk may hold it up for a while. */
const APPEND_DELAY_MS_MAX = 10_000
const BATCH = { maxRecords: 4_000, maxBytes: 4 * 1024 * 1024 }

/** Where the records of a period lie, found by their append times.
 * @returns `firstOffset`: where reading begins; `oldestOffset`: the oldest that the log still has
 */
export async function findLogRanges(log: ReadableLog, { fromMs, toMs }: Period): Promise<readonly LogRange[]> {
  const partitions = await log.partitions()
  return Promise.all(
    partitions.map(async (partition) => {
      const { firstOffset: oldestOffset, nextOffset } = await log.bounds(partition)
      const place = (atMs: number, from: number): Promise<number> =>
        findOffset(log, partition, { from, to: nextOffset }, atMs)
      const firstOffset = await place(fromMs, oldestOffset)
      return { partition, oldestOffset, firstOffset, nextOffset: await place(toMs + APPEND_DELAY_MS_MAX, firstOffset) }
    }),
  )
}

/** The first record that was appended at that time or later: append times never decrease within a partition. */
async function findOffset(
  log: ReadableLog,
  partition: string,
  { from, to }: { readonly from: number; readonly to: number },
  atMs: number,
): Promise<number> {
  let low = from
  let high = to
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const { records, nextOffset } = await log.read(partition, middle, { maxRecords: 1, maxBytes: 1 })
    const [record] = records
    if (record === undefined && nextOffset >= high) high = middle
    else if (record !== undefined && record.appendedAt >= atMs) high = middle
    else low = Math.max(middle + 1, Math.min(nextOffset, high))
  }
  return low
}

/** Clicks of the ranges as lines of JSON, and how many records could not be read.
 * @param isTaken whether a click is in the sample
 */
export async function* readLogClicks(
  log: ReadableLog,
  ranges: readonly LogRange[],
  isTaken: (clickId: string) => boolean,
): AsyncGenerator<{ readonly lines: Uint8Array<ArrayBuffer>; readonly clicks: number; readonly lost: number }> {
  for (const { partition, firstOffset, nextOffset } of ranges)
    for (let offset = firstOffset; offset < nextOffset;) {
      const limits = { ...BATCH, maxRecords: Math.min(BATCH.maxRecords, nextOffset - offset) }
      const batch = await log.read(partition, offset, limits)
      if (batch.nextOffset === offset) break
      const payloads = batch.records.flatMap(({ payload }) => {
        const clickId = clickIdOf(payload)
        return clickId !== undefined && isTaken(clickId) ? [payload] : []
      })
      const lost = batch.damaged.reduce((sum, one) => sum + one.nextOffset - one.firstOffset, 0)
      yield { lines: joinLines(payloads), clicks: payloads.length, lost }
      offset = batch.nextOffset
    }
}

/** Payloads without their tag, one on each line, in memory of their own: it is handed over to a thread, and the payloads may be
 * views of a larger buffer. JSON has no line breaks of its own.
 */
function joinLines(payloads: readonly Buffer[]): Uint8Array<ArrayBuffer> {
  const lines = new Uint8Array(payloads.reduce((sum, payload) => sum + payload.length, 0))
  let at = 0
  for (const payload of payloads) {
    lines.set(payload.subarray(1), at)
    at += payload.length
    lines[at - 1] = LINE_FEED
  }
  return lines
}

const LINE_FEED = 0x0a
