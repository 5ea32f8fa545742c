import { close, closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { promisify } from 'node:util'
import type { BlockWriter } from './block-writer.ts'
import { roundUpToBlock } from './direct-io.ts'
import { fdatasyncAsync, FILE_MODE, ftruncateAsync, syncDirectory, writeFully } from './files.ts'
import { segmentFile, type SegmentFile } from './segment-list.ts'

const closeAsync = promisify(close)

/** Space is allocated this far ahead by writing zeros. Flushing into allocated space moves no metadata: measured on ext4
 * it takes half the time of flushing a growing file and does not wait for other files' data.
 */
const ALLOCATION_BYTES = 4 * 1024 * 1024
const ZEROS = Buffer.alloc(1024 * 1024)

export type SegmentOptions = {
  readonly segmentBytes: number
  /** false only to show that the fault run notices a missing flush. */
  readonly isFlushed: boolean
  /** Writes whole blocks past the page cache; undefined to write through it. */
  readonly blocks: BlockWriter | undefined
}

/** The one segment of a partition that grows. Not for concurrent use, except that `allocateAhead` goes on by itself. */
export class SegmentWriter {
  readonly file: SegmentFile
  /** End of the last durable record. */
  position: number
  private allocatedEnd: number
  private allocation: Promise<void> | undefined
  private mayAllocate = true
  /** Opened with O_DSYNC: one call writes and flushes, so a group costs one trip to the thread pool instead of two. */
  private readonly flushingFd: number
  private readonly plainFd: number
  private readonly options: SegmentOptions

  private constructor(file: SegmentFile, position: number, fds: SegmentFds, options: SegmentOptions) {
    this.file = file
    this.position = position
    this.allocatedEnd = position
    this.options = options
    this.plainFd = fds.plain
    this.flushingFd = fds.flushing
  }

  static open(file: SegmentFile, position: number, options: SegmentOptions): SegmentWriter {
    const fds = openFds(file.path, constants.O_RDWR, options)
    try {
      options.blocks?.load(fds.plain, position)
    } catch (error) {
      closeFds(fds)
      throw error
    }
    return new SegmentWriter(file, position, fds, options)
  }

  /** Makes a new, empty segment and its directory entry durable. */
  static create(directory: string, baseOffset: number, salt: number, options: SegmentOptions): SegmentWriter {
    const file = segmentFile(directory, baseOffset, salt)
    const fds = openFds(file.path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, options)
    try {
      if (options.isFlushed) syncDirectory(directory)
    } catch (error) {
      // The next attempt makes a file of the same name.
      unlinkSync(file.path)
      closeFds(fds)
      throw error
    }
    return new SegmentWriter(file, 0, fds, options)
  }

  get isFull(): boolean {
    return this.position >= this.options.segmentBytes
  }

  /** Writes and flushes bytes that are whole records. On an error nothing is known about what stands behind
   * `position`; the caller cuts it off.
   * @returns the end of the records, for `advanceTo`
   */
  async write(bytes: Buffer, length: number): Promise<number> {
    if (this.position + length > this.allocatedEnd) await this.allocate(length)
    const { blocks } = this.options
    if (blocks === undefined) await writeFully(this.flushingFd, bytes, length, this.position)
    else await blocks.write(this.flushingFd, bytes, length, this.position)
    return this.position + length
  }

  /** Counts the records up to `end` as durable. */
  advanceTo(end: number): void {
    this.position = end
    this.allocatedEnd = Math.max(this.allocatedEnd, end)
    const isLow = this.allocatedEnd - end < ALLOCATION_BYTES / 2
    if (isLow && this.allocation === undefined && !this.isFull) void this.allocate(0)
  }

  /** Removes what follows the last durable record, durably. */
  async cut(): Promise<void> {
    await this.truncate()
    this.options.blocks?.load(this.plainFd, this.position)
  }

  /** Gives back allocated space and closes. */
  async seal(): Promise<void> {
    await this.truncate()
    await this.close()
  }

  /** Leaves a segment that the disk takes no more of. Without records it is removed, so that its offset is free for the
   * next segment. May be tried again after an error.
   */
  async abandon(): Promise<void> {
    await this.allocation
    if (this.position === 0) unlinkSync(this.file.path)
    await this.close()
  }

  private async truncate(): Promise<void> {
    await this.allocation
    await ftruncateAsync(this.plainFd, this.position)
    this.allocatedEnd = this.position
    await fdatasyncAsync(this.plainFd)
  }

  /** What was flushed is durable, whatever closing says. */
  private async close(): Promise<void> {
    await Promise.allSettled([closeAsync(this.flushingFd), closeAsync(this.plainFd)])
  }

  /** Allocates for `length` bytes more and some ahead, one allocation at a time: two would write zeros over records that
   * came in between. Never fails: without room the file just grows with each write.
   */
  private async allocate(length: number): Promise<void> {
    while (this.allocation !== undefined) await this.allocation
    const neededEnd = this.position + length
    const wantedEnd = roundUpToBlock(
      Math.max(neededEnd, Math.min(neededEnd + ALLOCATION_BYTES, this.options.segmentBytes)),
    )
    if (!this.mayAllocate || wantedEnd <= this.allocatedEnd) return
    this.allocation = this.writeZeros(wantedEnd).finally(() => (this.allocation = undefined))
    await this.allocation
  }

  private async writeZeros(wantedEnd: number): Promise<void> {
    const start = this.allocatedEnd
    const { blocks } = this.options
    try {
      // What is left of the block at the end reads as zeros and is written with its records.
      if (blocks === undefined) await writeZerosFully(this.plainFd, start, wantedEnd)
      else await blocks.writeZeros(this.plainFd, roundUpToBlock(start), wantedEnd)
      await fdatasyncAsync(this.plainFd)
      this.allocatedEnd = wantedEnd
    } catch {
      // The last free space belongs to records, not to zeros: the segment grows without allocation from here on. Zeros
      // that cannot be given back either do no harm.
      this.mayAllocate = false
      await ftruncateAsync(this.plainFd, start).catch(() => undefined)
    }
  }
}

async function writeZerosFully(fd: number, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += ZEROS.length) await writeFully(fd, ZEROS, Math.min(ZEROS.length, to - at), at)
}

type SegmentFds = { readonly plain: number; readonly flushing: number }

function openFds(path: string, flags: number, options: SegmentOptions): SegmentFds {
  const direct = options.blocks === undefined ? 0 : constants.O_DIRECT
  const flush = options.isFlushed ? constants.O_DSYNC : 0
  const plain = openSync(path, flags | direct, FILE_MODE)
  try {
    return { plain, flushing: openSync(path, constants.O_WRONLY | flush | direct) }
  } catch (error) {
    closeSync(plain)
    throw error
  }
}

function closeFds(fds: SegmentFds): void {
  closeSync(fds.flushing)
  closeSync(fds.plain)
}
