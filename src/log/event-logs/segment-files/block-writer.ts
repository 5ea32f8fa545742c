import { closeSync, constants, openSync, readSync, statfsSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { FILE_MODE, isDiskFull, writeFully } from './files.ts'

/** Writing past the page cache (O_DIRECT).
 *
 * Through the page cache every byte of a segment costs two pages that are allocated, filled, written and thrown away: one
 * for the zeros ahead, one for the record. Past it the disk fetches both from memory that stays where it is.
 *
 * Such a write begins and ends at the border of a block, so the last block of a group is filled up with zeros and written
 * again with the next group: the same records at its beginning, the next ones behind. Records that were acknowledged are
 * safe in it although they are written a second time: a disk replaces whole sectors, of 512 or 4096 bytes, and whichever
 * sectors a power failure leaves old or new, the bytes of the acknowledged records are the same in both. The page cache
 * does no different, it writes the whole page of the last record again with the next.
 */

/** Offset, length and address of a direct write are multiples of the disk's logical block of 512 or 4096 bytes, and
 * less than the file system's own block of 4096 costs it a read.
 */
export const BLOCK_BYTES = 4096

/** A group is copied here to stand at the border of a block: a tenth of a microsecond for each record, and the buffers of
 * the groups can grow and change without regard to blocks. A larger group takes several writes.
 */
const STAGING_BYTES = 1024 * 1024
const ZEROS_BYTES = 256 * 1024
const WASM_PAGE_BYTES = 64 * 1024

/** Where segments are written directly: on the file systems that are known to drop the cached pages of what a direct write
 * replaced before it returns, wherever the file system does not refuse, or nowhere.
 */
export type DirectWrites = 'where_proven' | 'where_possible' | 'never'

/** Magic numbers of statfs(2): ext2 to ext4 and XFS. Readers read through the page cache, and a file system that leaves an
 * old page there (some network and FUSE file systems) would show them damage where records are.
 */
const PROVEN_FILE_SYSTEMS: ReadonlySet<number> = new Set([0xef53, 0x58465342])

export const roundUpToBlock = (position: number): number => Math.ceil(position / BLOCK_BYTES) * BLOCK_BYTES

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
export function decideBlockWriting(directory: string, directWrites: DirectWrites): BlockWriting {
  if (directWrites === 'never') return { kind: 'buffered', why: 'direct writes are switched off' }
  // Other systems have no such flag.
  if ((constants.O_DIRECT as number | undefined) === undefined) return { kind: 'buffered', why: 'no O_DIRECT here' }
  const { type } = statfsSync(directory)
  if (directWrites === 'where_proven' && !PROVEN_FILE_SYSTEMS.has(type)) {
    return { kind: 'buffered', why: `file system 0x${type.toString(16)} is not known to keep readers up to date` }
  }
  return tryBlocks(directory)
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

/** What is used of WebAssembly; the types of Node do not declare it. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => {
    readonly buffer: ArrayBuffer
  }
}

/** Memory that begins at the border of a page, which Node's own buffers do not promise.
 * @throws {RangeError} no address space; {ReferenceError} Node runs without a compiler (`--jitless`)
 */
function allocatePages(bytes: number): Buffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  return Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, bytes)
}
