import {
  closeSync,
  fdatasync,
  fsyncSync,
  ftruncate,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  write,
  type PathLike,
} from 'node:fs'
import { promisify } from 'node:util'

/** Records hold addresses and identifiers of visitors: nobody but the owner reads them. */
export const DIRECTORY_MODE = 0o700
export const FILE_MODE = 0o600

export const fdatasyncAsync = promisify(fdatasync)
export const ftruncateAsync = promisify(ftruncate)
export const readAsync = promisify(read)

export function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE })
}

/** Makes the creation or removal of a file in the directory durable. */
export function syncDirectory(path: PathLike): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Writes all bytes at a position, going on after short writes: the disk may take a part and fail at the rest. */
export function writeFully(fd: number, bytes: Buffer, length: number, position: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const writeFrom = (done: number): void => {
    write(fd, bytes, done, length - done, position + done, (error, written) => {
      if (error !== null) reject(error)
      else if (done + written === length) resolve()
      else writeFrom(done + written)
    })
  }
  writeFrom(0)
  return promise
}

/** Reads up to `length` bytes; fewer only at the end of the file. */
export async function readUpTo(fd: number, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await readAsync(fd, bytes, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** Names in a directory; none where it does not exist. */
export function listNames(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}

export const isErrno = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(error.code as string)

/** Codes with which a file system says that there is no room: full, over quota, over the file size limit. */
export const isDiskFull = (error: unknown): boolean => isErrno(error, 'ENOSPC', 'EDQUOT', 'EFBIG')
