import type { LearnedOverlay, Snapshot } from '#routing'
import type { ReplayOptions } from './replay.ts'
import type { PastVersions } from './simulation-thread.ts'
import type { Tally } from './tally.ts'

/** What the thread of a simulation is started with. */
export type SimulationStart = Omit<ReplayOptions, keyof PastVersions>

/** To the thread. Lines are JSON, one click each: records as in the log, or rows of the facts. */
export type ToSimulation =
  | { readonly kind: 'clicks'; readonly form: 'records' | 'rows'; readonly lines: Uint8Array }
  /** A version that the thread asked for; undefined: it is not there any more. */
  | { readonly kind: 'version'; readonly version: number; readonly snapshot: Snapshot | undefined }
  /** Learned weights that the thread asked for. */
  | { readonly kind: 'weights'; readonly version: number; readonly learned: LearnedOverlay | undefined }
  | { readonly kind: 'finish' }

/** From the thread. */
export type FromSimulation =
  | { readonly kind: 'version_wanted' | 'weights_wanted'; readonly version: number }
  /** The lines before this are decided. */
  | { readonly kind: 'clicks_done' }
  | { readonly kind: 'finished'; readonly tally: Tally }
