import { constants, statfsSync } from 'node:fs'

/** Writing and reading past the page cache (O_DIRECT).
 *
 * Through the page cache every byte of a segment costs pages that are allocated, filled and thrown away: one for the zeros
 * ahead, one for the record. Past it the disk fetches both from memory that stays where it is. Readers go the same way:
 * what was written directly is not in the page cache, reading it through there makes pages again, reads ahead the zeros
 * behind the records too, and the writer has to drop those pages with its next groups.
 *
 * A direct write begins and ends at the border of a block, so the last block of a group is filled up with zeros and
 * written again with the next group: the same records at its beginning, the next ones behind. Records that were
 * acknowledged are safe in it although they are written a second time: a disk replaces whole sectors, of 512 or 4096
 * bytes, and whichever sectors a power failure leaves old or new, the bytes of the acknowledged records are the same in
 * both. So does whoever reads the block while it is written. The page cache does no different, it writes the whole page of
 * the last record again with the next.
 */

/** Offset, length and address of a direct write are multiples of the disk's logical block of 512 or 4096 bytes, and
 * less than the file system's own block of 4096 costs it a read.
 */
export const BLOCK_BYTES = 4096

export const roundUpToBlock = (position: number): number => Math.ceil(position / BLOCK_BYTES) * BLOCK_BYTES

/** Where segments are written and read directly: on the file systems that are known to keep direct and cached access to
 * one file in step, wherever the file system does not refuse, or nowhere.
 */
export type DirectIo = 'where_proven' | 'where_possible' | 'never'

/** Magic numbers of statfs(2): ext2 to ext4 and XFS drop the cached pages of what a direct write replaces before it returns.
 * One that leaves an old page there (some network and FUSE file systems) would show whoever reads through the page cache
 * damage where records are.
 */
const PROVEN_FILE_SYSTEMS: ReadonlySet<number> = new Set([0xef53, 0x58465342])

/** @returns why the files of a directory are not to be accessed directly; undefined where they are, unless it refuses */
export function whyNotDirect(directory: string, directIo: DirectIo): string | undefined {
  if (directIo === 'never') return 'direct access is switched off'
  // Other systems have no such flag.
  if ((constants.O_DIRECT as number | undefined) === undefined) return 'no O_DIRECT here'
  const { type } = statfsSync(directory)
  if (directIo === 'where_possible' || PROVEN_FILE_SYSTEMS.has(type)) return undefined
  return `file system 0x${type.toString(16)} is not known to keep direct and cached access in step`
}

/** What is used of WebAssembly; the types of Node do not declare it. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => {
    readonly buffer: ArrayBuffer
  }
}

const WASM_PAGE_BYTES = 64 * 1024

/** Memory that begins at the border of a page, which Node's own buffers do not promise.
 * @throws {RangeError} no address space; {ReferenceError} Node runs without a compiler (`--jitless`)
 */
export function allocatePages(bytes: number): Buffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  return Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, bytes)
}
