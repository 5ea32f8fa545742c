import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import type { DamagedRange, LogBatch, LogRecord } from '../../event-log.ts'
import { openBlockReader, type BlockReader } from './block-reader.ts'
import type { DirectIo } from './direct-io.ts'
import { openMarkReader, type DurableMark, type MarkReader } from './durable-mark.ts'
import { isErrno, readUpTo } from './files.ts'
import { scanSegment, type Place, type Span } from './scan-segment.ts'
import { listSegments, segmentIndexOf, type SegmentFile } from './segment-list.ts'

/** Which records are wanted: [fromOffset, endOffset), as many as the limits allow. */
export type ReadRequest = {
  readonly fromOffset: number
  readonly endOffset: number
  readonly maxRecords: number
  readonly maxBytes: number
}

const CHUNK_BYTES_MIN = 64 * 1024
const CHUNK_BYTES_MAX = 1024 * 1024
/** A place is remembered this often, so that reading anywhere scans at most this much before the first record. */
const PLACE_STEP_BYTES = 256 * 1024
/** Ends of recent batches: where consumers that read in order go on, and where ranges are read again. */
const CURSORS_MAX = 64
const OPEN_SEGMENTS_MAX = 4

type OpenSegment = { readonly file: SegmentFile; readonly fd: number; readonly places: Place[] }
type Cursor = { readonly baseOffset: number; readonly place: Place }

/** Reads one partition up to its durable mark, in the writer's process or any other. Reads run one after the other. */
export class PartitionReader {
  private readonly partition: string
  private readonly directory: string
  private readonly markReader: MarkReader
  /** Reads past the page cache; undefined to read through it. */
  private blocks: BlockReader | undefined
  private directIo: DirectIo
  private segments: readonly SegmentFile[] = []
  private opened: readonly OpenSegment[] = []
  private readonly cursors = new Map<number, Cursor>()
  private turn: Promise<unknown> = Promise.resolve()

  constructor(partition: string, directory: string, directIo: DirectIo) {
    this.partition = partition
    this.directory = directory
    this.markReader = openMarkReader(directory)
    this.directIo = directIo
  }

  /** First offset that is not durable; 0 where nothing was ever appended. */
  durableOffset(): number {
    return this.markReader.read()?.nextOffset ?? 0
  }

  firstOffset(): number {
    this.forgetSegments()
    return this.listedSegments()[0]?.baseOffset ?? this.durableOffset()
  }

  read(request: ReadRequest): Promise<LogBatch> {
    const batch = this.turn.then(() => this.readNow(request))
    this.turn = batch.catch(() => undefined)
    return batch
  }

  async close(): Promise<void> {
    await this.turn
    this.markReader.close()
    this.closeSegments()
  }

  private closeSegments(): void {
    for (const segment of this.opened) closeSync(segment.fd)
    this.opened = []
  }

  private async readNow(request: ReadRequest): Promise<LogBatch> {
    try {
      return await this.readListed(request)
    } catch (error) {
      // Retention in another process dropped a segment of the list.
      if (isErrno(error, 'ENOENT')) this.forgetSegments()
      else if (isErrno(error, 'EINVAL') && this.blocks !== undefined) this.leaveDirectReads()
      else throw error
      return this.readListed(request)
    }
  }

  /** The file system refuses them. */
  private leaveDirectReads(): void {
    this.directIo = 'never'
    this.blocks = undefined
    this.closeSegments()
  }

  private async readListed(request: ReadRequest): Promise<LogBatch> {
    const batch = new BatchBuilder(this.partition, request)
    const mark = this.markReader.read()
    if (mark === undefined) return batch.finish()
    const endOffset = Math.min(mark.nextOffset, request.endOffset)
    const segments = this.segmentsFor(mark)
    let index = segmentIndexOf(segments, batch.nextOffset)
    if (index === -1 && batch.nextOffset < endOffset) {
      batch.skipTo(Math.min(segments[0]?.baseOffset ?? endOffset, endOffset), 'dropped by retention or lost')
      index = 0
    }
    while (batch.nextOffset < endOffset && !batch.isFull && index < segments.length) {
      const boundary = segments[index + 1]?.baseOffset ?? mark.nextOffset
      await this.readSegment(segments[index]!, { endOffset, boundary, mark }, batch)
      index++
    }
    return batch.finish()
  }

