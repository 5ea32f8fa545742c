import type { Snapshot } from '#routing'
import type { SnapshotFollower } from './follow-snapshots.ts'

/** A follower in a thread or tool that has no connection of its own: someone hands it what it is to know. */
export type RelayedSnapshots = SnapshotFollower & {
  readonly take: (snapshot: Snapshot) => void
  /** What `isFresh` answers from now on; true at first. */
  readonly setFresh: (isFresh: boolean) => void
}

/** @param first undefined: there is no configuration yet */
export function relayedSnapshots(first: Snapshot | undefined): RelayedSnapshots {
  const listeners = new Set<(snapshot: Snapshot) => void>()
  let current = first
  let isFresh = true
  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    isFresh: () => isFresh,
    firstLook: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    take(snapshot) {
      current = snapshot
      for (const listener of listeners) listener(snapshot)
    },
    setFresh: (value) => void (isFresh = value),
  }
}
