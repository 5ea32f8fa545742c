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

/** Clicks of the ranges as lines of JSON in the order in which they were appended, whatever their partition, and how many records could not
 * be read. Holds one batch of each partition.
 * @param isTaken whether a click is in the sample
 */
export async function* readLogClicks(
  log: ReadableLog,
  ranges: readonly LogRange[],
  isTaken: (clickId: string) => boolean,
): AsyncGenerator<{ readonly lines: Uint8Array<ArrayBuffer>; readonly clicks: number; readonly lost: number }> {
  const streams = ranges.map((range): Stream => ({ partition: range.partition, offset: range.firstOffset, end: range.nextOffset, records: [] })) // prettier-ignore
  for (;;) {
    let lost = 0
    for (const stream of streams) lost += await fill(log, stream)
    const open = streams.filter(({ records }) => records.length > 0)
    if (open.length === 0 && lost === 0) return
    // What is appended later stands behind the last record of each batch; a stream that has ended holds nobody up.
    const until = Math.min(...open.map(({ records }) => records.at(-1)!.appendedAt))
    const next = open.flatMap((stream) => takeUntil(stream, until))
    if (open.length > 1) next.sort((a, b) => a.appendedAt - b.appendedAt)
    const payloads = next.flatMap(({ payload }) => {
      const clickId = clickIdOf(payload)
      return clickId !== undefined && isTaken(clickId) ? [payload] : []
    })
    yield { lines: joinLines(payloads), clicks: payloads.length, lost }
  }
}

type LogRecord = Awaited<ReturnType<ReadableLog['read']>>['records'][number]

/** A partition as far as it is read. */
type Stream = { readonly partition: string; offset: number; readonly end: number; records: readonly LogRecord[] }

/** Reads on where nothing is left. @returns records that could not be read */
async function fill(log: ReadableLog, stream: Stream): Promise<number> {
  let lost = 0
  while (stream.records.length === 0 && stream.offset < stream.end) {
    const limits = { ...BATCH, maxRecords: Math.min(BATCH.maxRecords, stream.end - stream.offset) }
    const batch = await log.read(stream.partition, stream.offset, limits)
    lost += batch.damaged.reduce((sum, one) => sum + one.nextOffset - one.firstOffset, 0)
    stream.records = batch.records
    stream.offset = batch.nextOffset === stream.offset ? stream.end : batch.nextOffset
  }
  return lost
}

/** Append times never decrease within a partition. */
function takeUntil(stream: Stream, untilMs: number): readonly LogRecord[] {
  const { records } = stream
  const later = records.findIndex(({ appendedAt }) => appendedAt > untilMs)
  stream.records = later === -1 ? [] : records.slice(later)
  return later === -1 ? records : records.slice(0, later)
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
