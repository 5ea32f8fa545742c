import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { listNames } from './files.ts'
import { FRAME_HEADER_BYTES, claimedAppendedAt } from './frame.ts'

/** One file of records. Its name says everything that is needed to read it: the offset of its first record and the salt
 * of its checksums, so there is no file header to be damaged. All segments of a partition have the same salt.
 */
export type SegmentFile = {
  readonly baseOffset: number
  readonly salt: number
  readonly name: string
  readonly path: string
}

const NAME = /^(\d{16})-([0-9a-f]{8})\.segment$/

export function segmentFile(directory: string, baseOffset: number, salt: number): SegmentFile {
  const name = `${String(baseOffset).padStart(16, '0')}-${salt.toString(16).padStart(8, '0')}.segment`
  return { baseOffset, salt, name, path: join(directory, name) }
}

function parseSegmentName(directory: string, name: string): SegmentFile | undefined {
  const match = NAME.exec(name)
  if (match === null) return undefined
  return segmentFile(directory, Number(match[1]), Number.parseInt(match[2]!, 16))
}

/** The segment files of a partition by base offset; none where the partition does not exist. */
export function listSegments(directory: string): readonly SegmentFile[] {
  return listNames(directory)
    .map((name) => parseSegmentName(directory, name))
    .filter((segment) => segment !== undefined)
    .sort((a, b) => a.baseOffset - b.baseOffset)
}

/** Index of the segment that an offset belongs to: the last one that begins at or before it; −1 where there is none. */
export function segmentIndexOf(segments: readonly SegmentFile[], offset: number): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segments[middle]!.baseOffset <= offset) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** When the first record of a segment was appended; undefined where none stands there whole. */
export function firstAppendedAt(segment: SegmentFile): number | undefined {
  const fd = openSync(segment.path, 'r')
  try {
    const header = Buffer.alloc(FRAME_HEADER_BYTES)
    return readSync(fd, header, 0, FRAME_HEADER_BYTES, 0) === FRAME_HEADER_BYTES ? claimedAppendedAt(header) : undefined
  } finally {
    closeSync(fd)
  }
}
