import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock, type Clock } from '#platform/clock'
import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import type { EventLog, LogWriter, Partition } from '../event-log.ts'
import type { DirectIo } from './segment-files/direct-io.ts'
import { writePosition } from './segment-files/consumer-positions.ts'
import { openMarkWriter } from './segment-files/durable-mark.ts'
import { listNames, makeDirectory, syncDirectory } from './segment-files/files.ts'
import { PAYLOAD_BYTES_MAX } from './segment-files/frame.ts'
import { GroupCommit } from './segment-files/group-commit.ts'
import {
  lockPartition,
  lockUnwrittenPartition,
  tryLockPartition,
  type PartitionLock,
} from './segment-files/partition-lock.ts'
import { PartitionReader } from './segment-files/partition-reader.ts'
import { hasUnmarkedTail, publishTail, recoverTail } from './segment-files/recover-tail.ts'
import { dropSegments } from './segment-files/retention.ts'
import { listSegments } from './segment-files/segment-list.ts'

export type FileLogOptions = {
  /** One folder for each partition; made where it does not exist, open to its owner only. */
  readonly directory: string
  readonly logLines: LogLines
  readonly clock?: Clock
  /** A segment that reached this size is followed by a new one. Default 128 MiB. */
  readonly segmentBytes?: number
  /** A segment whose first record is older is followed by a new one, so that retention by age works at low traffic.
   * Default one day.
   */
  readonly segmentAgeMsMax?: number
  /** Largest payload. Default 1 MiB, at most 16 MiB. */
  readonly recordBytesMax?: number
  /** Only for showing that the fault run notices: false acknowledges records on arrival and writes them 200 ms later,
   * without a flush, so that a kill loses acknowledged records. Never false outside such a run. Default true.
   */
  readonly isFlushed?: boolean
  /** Whether segments are written and read past the page cache: `where_proven` on file systems known to keep both ways in
   * step (ext4, XFS), `where_possible` on all that do not refuse, or `never`. Default `where_proven`.
   */
  readonly directIo?: DirectIo
}

/** One file of a partition, for a person. */
export type SegmentDescription = { readonly name: string; readonly baseOffset: number; readonly bytes: number }

export type FileLog = EventLog & {
  /** The segment files of a partition, oldest first. */
  readonly segments: (partition: Partition) => Promise<readonly SegmentDescription[]>
}

const SEGMENT_BYTES_DEFAULT = 128 * 1024 * 1024
const SEGMENT_AGE_MS_DEFAULT = 24 * 60 * 60 * 1000
const RECORD_BYTES_DEFAULT = 1024 * 1024

/** How often a waiting consumer looks at the durable marks: two microseconds of work for each partition, against at most
 * this much delay.
 */
const POLL_MS = 20
/** A change seen this long before a wait began counts as new: another consumer of this process may have seen it first. */
const CHANGE_MEMORY_MS = 40
const PARTITION_POLL_MS = 500

/** Far more than one machine has writers; a search that goes further has lost its way. */
const GROUP_PARTITIONS_MAX = 1_024

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/

/** Opens the event log in a directory, for reading, writing or both; several processes may have it open.
 * @throws {RangeError} a limit out of its range (programmer error)
 */
export async function openFileLog(options: FileLogOptions): Promise<FileLog> {
  const recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_DEFAULT
  if (recordBytesMax < 1 || recordBytesMax > PAYLOAD_BYTES_MAX) throw new RangeError('recordBytesMax is out of range')
  makeDirectory(options.directory)
  return new SegmentFileLog({
    directory: options.directory,
    logLines: options.logLines,
    clock: options.clock ?? systemClock,
    segmentBytes: options.segmentBytes ?? SEGMENT_BYTES_DEFAULT,
    segmentAgeMsMax: options.segmentAgeMsMax ?? SEGMENT_AGE_MS_DEFAULT,
    isFlushed: options.isFlushed ?? true,
    directIo: options.directIo ?? 'where_proven',
    recordBytesMax,
  })
}

class SegmentFileLog implements FileLog {
  private readonly options: Required<FileLogOptions>
  private readonly readers = new Map<Partition, Promise<PartitionReader>>()
  private readonly seenOffsets = new Map<Partition, number>()
  private changedAt = -Infinity
  private partitionsListedAt = -Infinity
  private isClosed = false

  constructor(options: Required<FileLogOptions>) {
    this.options = options
  }

  async openWriter(partition: Partition): Promise<LogWriter> {
    return this.write(partition, await lockPartition(this.makePartition(partition)))
  }

  async openFreeWriter(group: string): Promise<LogWriter> {
    for (let index = 0; index < GROUP_PARTITIONS_MAX; index++) {
      const partition = `${group}-${index}`
      const lock = await lockUnwrittenPartition(this.makePartition(partition))
      if (lock !== undefined) return this.write(partition, lock)
    }
    throw new WaypostError('log_in_use', `${group}-0 to ${group}-${GROUP_PARTITIONS_MAX - 1}`)
  }

