import { closeSync, constants, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { FILE_MODE, isErrno } from './files.ts'
import { readUint64, writeUint64 } from './frame.ts'

/** How far a partition is durable, told by its writer to readers in other processes.
 *
 * Without it a reader would see records that the writer has not flushed yet, or that it is about to cut off because the
 * disk filled up half-way. The writer moves the mark after each flush and before it resolves the appends; the mark itself
 * is not flushed each time, so after a power cut it may lie behind and the next writer or reader recovers the tail.
 */
export type DurableMark = {
  readonly nextOffset: number
  /** First offset of the segment that is written to, and the byte after its last durable record. */
  readonly baseOffset: number
  readonly position: number
  readonly appendedAt: number
}

const MARK_BYTES = 36
const CRC_AT = 32
/** A read may meet a write half-way; the next one does not. */
const READ_ATTEMPTS_MAX = 20

const markPath = (directory: string): string => join(directory, 'durable-mark')

export type MarkWriter = {
  readonly publish: (mark: DurableMark) => void
  readonly flush: () => void
  readonly close: () => void
}

/** Opens the mark for its only writer. */
export function openMarkWriter(directory: string): MarkWriter {
  const fd = openSync(markPath(directory), constants.O_WRONLY | constants.O_CREAT, FILE_MODE)
  const bytes = Buffer.alloc(MARK_BYTES)
  return {
    publish: (mark) => {
      encodeMark(bytes, mark)
      writeSync(fd, bytes, 0, MARK_BYTES, 0)
    },
    flush: () => fdatasyncSync(fd),
    close: () => closeSync(fd),
  }
}

/** Reads the mark of a partition again and again over one open file: about two microseconds each. */
export type MarkReader = { readonly read: () => DurableMark | undefined; readonly close: () => void }

export function openMarkReader(directory: string): MarkReader {
  const bytes = Buffer.alloc(MARK_BYTES)
  let fd: number | undefined
  return {
    read: () => {
      fd ??= openIfThere(markPath(directory))
      return fd === undefined ? undefined : readMark(fd, bytes)
    },
    close: () => {
      if (fd !== undefined) closeSync(fd)
      fd = undefined
    },
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

function readMark(fd: number, bytes: Buffer): DurableMark | undefined {
  for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
    const read = readSync(fd, bytes, 0, MARK_BYTES, 0)
    const mark = read === MARK_BYTES ? decodeMark(bytes) : undefined
    if (mark !== undefined) return mark
  }
  return undefined
}

function encodeMark(bytes: Buffer, mark: DurableMark): void {
  writeUint64(bytes, 0, mark.nextOffset)
  writeUint64(bytes, 8, mark.position)
  writeUint64(bytes, 16, mark.baseOffset)
  writeUint64(bytes, 24, mark.appendedAt)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT)
}

function decodeMark(bytes: Buffer): DurableMark | undefined {
  if (crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32LE(CRC_AT)) return undefined
  return {
    nextOffset: readUint64(bytes, 0),
    position: readUint64(bytes, 8),
    baseOffset: readUint64(bytes, 16),
    appendedAt: readUint64(bytes, 24),
  }
}
