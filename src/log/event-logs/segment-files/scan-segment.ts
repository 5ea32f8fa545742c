import { claimedOffset, FRAME_HEADER_BYTES, MAGIC_BYTES, readFrame, type Frame, type FrameReading } from './frame.ts'

const EMPTY = Buffer.alloc(0)

/** A stretch of one segment: from a place where a record begins to a byte or an offset, whichever comes first. */
export type Span = {
  /** Reads up to `length` bytes of the segment; fewer only at its end. The bytes are the caller's. */
  readonly read: (position: number, length: number) => Promise<Buffer>
  readonly salt: number
  readonly fromPosition: number
  /** Offset of the record that stands there, or should. */
  readonly fromOffset: number
  readonly endPosition: number
  readonly endOffset: number
  /** What claims this offset or a higher one is no record of this segment. */
  readonly offsetBound: number
  /** Read ahead at most this much. Payloads are views on what was read. */
  readonly chunkBytes: number
}

export type Visitor = {
  /** @returns false to stop before this record */
  readonly frame: (frame: Frame, position: number) => boolean
  /** Offsets [firstOffset, nextOffset) cannot be read; the bytes from `position` on are not a record of the log. */
  readonly damage: (position: number, firstOffset: number, nextOffset: number) => void
}

export type Place = { readonly position: number; readonly offset: number }

/** Visits the records of a span in order. Where bytes are no record, or not the one that should follow, the search goes
 * on byte by byte for the next that is whole, and the offsets in between are told as damage.
 * @returns where the scan stopped: at the first record not taken, or after the last one
 */
export async function scanSegment(span: Span, visitor: Visitor): Promise<Place> {
  const window = new ReadWindow(span)
  let place: Place = { position: span.fromPosition, offset: span.fromOffset }
  while (place.offset < span.endOffset && place.position < span.endPosition) {
    let reading = window.readAt(place.position)
    if (reading.kind === 'cut') reading = await window.loadAndRead(place.position, reading.bytesNeeded)
    const found =
      reading.kind === 'frame' && fits(reading.frame, place.offset, span)
        ? { position: place.position, frame: reading.frame, end: reading.end }
        : await findNextFrame(window, span, place)
    if (found === undefined) return place
    if (found.frame.offset > place.offset) visitor.damage(place.position, place.offset, found.frame.offset)
    if (!visitor.frame(found.frame, found.position)) return { position: found.position, offset: found.frame.offset }
    place = { position: found.end, offset: found.frame.offset + 1 }
  }
  return place
}

const fits = (frame: Frame, expected: number, span: Span): boolean =>
  frame.offset >= expected && frame.offset < span.offsetBound

type Found = { readonly position: number; readonly frame: Frame; readonly end: number }

async function findNextFrame(window: ReadWindow, span: Span, from: Place): Promise<Found | undefined> {
  let position = from.position + 1
  while (position + FRAME_HEADER_BYTES <= span.endPosition) {
    const candidate = window.findMagic(position)
    if (candidate === undefined) {
      const searchedTo = Math.max(position, window.end - MAGIC_BYTES.length + 1)
      if (!(await window.load(searchedTo, FRAME_HEADER_BYTES))) return undefined
      position = searchedTo
      continue
    }
    const reading = await window.readCandidate(candidate, from.offset)
    if (reading.kind === 'frame' && fits(reading.frame, from.offset, span)) {
      return { position: candidate, frame: reading.frame, end: reading.end }
    }
    position = candidate + 1
  }
  return undefined
}

/** The part of the segment that is in memory. Positions are those of the file. */
class ReadWindow {
  private readonly span: Span
  private bytes: Buffer = EMPTY
  private start = 0

  constructor(span: Span) {
    this.span = span
  }

  get end(): number {
    return this.start + this.bytes.length
  }

  readAt(position: number): FrameReading {
    const reading = readFrame(this.bytes, position - this.start, this.span.salt)
    return reading.kind === 'frame' ? { ...reading, end: this.start + reading.end } : reading
  }

  /** Reads the record at a position after bringing it into memory; the header may show that it needs still more. */
  async loadAndRead(position: number, bytesNeeded: number): Promise<FrameReading> {
    if (!(await this.load(position, bytesNeeded))) return { kind: 'invalid' }
    const reading = this.readAt(position)
    return reading.kind === 'cut' ? this.loadAndRead(position, reading.bytesNeeded) : reading
  }

  /** A record at a place that only looks like one: skipped without its checksum where the offset cannot be. */
  async readCandidate(position: number, offsetMin: number): Promise<FrameReading> {
    const isHeaderHere = position + FRAME_HEADER_BYTES <= this.end
    if (!isHeaderHere && !(await this.load(position, FRAME_HEADER_BYTES))) return { kind: 'invalid' }
    const offset = claimedOffset(this.bytes, position - this.start)
    if (offset < offsetMin || offset >= this.span.offsetBound) return { kind: 'invalid' }
    const reading = this.readAt(position)
    return reading.kind === 'cut' ? this.loadAndRead(position, reading.bytesNeeded) : reading
  }

  findMagic(position: number): number | undefined {
    if (position < this.start || position >= this.end) return undefined
    const index = this.bytes.indexOf(MAGIC_BYTES, position - this.start)
    return index === -1 ? undefined : this.start + index
  }

  /** @returns false where the file or the span ends before the bytes needed */
  async load(position: number, bytesNeeded: number): Promise<boolean> {
    const available = this.span.endPosition - position
    if (bytesNeeded > available) return false
    const length = Math.min(Math.max(this.span.chunkBytes, bytesNeeded), available)
    this.bytes = await this.span.read(position, length)
    this.start = position
    return this.bytes.length >= bytesNeeded
  }
}
