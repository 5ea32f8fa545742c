import { closeSync, constants, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { allocatePages, BLOCK_BYTES, roundUpToBlock, whyNotDirect, type DirectIo } from './direct-io.ts'
import { FILE_MODE, isDiskFull, writeFully } from './files.ts'

/** A group is copied here to stand at the border of a block: a tenth of a microsecond for each record, and the buffers of
 * the groups can grow and change without regard to blocks. A larger group takes several writes.
 */
const STAGING_BYTES = 1024 * 1024
const ZEROS_BYTES = 256 * 1024

/** Writes groups of records as whole blocks. It knows the beginning of the block in which the next group begins, so it
 * serves one segment at a time.
 */
export class BlockWriter {
  private readonly staging: Buffer
  private readonly zeros: Buffer
  /** Where the records end whose last, unfilled block stands at the beginning of `staging`; −1 while that is not known. */
  private end = -1

  /** @throws {RangeError} the address space does not suffice */
  constructor() {
    const memory = allocatePages(STAGING_BYTES + ZEROS_BYTES)
    this.staging = memory.subarray(0, STAGING_BYTES)
    this.zeros = memory.subarray(STAGING_BYTES)
  }

  /** Brings the unfilled block at the end of a segment into memory. */
  load(fd: number, end: number): void {
    const lead = end % BLOCK_BYTES
    if (lead > 0 && readSync(fd, this.staging, 0, BLOCK_BYTES, end - lead) < lead) {
      throw new Error(`the segment ends before its last record at byte ${end}`)
    }
    this.end = end
  }

  /** Writes bytes to where the last write ended, or to the beginning of a segment. After an error `load` comes first. */
  async write(fd: number, bytes: Buffer, length: number, position: number): Promise<void> {
    let lead = position % BLOCK_BYTES
    if (lead > 0 && position !== this.end) throw new Error(`the block before byte ${position} is not in memory`)
    this.end = -1
    for (let done = 0; done < length;) {
      const count = Math.min(length - done, STAGING_BYTES - lead)
      this.staging.set(bytes.subarray(done, done + count), lead)
      const filled = lead + count
      const padded = roundUpToBlock(filled)
      this.staging.fill(0, filled, padded)
      await writeFully(fd, this.staging, padded, position + done - lead)
      lead = filled % BLOCK_BYTES
      if (lead > 0) this.staging.copyWithin(0, filled - lead, filled)
      done += count
    }
    this.end = position + length
  }

  /** Fills whole blocks with zeros. In small steps, because a direct write that lengthens a file keeps other writes to it
   * waiting until the disk is done.
   */
  async writeZeros(fd: number, from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += ZEROS_BYTES) {
      await writeFully(fd, this.zeros, Math.min(ZEROS_BYTES, to - at), at)
    }
  }

  /** Writes a block to a file that nobody else sees.
   * @throws what the file system says to a direct write
   */
  probe(directory: string): void {
    const path = join(directory, 'direct-probe')
    const fd = openSync(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_DIRECT,
      FILE_MODE,
    )
    try {
      unlinkSync(path)
      writeSync(fd, this.zeros, 0, BLOCK_BYTES, 0)
    } finally {
      closeSync(fd)
    }
  }
}

export type BlockWriting =
  { readonly kind: 'direct'; readonly blocks: BlockWriter } | { readonly kind: 'buffered'; readonly why: string }

/** Decides, once for a directory, whether its segments are written directly. */
export function decideBlockWriting(directory: string, directIo: DirectIo): BlockWriting {
  const why = whyNotDirect(directory, directIo)
  return why === undefined ? tryBlocks(directory) : { kind: 'buffered', why }
}

function tryBlocks(directory: string): BlockWriting {
  try {
    const blocks = new BlockWriter()
    probeUnlessFull(blocks, directory)
    return { kind: 'direct', blocks }
  } catch (error) {
    return { kind: 'buffered', why: error instanceof Error ? error.message : String(error) }
  }
}

/** A full disk says nothing about direct writes, but it took the open. */
function probeUnlessFull(blocks: BlockWriter, directory: string): void {
  try {
    blocks.probe(directory)
  } catch (error) {
    if (!isDiskFull(error)) throw error
  }
}