  /** Adds what one segment holds; where it ends before its boundary the rest is damaged. */
  private async readSegment(
    file: SegmentFile,
    limit: { readonly endOffset: number; readonly boundary: number; readonly mark: DurableMark },
    batch: BatchBuilder,
  ): Promise<void> {
    const segment = this.open(file)
    const endOffset = Math.min(limit.endOffset, limit.boundary)
    const from = this.placeFor(segment, batch.nextOffset)
    const span: Span = {
      read: this.readingOf(segment.fd),
      salt: file.salt,
      fromPosition: from.position,
      fromOffset: from.offset,
      endPosition: limit.mark.baseOffset === file.baseOffset ? limit.mark.position : fstatSync(segment.fd).size,
      endOffset,
      offsetBound: limit.boundary,
      chunkBytes: Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, batch.maxBytes)),
    }
    const end = await scanSegment(span, {
      frame: (frame, position) => {
        rememberPlace(segment.places, { position, offset: frame.offset })
        return batch.add(frame, endOffset)
      },
      damage: (position, first, next) =>
        batch.addDamage(first, Math.min(next, endOffset), `${file.name} byte ${position}`),
    })
    if (batch.isFull || end.offset >= endOffset) this.rememberCursor(file, end)
    else batch.addDamage(end.offset, endOffset, `${file.name} byte ${end.position}`)
  }

  private readingOf(fd: number): Span['read'] {
    const { blocks } = this
    return (position, length) =>
      blocks === undefined ? readUpTo(fd, position, length) : blocks.read(fd, position, length)
  }

  private segmentsFor(mark: DurableMark): readonly SegmentFile[] {
    if (this.segments.at(-1)?.baseOffset !== mark.baseOffset) this.forgetSegments()
    return this.listedSegments()
  }

  private listedSegments(): readonly SegmentFile[] {
    if (this.segments.length === 0) this.segments = listSegments(this.directory)
    return this.segments
  }

  private forgetSegments(): void {
    this.segments = []
  }

  private open(file: SegmentFile): OpenSegment {
    if (this.opened.length === 0) this.blocks ??= openBlockReader(this.directory, this.directIo)
    const known = this.opened.find((segment) => segment.file.baseOffset === file.baseOffset)
    const segment = known ?? {
      file,
      fd: openSync(file.path, constants.O_RDONLY | (this.blocks === undefined ? 0 : constants.O_DIRECT)),
      places: [{ position: 0, offset: file.baseOffset }],
    }
    const others = this.opened.filter((other) => other !== segment)
    for (const other of others.slice(OPEN_SEGMENTS_MAX - 1)) closeSync(other.fd)
    this.opened = [segment, ...others.slice(0, OPEN_SEGMENTS_MAX - 1)]
    return segment
  }

  private placeFor(segment: OpenSegment, offset: number): Place {
    const cursor = this.cursors.get(offset)
    if (cursor?.baseOffset === segment.file.baseOffset) return cursor.place
    return segment.places.findLast((place) => place.offset <= offset) ?? segment.places[0]!
  }

  private rememberCursor(file: SegmentFile, place: Place): void {
    this.cursors.delete(place.offset)
    this.cursors.set(place.offset, { baseOffset: file.baseOffset, place })
    if (this.cursors.size > CURSORS_MAX) this.cursors.delete(this.cursors.keys().next().value!)
  }
}

function rememberPlace(places: Place[], place: Place): void {
  if (place.position - places.at(-1)!.position >= PLACE_STEP_BYTES) places.push(place)
}

class BatchBuilder {
  readonly maxBytes: number
  nextOffset: number
  /** A record did not fit any more. */
  isFull = false
  private readonly partition: string
  private readonly request: ReadRequest
  private readonly records: LogRecord[] = []
  private readonly damaged: DamagedRange[] = []
  private bytes = 0

  constructor(partition: string, request: ReadRequest) {
    this.partition = partition
    this.request = request
    this.nextOffset = request.fromOffset
    this.maxBytes = request.maxBytes
  }

  /** @returns false when the record is not taken and the batch ends before it */
  add(record: LogRecord, endOffset: number): boolean {
    if (record.offset < this.nextOffset) return true
    if (record.offset >= endOffset) return false
    const isOver = this.records.length >= this.request.maxRecords || this.bytes + record.payload.length > this.maxBytes
    if (isOver && this.records.length > 0) {
      this.isFull = true
      return false
    }
    this.records.push(record)
    this.bytes += record.payload.length
    this.nextOffset = record.offset + 1
    return true
  }

  /** Offsets before the batch's own range are left out: they were told to whoever read those. */
  addDamage(firstOffset: number, nextOffset: number, where: string): void {
    if (nextOffset <= this.nextOffset) return
    this.damaged.push({
      partition: this.partition,
      firstOffset: Math.max(firstOffset, this.nextOffset),
      nextOffset,
      where,
    })
    this.nextOffset = nextOffset
  }

  skipTo(offset: number, where: string): void {
    this.addDamage(this.nextOffset, offset, where)
  }

  finish(): LogBatch {
    return {
      partition: this.partition,
      firstOffset: this.request.fromOffset,
      nextOffset: this.nextOffset,
      records: this.records,
      damaged: this.damaged,
    }
  }
}
