export type { Claim, ClaimRequest, ClaimSpace, HotState, Origin } from './hot-state.ts'
export { claimKeyOf, newcomerOf, visitorClaimKey } from './claim-keys.ts'
export { openLmdbHotState } from './hot-states/lmdb.ts'
export type { LmdbHotStateOptions } from './hot-states/lmdb.ts'
