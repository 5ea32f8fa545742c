export { followSnapshots } from './follow-snapshots.ts'
export type { FollowOptions, SnapshotFollower } from './follow-snapshots.ts'
