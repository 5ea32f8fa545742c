import { randomInt } from 'node:crypto'
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Clock } from '#platform/clock'
import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import type { LogWriter } from '../../event-log.ts'
import { openMarkWriter, type MarkWriter } from './durable-mark.ts'
import { decideBlockWriting, type BlockWriter } from './block-writer.ts'
import type { DirectIo } from './direct-io.ts'
import { isDiskFull, isErrno } from './files.ts'
import { FRAME_HEADER_BYTES, writeFrame } from './frame.ts'
import type { PartitionLock } from './partition-lock.ts'
import { publishTail, type Tail } from './recover-tail.ts'
import { firstAppendedAt } from './segment-list.ts'
import { SegmentWriter, type SegmentOptions } from './segment-writer.ts'

/** The writer of one partition: many appends, one flush.
 *
 * Appends are framed into the open group. While the disk flushes one group the next fills, so its size follows from how
 * long the disk takes and no timer is needed.
 *
 *     open ──take──▶ writing ──flushed──▶ marked durable ──▶ appends resolve
 *                       └──error──▶ cut off (or new segment) ──▶ appends of this and of the open group reject
 *
 * The order matters: the cut comes before the rejections, so that a crash in between leaves no record behind that its
 * sender was told is lost; the mark comes before the resolutions, so that a reader finds what was acknowledged.
 */
export type GroupCommitOptions = Omit<SegmentOptions, 'blocks'> & {
  readonly partition: string
  readonly directory: string
  readonly recordBytesMax: number
  readonly segmentAgeMsMax: number
  readonly directIo: DirectIo
  readonly clock: Clock
  readonly logLines: LogLines
}

/** A buffer that grew beyond this in a burst is not kept. */
const GROUP_BYTES_KEPT = 8 * 1024 * 1024
const GROUP_BYTES_INITIAL = 1024 * 1024
/** More than this waiting for the disk means that it does not keep up; the memory of the process is worth more. */
const GROUP_BYTES_MAX = 64 * 1024 * 1024
/** How long a record stays in memory after its acknowledgement when flushing is switched off for a fault run: as long as
 * to lose some at every kill.
 */
const UNFLUSHED_DELAY_MS = 200

type Group = {
  buffer: Buffer
  bytes: number
  count: number
  readonly durable: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: WaypostError) => void
}

export class GroupCommit implements LogWriter {
  readonly partition: string
  private readonly options: GroupCommitOptions
  private readonly lock: PartitionLock
  private readonly mark: MarkWriter
  private readonly salt: number
  private blocks: BlockWriter | undefined
  private segment: SegmentWriter | undefined
  /** When the first record of the segment was appended; 0 while it has none. */
  private segmentSince: number
  /** The disk refused something that leaves the segment unusable; the next group tries to begin a new one. */
  private isBroken = false
  private open: Group
  private spareBuffer: Buffer | undefined
  private nextOffset: number
  private durableOffset: number
  private appendedAt: number
  private isWriting = false
  private isFailing = false
  private isClosed = false
  private writing: Promise<void> = Promise.resolve()

  private constructor(options: GroupCommitOptions, lock: PartitionLock, mark: MarkWriter, tail: Tail) {
    this.partition = options.partition
    this.options = options
    this.lock = lock
    this.mark = mark
    this.salt = tail.salt ?? randomInt(1, 2 ** 32)
    this.blocks = this.decideBlocks()
    this.segment = tail.segment && SegmentWriter.open(tail.segment, tail.segment.position, this.segmentOptions())
    this.segmentSince = (tail.segment && firstAppendedAt(tail.segment)) ?? 0
    this.open = newGroup(undefined)
    this.nextOffset = tail.nextOffset
    this.durableOffset = tail.nextOffset
    this.appendedAt = tail.appendedAt
  }

  /** Begins to write after the tail was recovered; owns the lock from then on. */
  static async start(options: GroupCommitOptions, lock: PartitionLock, tail: Tail): Promise<GroupCommit> {
    const mark = openMarkWriter(options.directory)
    publishTail(mark, tail)
    const writer = new GroupCommit(options, lock, mark, tail)
    if (writer.segment === undefined) await writer.replaceSegment()
    return writer
  }

