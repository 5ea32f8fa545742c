import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip, constants } from 'node:zlib'

import { WaypostError } from '#platform/errors'
import type { StreamPart } from '#platform/clickhouse'

import type { ExportLimits } from './limits.ts'

/** Files of exports in their directory. One that is being made has another name than one that is whole: a run that lost its lease
 * may still write, but only into its own.
 */
export type ExportFiles = {
  readonly pathOf: (name: string) => string
  /** Path for this run's writing; what earlier runs of the job left is removed. */
  readonly begin: (jobId: string, attempt: number) => Promise<string>
  /** Makes the file that was written the whole one. */
  readonly finish: (part: string, name: string) => Promise<void>
  /** Removes everything of a job. */
  readonly remove: (jobId: string) => Promise<void>
  /** @throws {WaypostError} disk_full, export_too_large */
  readonly checkSpace: (bytesWritten: number) => Promise<void>
}

export function exportFiles(directory: string, limits: ExportLimits): ExportFiles {
  const ofJob = async (jobId: string): Promise<readonly string[]> =>
    (await listFiles(directory)).filter((name) => name.startsWith(jobId))
  const remove = async (jobId: string): Promise<void> => {
    for (const name of await ofJob(jobId)) await rm(join(directory, name), { force: true })
  }
  return {
    pathOf: (name) => join(directory, name),
    begin: async (jobId, attempt) => {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await remove(jobId)
      return join(directory, `${jobId}.${attempt}.part`)
    },
    finish: (part, name) => rename(part, join(directory, name)),
    remove,
    checkSpace: async (bytesWritten) => {
      if (bytesWritten > limits.fileBytesMax)
        throw new WaypostError('export_too_large', `A file has at most ${limits.fileBytesMax} bytes.`)
      const { bavail, bsize } = await statfs(directory)
      if (bavail * bsize < limits.freeBytesMin)
        throw new WaypostError('disk_full', `${limits.freeBytesMin} bytes must stay free where exports are written.`)
      if ((await bytesOfAll(directory)) > limits.totalBytesMax)
        throw new WaypostError('disk_full', `All exports together have at most ${limits.totalBytesMax} bytes.`)
    },
  }
}

async function listFiles(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}

async function bytesOfAll(directory: string): Promise<number> {
  let bytes = 0
  // A file may be gone by the time it is looked at.
  for (const name of await listFiles(directory)) bytes += await stat(join(directory, name)).then((file) => file.size, () => 0) // prettier-ignore
  return bytes
}

/** Bytes between two looks at the disk. */
const LOOK_BYTES = 64_000_000
const FILE_BUFFER_BYTES = 1_048_576

/** Writes parts into a file, as they come and no faster than the disk takes them, and onto the disk at the end.
 * @param head written before the parts
 * @param onRows told the rows written so far
 */
export async function writeParts(
  parts: AsyncIterable<StreamPart>,
  {
    file,
    head,
    isZipped,
    files,
    signal,
    onRows,
  }: {
    readonly file: string
    readonly head: string
    readonly isZipped: boolean
    readonly files: Pick<ExportFiles, 'checkSpace'>
    readonly signal: AbortSignal
    readonly onRows: (rows: number) => void
  },
): Promise<void> {
  const counted = async function* (): AsyncIterable<Uint8Array> {
    let rows = 0
    let bytes = 0
    let lookAt = 0
    if (head !== '') yield Buffer.from(head)
    for await (const part of parts) {
      signal.throwIfAborted()
      if (bytes >= lookAt) {
        await files.checkSpace(bytes)
        lookAt = bytes + LOOK_BYTES
      }
      bytes += part.bytes.length
      yield part.bytes
      onRows((rows += part.rows))
    }
  }
  const sink = createWriteStream(file, { mode: 0o600, flush: true, highWaterMark: FILE_BUFFER_BYTES })
  if (isZipped)
    await pipeline(counted, createGzip({ level: constants.Z_BEST_SPEED, chunkSize: FILE_BUFFER_BYTES }), sink)
  else await pipeline(counted, sink)
}
