import { existsSync } from 'node:fs'

import type { Config } from '#config'
import { openFileLog, type FileLog, type LogBatch } from '#log'
import { createLogLines } from '#platform/log-lines'
import { decodeRecord } from '#records'

import { dataPaths } from './data-directory.ts'

export type InspectOptions = {
  /** Left out: a summary of every partition. */
  readonly partition?: string
  /** Offset of the first record shown; left out: the oldest kept. */
  readonly from?: number
  /** Most records shown, integer ≥ 1. */
  readonly limit: number
}

const BATCH_BYTES_MAX = 4 * 1024 * 1024
const BATCH_RECORDS_MAX = 1_000

/** `waypost log inspect`: the partitions, or the records of one as a line of JSON each. Reads beside a running installation.
 * @returns exit code: 0; 1 where something of what was shown is damaged
 * @throws {Error} there is no log or no such partition
 */
export async function inspectLog(config: Config, options: InspectOptions): Promise<number> {
  const { log: directory } = dataPaths(config.dataDir)
  if (!existsSync(directory)) throw new Error(`There is no event log in ${directory}.`)
  const log = await openFileLog({ directory, logLines: createLogLines('log inspect', config.logLevel) })
  try {
    const { partition } = options
    if (partition === undefined) return await printPartitions(log)
    const known = await log.partitions()
    if (!known.includes(partition)) {
      throw new Error(`There is no partition ${partition}; there are: ${known.join(', ') || 'none'}.`)
    }
    return await printRecords(log, partition, options)
  } finally {
    await log.close()
  }
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)

async function printPartitions(log: FileLog): Promise<number> {
  for (const partition of await log.partitions()) {
    const { firstOffset, nextOffset } = await log.bounds(partition)
    const segments = await log.segments(partition)
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    print(
      `${partition}: ${nextOffset - firstOffset} records, offsets ${firstOffset} to ${nextOffset - 1}, ` +
        `${segments.length} segments, ${(bytes / 1_000_000).toFixed(1)} MB`,
    )
  }
  return 0
}

async function printRecords(log: FileLog, partition: string, { from, limit }: InspectOptions): Promise<number> {
  let next = from ?? (await log.bounds(partition)).firstOffset
  let isDamaged = false
  for (let left = limit; left > 0;) {
    const batch = await log.read(partition, next, {
      maxRecords: Math.min(left, BATCH_RECORDS_MAX),
      maxBytes: BATCH_BYTES_MAX,
    })
    if (batch.nextOffset === next) break
    isDamaged = printBatch(batch) || isDamaged
    left -= batch.records.length
    next = batch.nextOffset
  }
  return isDamaged ? 1 : 0
}

/** @returns whether something in it is damaged */
function printBatch({ records, damaged }: LogBatch): boolean {
  for (const { firstOffset, nextOffset, where } of damaged) {
    print(JSON.stringify({ damaged: { first_offset: firstOffset, next_offset: nextOffset, where } }))
  }
  for (const { offset, appendedAt, payload } of records) {
    const record = decodeRecord(payload) ?? { unreadable: payload.toString('base64') }
    print(JSON.stringify({ offset, appended_at: new Date(appendedAt).toISOString(), record }))
  }
  return damaged.length > 0
}
