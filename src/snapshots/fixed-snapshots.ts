import type { Snapshot } from '#routing'
import type { SnapshotFollower } from './follow-snapshots.ts'

/** A follower of a configuration that is handed to it: for tests and tools that have no database. */
export type FixedSnapshots = SnapshotFollower & { readonly replace: (snapshot: Snapshot) => void }

/** @param first undefined: there is no configuration yet */
export function fixedSnapshots(first: Snapshot | undefined): FixedSnapshots {
  const listeners = new Set<(snapshot: Snapshot) => void>()
  let current = first
  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    isFresh: () => true,
    firstLook: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    replace(snapshot) {
      current = snapshot
      for (const listener of listeners) listener(snapshot)
    },
  }
}
