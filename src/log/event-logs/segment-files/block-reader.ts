import { allocatePages, BLOCK_BYTES, roundUpToBlock, whyNotDirect, type DirectIo } from './direct-io.ts'
import { readAsync } from './files.ts'

/** What is read at once. Larger reads are several. */
const STAGING_BYTES = 1024 * 1024 + BLOCK_BYTES

/** Reads any stretch of a file by whole blocks past the page cache. Not for concurrent use. */
export class BlockReader {
  private readonly staging = allocatePages(STAGING_BYTES)

  /** Reads up to `length` bytes; fewer only at the end of the file. */
  async read(fd: number, position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(length)
    let done = 0
    while (done < length) {
      const lead = (position + done) % BLOCK_BYTES
      const wanted = Math.min(roundUpToBlock(lead + length - done), STAGING_BYTES)
      const { bytesRead } = await readAsync(fd, this.staging, 0, wanted, position + done - lead)
      const count = Math.min(bytesRead - lead, length - done)
      if (count <= 0) break
      bytes.set(this.staging.subarray(lead, lead + count), done)
      done += count
    }
    return bytes.subarray(0, done)
  }
}

/** @returns undefined where segments are to be read through the page cache */
export function openBlockReader(directory: string, directIo: DirectIo): BlockReader | undefined {
  try {
    return whyNotDirect(directory, directIo) === undefined ? new BlockReader() : undefined
  } catch {
    // Without aligned memory the page cache does.
    return undefined
  }
}