  /** On the path of every request: no allocation but the promise, no system call but the clock's. */
  async append(payload: Buffer): Promise<number> {
    this.assertAppendable(payload)
    const group = this.open
    const end = group.bytes + FRAME_HEADER_BYTES + payload.length
    if (end > group.buffer.length) growBuffer(group, end)
    const now = this.options.clock.now()
    if (now > this.appendedAt) this.appendedAt = now
    const offset = this.nextOffset++
    group.bytes = writeFrame(group.buffer, group.bytes, this.salt, offset, this.appendedAt, payload)
    group.count++
    if (!this.isWriting) this.startWriting()
    if (this.options.isFlushed) await group.durable
    return offset
  }

  pendingCount(): number {
    return this.nextOffset - this.durableOffset
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    await this.writing
    try {
      await this.segment?.seal()
      this.mark.flush()
    } finally {
      this.mark.close()
      this.lock.release()
    }
  }

  /** A run that does not flush is there to lose what the page cache holds. */
  private decideBlocks(): BlockWriter | undefined {
    const { directory, directIo, isFlushed, logLines, partition } = this.options
    const writing = decideBlockWriting(directory, isFlushed ? directIo : 'never')
    if (writing.kind === 'direct') {
      logLines.debug({ partition }, 'the log is written past the page cache')
      return writing.blocks
    }
    logLines.debug({ partition, why: writing.why }, 'the log is written through the page cache')
    return undefined
  }

  private segmentOptions(): SegmentOptions {
    const { segmentBytes, isFlushed } = this.options
    return { segmentBytes, isFlushed, blocks: this.blocks }
  }

  private assertAppendable(payload: Buffer): void {
    if (payload.length === 0 || payload.length > this.options.recordBytesMax) {
      throw new RangeError(`a record has 1 to ${this.options.recordBytesMax} bytes, not ${payload.length}`)
    }
    if (this.isClosed) throw new WaypostError('log_unavailable', 'The writer is closed.')
  }

  /** Waits until the requests that came in together have appended: they share the first flush. */
  private startWriting(): void {
    this.isWriting = true
    const wait = this.options.isFlushed ? setImmediate() : setTimeout(UNFLUSHED_DELAY_MS)
    this.writing = wait.then(() => this.writeGroups())
  }

  /** The disk begins with a group before the senders of the one before it hear that theirs is durable: it works while they
   * are answered.
   */
  private async writeGroups(): Promise<void> {
    let durable = await this.writeGroup(this.takeGroup())
    while (this.open.count > 0) {
      const next = this.writeGroup(this.takeGroup())
      durable?.resolve()
      durable = await next
    }
    durable?.resolve()
    this.isWriting = false
  }

  private takeGroup(): Group {
    const group = this.open
    this.open = newGroup(this.spareBuffer)
    this.spareBuffer = undefined
    return group
  }

  /** @returns the group once it is durable, for the caller to resolve; undefined when it was rejected */
  private async writeGroup(group: Group): Promise<Group | undefined> {
    let isDurable = false
    try {
      const segment = await this.writableSegment()
      const end = await segment.write(group.buffer, group.bytes)
      this.publishMark(segment, this.durableOffset + group.count, end)
      segment.advanceTo(end)
      this.durableOffset += group.count
      if (this.segmentSince === 0) this.segmentSince = this.appendedAt
      this.noteRecovery()
      isDurable = true
    } catch (error) {
      await this.cutOff(error)
      this.rejectWaiting(group, error)
    }
    this.spareBuffer = group.buffer.length <= GROUP_BYTES_KEPT ? group.buffer : undefined
    return isDurable ? group : undefined
  }

  private async writableSegment(): Promise<SegmentWriter> {
    if (this.isBroken || this.segment === undefined) return this.replaceSegment()
    const isOld = this.segmentSince > 0 && this.appendedAt - this.segmentSince > this.options.segmentAgeMsMax
    return this.segment.isFull || isOld ? this.rollSegment(this.segment) : this.segment
  }

