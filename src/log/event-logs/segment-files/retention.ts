import { statSync, unlinkSync } from 'node:fs'
import type { RetentionPolicy } from '../../event-log.ts'
import { readPositions } from './consumer-positions.ts'
import { firstAppendedAt, listSegments, type SegmentFile } from './segment-list.ts'

type Droppable = { readonly segment: SegmentFile; readonly bytes: number; readonly newestAt: number }

/** Drops whole segments by the policy, the oldest of all partitions first.
 * @returns bytes freed
 */
export function dropSegments(directories: readonly string[], policy: RetentionPolicy, nowMs: number): number {
  let totalBytes = directories.flatMap(listSegments).reduce((sum, segment) => sum + statSync(segment.path).size, 0)
  let freedBytes = 0
  for (const { segment, bytes, newestAt } of directories.flatMap(droppableSegments).sort(byAge)) {
    const age = nowMs - newestAt
    if (age < policy.minAgeMs) continue
    if (age <= policy.maxAgeMs && totalBytes <= policy.maxBytes) continue
    unlinkSync(segment.path)
    totalBytes -= bytes
    freedBytes += bytes
  }
  return freedBytes
}

const byAge = (a: Droppable, b: Droppable): number => a.newestAt - b.newestAt

/** The oldest segments that every known consumer has passed. The last one is written to and stays; where no consumer ever
 * told a position, everything stays, because nobody can have used it.
 */
function droppableSegments(directory: string): readonly Droppable[] {
  const segments = listSegments(directory)
  const positions = readPositions(directory)
  const passed = positions.length === 0 ? 0 : Math.min(...positions)
  return segments.flatMap((segment, index) => {
    const next = segments[index + 1]
    const newestAt = next === undefined ? undefined : firstAppendedAt(next)
    if (next === undefined || newestAt === undefined || next.baseOffset > passed) return []
    return [{ segment, bytes: statSync(segment.path).size, newestAt }]
  })
}
