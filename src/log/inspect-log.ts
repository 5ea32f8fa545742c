import type { LogRecord, Partition } from './event-log.ts'
import type { FileLog } from './event-logs/segment-files.ts'

export type LogInspection = {
  readonly log: FileLog
  /** Only this partition; its records are printed. Without it, an overview of all. */
  readonly partition?: Partition
  /** First offset to print; the oldest kept by default. */
  readonly fromOffset?: number
  /** Records to print. Default 20. */
  readonly limit?: number
  /** Reads everything and counts, instead of printing records. */
  readonly isVerified?: boolean
  /** What a payload says, for a person; the log itself does not know. */
  readonly describePayload: (payload: Buffer) => unknown
  /** Takes one line of JSON at a time. */
  readonly print: (line: string) => void
}

export type InspectionResult =
  | { readonly kind: 'inspected'; readonly records: number; readonly damagedOffsets: number }
  | { readonly kind: 'partition_unknown' }

const LIMIT_DEFAULT = 20
const BATCH = { maxRecords: 1_000, maxBytes: 4 * 1024 * 1024 }

/** Looks into the log: partitions, bounds and segments; then the records of one partition, or a check of everything.
 * @returns how many records were read and how many offsets are damaged in what was read
 */
export async function inspectLog(inspection: LogInspection): Promise<InspectionResult> {
  const all = await inspection.log.partitions()
  const partitions = all.filter((name) => inspection.partition === undefined || name === inspection.partition)
  if (inspection.partition !== undefined && partitions.length === 0) return { kind: 'partition_unknown' }
  const counts = { records: 0, damagedOffsets: 0 }
  for (const partition of partitions) {
    const bounds = await inspection.log.bounds(partition)
    printLine(inspection, { partition, ...bounds, segments: await inspection.log.segments(partition) })
    const isRead = inspection.isVerified === true || inspection.partition !== undefined
    if (isRead) await inspectRecords(inspection, partition, inspection.fromOffset ?? bounds.firstOffset, counts)
  }
  return { kind: 'inspected', ...counts }
}

async function inspectRecords(
  inspection: LogInspection,
  partition: Partition,
  fromOffset: number,
  counts: { records: number; damagedOffsets: number },
): Promise<void> {
  const isVerified = inspection.isVerified === true
  let left = isVerified ? Infinity : (inspection.limit ?? LIMIT_DEFAULT)
  for (let offset = fromOffset; left > 0;) {
    const limits = { ...BATCH, maxRecords: Math.min(BATCH.maxRecords, left) }
    const batch = await inspection.log.read(partition, offset, limits)
    if (batch.nextOffset === offset) return
    for (const damage of batch.damaged) {
      printLine(inspection, { damaged: damage })
      counts.damagedOffsets += damage.nextOffset - damage.firstOffset
    }
    if (!isVerified) for (const record of batch.records) printRecord(inspection, partition, record)
    counts.records += batch.records.length
    left -= batch.records.length
    offset = batch.nextOffset
  }
}

function printRecord(inspection: LogInspection, partition: Partition, record: LogRecord): void {
  printLine(inspection, {
    partition,
    offset: record.offset,
    appended_at: new Date(record.appendedAt).toISOString(),
    bytes: record.payload.length,
    payload: inspection.describePayload(record.payload),
  })
}

const printLine = (inspection: LogInspection, line: unknown): void => inspection.print(JSON.stringify(line))
