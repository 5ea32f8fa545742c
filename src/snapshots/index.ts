export { fixedSnapshots } from './fixed-snapshots.ts'
export type { FixedSnapshots } from './fixed-snapshots.ts'
export { followSnapshots } from './follow-snapshots.ts'
export type { FollowOptions, SnapshotFollower } from './follow-snapshots.ts'