  private async rollSegment(full: SegmentWriter): Promise<SegmentWriter> {
    const next = this.beginSegment()
    // Its records are durable; space that cannot be given back is no reason to refuse the group.
    await full
      .seal()
      .catch((error: unknown) =>
        this.options.logLines.warn({ err: error }, 'a full log segment stays longer than its records'),
      )
    return next
  }

  private async replaceSegment(): Promise<SegmentWriter> {
    await this.segment?.abandon()
    this.segment = undefined
    const next = this.beginSegment()
    this.isBroken = false
    return next
  }

  private beginSegment(): SegmentWriter {
    const next = SegmentWriter.create(this.options.directory, this.durableOffset, this.salt, this.segmentOptions())
    this.segment = next
    this.segmentSince = 0
    this.publishMark(next, this.durableOffset, 0)
    this.mark.flush()
    return next
  }

  private publishMark(segment: SegmentWriter, nextOffset: number, position: number): void {
    this.mark.publish({ nextOffset, position, baseOffset: segment.file.baseOffset, appendedAt: this.appendedAt })
  }

  /** Leaves nothing of a failed group behind. A full disk lets the segment be cut and used again. After any other error the
   * pages of the segment are not to be trusted, and a flush that "works" at the second try proves nothing: a new segment
   * begins at the first offset that is not durable, and readers ignore what the old one holds from there on.
   */
  private async cutOff(error: unknown): Promise<void> {
    try {
      if (!this.isBroken) await this.segment?.cut()
      if (isDiskFull(error) && !this.isBroken) return
      this.isBroken = true
      if (isErrno(error, 'EINVAL')) this.leaveDirectWrites(error)
      await this.replaceSegment()
    } catch (cause) {
      this.isBroken = true
      if (!this.isFailing)
        this.options.logLines.error(
          { err: cause },
          'the event log cannot be repaired now; it is tried again with each record',
        )
    }
  }

  /** The probe was taken and a write was not: the next segment goes through the page cache. */
  private leaveDirectWrites(error: unknown): void {
    if (this.blocks === undefined) return
    this.blocks = undefined
    const { logLines, partition } = this.options
    logLines.warn(
      { err: error, partition },
      'the file system refuses direct writes; the log goes through the page cache',
    )
  }

  private rejectWaiting(group: Group, error: unknown): void {
    const failure = new WaypostError(isDiskFull(error) ? 'log_full' : 'log_unavailable', undefined, { cause: error })
    this.noteFailure(failure)
    const waiting = this.takeGroup()
    this.nextOffset = this.durableOffset
    group.reject(failure)
    waiting.reject(failure)
  }

  /** One line when it begins and one when it ends, not one for each of thousands of groups a second. */
  private noteFailure(failure: WaypostError): void {
    if (!this.isFailing)
      this.options.logLines.error({ err: failure, partition: this.partition }, 'the event log takes no records')
    this.isFailing = true
  }

  private noteRecovery(): void {
    if (!this.isFailing) return
    this.isFailing = false
    this.options.logLines.info({ partition: this.partition }, 'the event log takes records again')
  }
}

function newGroup(buffer: Buffer | undefined): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // A group may fail with nobody waiting for it.
  promise.catch(() => undefined)
  const room = buffer ?? Buffer.allocUnsafeSlow(GROUP_BYTES_INITIAL)
  return { buffer: room, bytes: 0, count: 0, durable: promise, resolve, reject }
}

function growBuffer(group: Group, bytesNeeded: number): void {
  if (bytesNeeded > GROUP_BYTES_MAX) {
    throw new WaypostError('log_unavailable', `${group.count} records wait for the disk.`)
  }
  const grown = Buffer.allocUnsafeSlow(Math.min(GROUP_BYTES_MAX, Math.max(bytesNeeded, group.buffer.length * 2)))
  group.buffer.copy(grown, 0, 0, group.bytes)
  group.buffer = grown
}
