import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { FILE_MODE, isErrno, listNames, makeDirectory } from './files.ts'
import { readUint64, writeUint64 } from './frame.ts'

/** Positions that consumers told, one small file each. They are not flushed: one that lies behind after a power cut makes
 * retention keep more, never less.
 */
const POSITION_BYTES = 12
const CRC_AT = 8

const positionsDirectory = (partitionDirectory: string): string => join(partitionDirectory, 'positions')

export function writePosition(partitionDirectory: string, consumer: string, position: number): void {
  const directory = positionsDirectory(partitionDirectory)
  const bytes = Buffer.alloc(POSITION_BYTES)
  writeUint64(bytes, 0, position)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT)
  const fd = openForWriting(directory, join(directory, consumer))
  try {
    writeSync(fd, bytes, 0, POSITION_BYTES, 0)
  } finally {
    closeSync(fd)
  }
}

function openForWriting(directory: string, path: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT
  try {
    return openSync(path, flags, FILE_MODE)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    makeDirectory(directory)
    return openSync(path, flags, FILE_MODE)
  }
}

/** Positions of all known consumers; 0 for one whose file cannot be read, so that nothing it needs is dropped. */
export function readPositions(partitionDirectory: string): readonly number[] {
  const directory = positionsDirectory(partitionDirectory)
  return listNames(directory).map((consumer) => decodePosition(readFileSync(join(directory, consumer))))
}

function decodePosition(bytes: Buffer): number {
  if (bytes.length < POSITION_BYTES) return 0
  return crc32(bytes.subarray(0, CRC_AT)) === bytes.readUInt32LE(CRC_AT) ? readUint64(bytes, 0) : 0
}
