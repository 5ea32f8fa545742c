import { offersById, type Offers } from '#conversions/judge'
import type { LogLines } from '#platform/log-lines'
import { applyLearnedWeights, compileSnapshot, type CompiledSnapshot, type Snapshot } from '#routing'
import type { SnapshotFollower } from '#snapshots'
import { compileOrigins, type Origins } from './origins.ts'
import { compileDoors, type PostbackDoors } from './postback-doors.ts'

/** One configuration version with everything that requests look up in it. A request takes it once and keeps to it. */
export type LiveConfig = {
  readonly routing: CompiledSnapshot
  readonly origins: Origins
  readonly doors: PostbackDoors
  readonly offers: Offers
  /** Signs the second page of a double meta refresh. */
  readonly redirectKey: string | undefined
  /** Event names that any offer declares. */
  readonly customEvents: ReadonlySet<string>
}

export type LiveConfigHolder = {
  /** Undefined until there was ever a configuration. */
  readonly current: () => LiveConfig | undefined
  readonly stop: () => void
}

/** Weights are learned every minute, configurations made a few times a day: what was compiled of one stays. */
type Compiled = { readonly configured: LiveConfig; readonly live: LiveConfig }

function compile({ learned, ...snapshot }: Snapshot, last: Compiled | undefined): Compiled {
  const before = last?.configured.routing.snapshot
  const isKnown = before?.version === snapshot.version && before.created_at === snapshot.created_at
  const configured = isKnown ? last!.configured : compileConfigured(snapshot)
  return { configured, live: { ...configured, routing: applyLearnedWeights(configured.routing, learned) } }
}

const compileConfigured = (snapshot: Snapshot): LiveConfig => ({
  routing: compileSnapshot(snapshot),
  origins: compileOrigins(snapshot),
  doors: compileDoors(snapshot),
  offers: offersById(snapshot.offers),
  redirectKey: snapshot.redirect_key,
  customEvents: new Set(snapshot.offers.flatMap((offer) => offer.custom_events)),
})

/** Compiles each configuration version once and swaps it in whole. A version that cannot be compiled is reported, and the
 * one before stays: a bad configuration must not stop redirects.
 */
export function holdLiveConfig(snapshots: SnapshotFollower, logLines: LogLines): LiveConfigHolder {
  let current: Compiled | undefined
  const take = (snapshot: Snapshot): void => {
    try {
      const last = current?.configured
      current = compile(snapshot, current)
      if (current.configured === last)
        logLines.debug({ learned: snapshot.learned?.version }, 'The edge uses new weights.')
      else logLines.info({ version: snapshot.version }, 'The edge uses a new configuration.')
    } catch (error) {
      logLines.error({ err: error, version: snapshot.version }, 'The configuration cannot be used; the last one stays.')
    }
  }
  const first = snapshots.current()
  if (first !== undefined) take(first)
  return { current: () => current?.live, stop: snapshots.onChange(take) }
}
