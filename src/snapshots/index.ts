export { relayedSnapshots } from './relayed-snapshots.ts'
export type { RelayedSnapshots } from './relayed-snapshots.ts'
export { followSnapshots } from './follow-snapshots.ts'
export type { FollowOptions, SnapshotFollower } from './follow-snapshots.ts'