  private makePartition(partition: Partition): string {
    const directory = this.directoryOf(partition)
    makeDirectory(directory)
    return directory
  }

  private async write(partition: Partition, lock: PartitionLock): Promise<LogWriter> {
    const directory = this.directoryOf(partition)
    try {
      syncDirectory(this.options.directory)
      const tail = await recoverTail(directory, this.options.logLines)
      return await GroupCommit.start({ ...this.options, partition, directory }, lock, tail)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  async partitions(): Promise<readonly Partition[]> {
    return listNames(this.options.directory)
      .filter((name) => NAME.test(name))
      .sort()
  }

  async bounds(partition: Partition): Promise<{ firstOffset: number; nextOffset: number }> {
    const reader = await this.readerOf(partition)
    return { firstOffset: reader.firstOffset(), nextOffset: reader.durableOffset() }
  }

  async read(
    partition: Partition,
    fromOffset: number,
    limits: { maxRecords: number; maxBytes: number },
  ): ReturnType<EventLog['read']> {
    const reader = await this.readerOf(partition)
    return reader.read({ fromOffset, endOffset: Infinity, ...limits })
  }

  async readRange(partition: Partition, firstOffset: number, nextOffset: number): ReturnType<EventLog['readRange']> {
    const reader = await this.readerOf(partition)
    return reader.read({ fromOffset: firstOffset, endOffset: nextOffset, maxRecords: Infinity, maxBytes: Infinity })
  }

  async waitForAppend(timeoutMs: number): Promise<void> {
    const begin = performance.now()
    const end = begin + timeoutMs
    while (!this.isClosed && performance.now() < end) {
      if (await this.hasChanged()) return
      await delay(Math.max(0, Math.min(POLL_MS, end - performance.now())))
      if (this.changedAt > begin - CHANGE_MEMORY_MS) return
    }
  }

  async commitPosition(consumer: string, partition: Partition, position: number): Promise<void> {
    if (!NAME.test(consumer)) throw new RangeError(`"${consumer}" cannot name a consumer`)
    writePosition(this.directoryOf(partition), consumer, position)
  }

  async enforceRetention(policy: Parameters<EventLog['enforceRetention']>[0], nowMs: number): Promise<number> {
    const partitions = await this.partitions()
    return dropSegments(
      partitions.map((partition) => this.directoryOf(partition)),
      policy,
      nowMs,
    )
  }

  async segments(partition: Partition): Promise<readonly SegmentDescription[]> {
    return listSegments(this.directoryOf(partition)).map(({ name, baseOffset, path }) => ({
      name,
      baseOffset,
      bytes: statSync(path).size,
    }))
  }

  async close(): Promise<void> {
    this.isClosed = true
    const readers = await Promise.all(this.readers.values())
    await Promise.all(readers.map((reader) => reader.close()))
    this.readers.clear()
  }

  private directoryOf(partition: Partition): string {
    if (!NAME.test(partition)) throw new RangeError(`"${partition}" cannot name a partition`)
    return join(this.options.directory, partition)
  }

  private readerOf(partition: Partition): Promise<PartitionReader> {
    const known = this.readers.get(partition)
    if (known !== undefined) return known
    const directory = this.directoryOf(partition)
    const opened = this.recoverOrphan(directory).then(
      () => new PartitionReader(partition, directory, this.options.directIo),
    )
    this.readers.set(partition, opened)
    opened.catch(() => this.readers.delete(partition))
    return opened
  }

  /** After a power cut the durable mark lies behind the records. A writer puts that right; where none runs any more, as on
   * a partition that was given up, the first reader does.
   */
  private async recoverOrphan(directory: string): Promise<void> {
    if (!hasUnmarkedTail(directory)) return
    const lock = tryLockPartition(directory, 'recover')
    if (lock === undefined) return
    const mark = openMarkWriter(directory)
    try {
      publishTail(mark, await recoverTail(directory, this.options.logLines))
    } finally {
      mark.close()
      lock.release()
    }
  }

  /** Looks at the marks of all partitions. @returns whether one moved since anybody looked last */
  private async hasChanged(): Promise<boolean> {
    let hasMoved = false
    for (const partition of await this.knownPartitions()) {
      const offset = (await this.readerOf(partition)).durableOffset()
      if (offset === this.seenOffsets.get(partition)) continue
      this.seenOffsets.set(partition, offset)
      this.changedAt = performance.now()
      hasMoved = true
    }
    return hasMoved
  }

  private async knownPartitions(): Promise<Iterable<Partition>> {
    const now = performance.now()
    if (now - this.partitionsListedAt < PARTITION_POLL_MS) return this.readers.keys()
    this.partitionsListedAt = now
    return this.partitions()
  }
}
