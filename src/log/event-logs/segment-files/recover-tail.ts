import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import type { LogLines } from '#platform/log-lines'
import { readPositions } from './consumer-positions.ts'
import { openMarkReader, type DurableMark, type MarkWriter } from './durable-mark.ts'
import { readUpTo } from './files.ts'
import { FRAME_HEADER_BYTES } from './frame.ts'
import { scanSegment } from './scan-segment.ts'
import { listSegments, type SegmentFile } from './segment-list.ts'

const CHUNK_BYTES = 1024 * 1024

/** How a partition ends: where its last whole record lies and which offset comes next. */
export type Tail = {
  readonly nextOffset: number
  readonly appendedAt: number
  /** Salt of the partition's segments; undefined where it has none. */
  readonly salt: number | undefined
  /** The last segment, cut after its last whole record and flushed; undefined when records must go to a new one. */
  readonly segment: (SegmentFile & { readonly position: number }) | undefined
}

/** Finds the end of a partition after a crash. Call it with the partition's lock held.
 *
 * Everything before the durable mark is taken as it is. After the mark, whole records are kept: they were flushed and the
 * mark was lost with the power, or nobody was told about them yet, and keeping those does no harm. What follows the
 * last whole record is cut off and reported.
 *
 * An offset is never handed out twice: where acknowledged records at the end are damaged, the next offset comes from
 * the mark or from a consumer's position, and the offsets in between stay damaged.
 */
export async function recoverTail(directory: string, logLines: LogLines): Promise<Tail> {
  const mark = readDurableMark(directory)
  const segments = listSegments(directory)
  const known = Math.max(mark?.nextOffset ?? 0, ...readPositions(directory))
  const last = segments.at(-1)
  if (last === undefined)
    return { nextOffset: known, appendedAt: mark?.appendedAt ?? 0, salt: undefined, segment: undefined }

  const end = await findLastRecord(last, mark !== undefined && isIn(mark, last) ? mark : undefined)
  const appendedAt = Math.max(end.appendedAt, mark?.appendedAt ?? 0)
  if (end.nextOffset < known) {
    logLines.error(
      { segment: last.path, position: end.position, firstOffset: end.nextOffset, nextOffset: known },
      'acknowledged records at the end of the log are damaged; going on in a new segment',
    )
    return { nextOffset: known, appendedAt, salt: last.salt, segment: undefined }
  }
  cutAfter(last, end.position, logLines)
  const segment = { ...last, position: end.position }
  return { nextOffset: end.nextOffset, appendedAt, salt: last.salt, segment }
}

/** Whether there may be records after the mark: the writer died between a flush and the mark, or the power failed. */
export function hasUnmarkedTail(directory: string): boolean {
  const last = listSegments(directory).at(-1)
  if (last === undefined) return false
  const mark = readDurableMark(directory)
  return mark === undefined || hasBytesAt(last.path, isIn(mark, last) ? mark.position : 0)
}

/** Publishes where a recovered partition ends, for readers. */
export function publishTail(mark: MarkWriter, tail: Tail): void {
  if (tail.segment === undefined) return
  const { baseOffset, position } = tail.segment
  mark.publish({ nextOffset: tail.nextOffset, appendedAt: tail.appendedAt, baseOffset, position })
  mark.flush()
}

const isIn = (mark: DurableMark, segment: SegmentFile): boolean => mark.baseOffset === segment.baseOffset

type End = { position: number; nextOffset: number; appendedAt: number }

async function findLastRecord(segment: SegmentFile, mark: DurableMark | undefined): Promise<End> {
  const fd = openSync(segment.path, 'r')
  try {
    const endPosition = fstatSync(fd).size
    const isMarkUsable = mark !== undefined && mark.position <= endPosition
    const end: End = isMarkUsable ? { ...mark } : { position: 0, nextOffset: segment.baseOffset, appendedAt: 0 }
    const span = {
      read: (position: number, length: number) => readUpTo(fd, position, length),
      salt: segment.salt,
      fromPosition: end.position,
      fromOffset: end.nextOffset,
      endPosition,
      endOffset: Infinity,
      offsetBound: Infinity,
      chunkBytes: CHUNK_BYTES,
    }
    await scanSegment(span, {
      frame: (frame, position) => {
        end.position = position + FRAME_HEADER_BYTES + frame.payload.length
        end.nextOffset = frame.offset + 1
        end.appendedAt = frame.appendedAt
        return true
      },
      damage: () => undefined,
    })
    return end
  } finally {
    closeSync(fd)
  }
}

function cutAfter(segment: SegmentFile, position: number, logLines: LogLines): void {
  const fd = openSync(segment.path, 'r+')
  try {
    const tornBytes = countTornBytes(fd, position)
    if (tornBytes > 0) logLines.warn({ segment: segment.path, position, tornBytes }, 'cut off a torn tail of the log')
    ftruncateSync(fd, position)
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Bytes from `position` to the last one that is not zero: the rest is space that was allocated and never used. */
function countTornBytes(fd: number, position: number): number {
  const bytes = Buffer.alloc(CHUNK_BYTES)
  let torn = 0
  for (let at = position; ;) {
    const read = readSync(fd, bytes, 0, CHUNK_BYTES, at)
    if (read === 0) return torn
    const lastIndex = bytes.subarray(0, read).findLastIndex((byte) => byte !== 0)
    if (lastIndex !== -1) torn = at + lastIndex + 1 - position
    at += read
  }
}

function hasBytesAt(path: string, position: number): boolean {
  const fd = openSync(path, 'r')
  try {
    const byte = Buffer.alloc(1)
    return readSync(fd, byte, 0, 1, position) === 1 && byte[0] !== 0
  } finally {
    closeSync(fd)
  }
}

export function readDurableMark(directory: string): DurableMark | undefined {
  const reader = openMarkReader(directory)
  try {
    return reader.read()
  } finally {
    reader.close()
  }
}
