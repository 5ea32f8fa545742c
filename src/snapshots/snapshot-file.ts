import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'

import type { Snapshot } from '#routing'
import { openSnapshot, sealSnapshot } from '#secrets'

/** The last snapshot on disk: a header line with a checksum, then the snapshot as JSON. Secrets in it are sealed, and
 * only its owner may read it.
 */
const HEADER = 'waypost-snapshot 1'

type ReadResult =
  | { readonly kind: 'read'; readonly snapshot: Snapshot }
  | { readonly kind: 'missing' }
  | { readonly kind: 'broken'; readonly why: string }

const checksumOf = (json: string): string => createHash('sha256').update(json).digest('hex')

const encode = (snapshot: Snapshot): string => {
  const json = JSON.stringify(snapshot)
  return `${HEADER} ${checksumOf(json)}\n${json}`
}

function decode(text: string, open: (snapshot: Snapshot) => Snapshot): ReadResult {
  const end = text.indexOf('\n')
  const header = text.slice(0, Math.max(end, 0))
  if (!header.startsWith(`${HEADER} `)) return { kind: 'broken', why: 'it has no snapshot header' }
  const json = text.slice(end + 1)
  if (header.slice(HEADER.length + 1) !== checksumOf(json)) {
    return { kind: 'broken', why: 'its content does not fit its checksum' }
  }
  return { kind: 'read', snapshot: open(JSON.parse(json) as Snapshot) }
}

/** Reads the kept snapshot; a damaged file is told from a missing one.
 * @param open opens its secrets
 */
export function readSnapshotFile(file: string, open: (snapshot: Snapshot) => Snapshot): ReadResult {
  try {
    return decode(readFileSync(file, 'utf8'), open)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'missing' }
    return { kind: 'broken', why: error instanceof Error ? error.message : String(error) }
  }
}

/** Seals the secrets of the kept snapshot with the newest key. A damaged file stays as it is: the next configuration replaces it. */
export async function resealSnapshotFile(file: string): Promise<void> {
  const kept = readSnapshotFile(file, openSnapshot)
  if (kept.kind === 'read') await writeSnapshotFile(file, sealSnapshot(kept.snapshot))
}

/** @param snapshot with its secrets sealed
 *
 * Replaces the file in one step: a crash leaves the old or the new one, never half of either. Several processes may
 * keep the same file; each writes to a name of its own first.
 */
export async function writeSnapshotFile(file: string, snapshot: Snapshot): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`
  const handle = await open(draft, 'w', 0o600)
  try {
    await handle.writeFile(encode(snapshot))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, file)
}
