/** What a fault test of the delivery engine is given, and what it answers. */
export type FaultSettings = {
  readonly seed: number
  /** How long the faulty part lasts; undefined: as long as the test thinks right. */
  readonly seconds: number | undefined
  /** As in CI: shows the same with less of it. */
  readonly isShort: boolean
  /** Empty; removed afterwards where nothing was found. */
  readonly directory: string
  /** A revision of this repository whose workers run beside those of the working copy (T13). */
  readonly oldRevision: string | undefined
  /** For the person who waits. */
  readonly tell: (phase: string) => void
}

export type FaultReport = {
  /** What was done, one line each. */
  readonly did: readonly string[]
  /** What must have come up: a run in which one of these stayed 0 shows nothing of it and fails as blind. */
  readonly seen: Readonly<Record<string, number>>
  /** What else was counted or measured. */
  readonly figures?: Readonly<Record<string, number | string>>
  /** Parts that could not be run here, and why. */
  readonly skipped?: readonly string[]
  /** What must not be, in words. */
  readonly findings: readonly string[]
}

export type FaultTest = {
  /** One sentence for `list`. */
  readonly shows: string
  readonly run: (settings: FaultSettings) => Promise<FaultReport>
}

/** Findings, with a sentence for everything that the run should have seen and did not. */
export const verdictOf = ({ findings, seen }: FaultReport): readonly string[] => [
  ...findings,
  ...Object.entries(seen)
    .filter(([, count]) => count === 0)
    .map(([what]) => `blind: the run saw none of "${what}", so it shows nothing of that`),
]
