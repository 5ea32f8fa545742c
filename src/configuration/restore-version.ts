import { systemClock, type Clock } from '#platform/clock'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import { assertEqual, changedIds } from './apply.ts'
import { referencesOf } from './check-relations.ts'
import { describeChanges, type Change } from './describe-changes.ts'
import { sectionNames, type SectionName } from './file-schema.ts'
import { findRemembered } from './history.ts'
import { singular, type ConfigurationState } from './objects.ts'
import { compileConfiguration, lockConfiguration, readState, readVersion, storeVersion, writeState } from './store.ts'
import { findVersion, stateOf } from './versions.ts'

/** What came of restoring a version. */
export type Restoration =
  | { readonly kind: 'restored'; readonly version: number; readonly changes: readonly Change[]; readonly kept: Kept }
  /** Dry run: what would be restored. */
  | { readonly kind: 'planned'; readonly version: number; readonly changes: readonly Change[]; readonly kept: Kept }
  /** The configuration in force is that of the version; no version was made. */
  | { readonly kind: 'unchanged'; readonly version: number; readonly kept: Kept }
  | { readonly kind: 'version_unknown' }
  /** Somebody changed the configuration after the caller looked at it. */
  | { readonly kind: 'outdated'; readonly newest: number }
  /** It cannot be done; one sentence for each reason. */
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }

type Kept = readonly KeptObject[]

/** An object that the old version does not have and that stays, out of service. */
export type KeptObject = { readonly object: string; readonly id: string; readonly status: string; readonly why: string }

export type RestoreOptions = {
  /** Who restores it; kept with the new version. */
  readonly by: string
  /** Compares, and writes nothing. */
  readonly dryRun: boolean
  /** The newest version that the caller knows: with a newer one nothing is done. */
  readonly newest?: number
  readonly clock?: Clock
}

/** Puts an earlier version in force again, by making a new version that is equal to it.
 *
 * What conversions, postbacks, bookings or keys remember is never deleted: where the old version does not have it, it stays
 * out of service (offers archived, affiliates blocked, the others paused), together with what it names. Everything happens
 * under the lock of applyConfiguration, in one transaction.
 */
export async function restoreVersion(pool: Pool, version: number, options: RestoreOptions): Promise<Restoration> {
  return inTransaction(pool, async (tx) => {
    await lockConfiguration(tx)
    return restore(tx, version, options)
  })
}

async function restore(
  tx: Tx,
  version: number,
  { by, dryRun, newest: expected, clock = systemClock }: RestoreOptions,
): Promise<Restoration> {
  const found = await findVersion(tx, version)
  if (found === undefined) return { kind: 'version_unknown' }
  const newest = await readVersion(tx)
  if (expected !== undefined && expected !== newest) return { kind: 'outdated', newest }
  const current = await readState(tx)
  const { wanted, kept } = await keepRemembered(tx, current, stateOf(found.snapshot))
  const reasons = [...findMoved(current, wanted), ...findFlowClashes(wanted)]
  if (reasons.length > 0) return { kind: 'refused', reasons }
  const changes = describeChanges(current, wanted)
  if (changes.length === 0) return { kind: 'unchanged', version: newest, kept }
  if (dryRun) return { kind: 'planned', version: newest + 1, changes, kept }

  await writeState(tx, current, wanted, (name) => changedIds(name, changes))
  const written = await readState(tx)
  assertEqual(written, wanted)
  await storeVersion(tx, compileConfiguration(written, newest + 1, clock.now()), by, changes)
  await tx.query('UPDATE config_versions SET restored_version = $2 WHERE version = $1', [newest + 1, version])
  return { kind: 'restored', version: newest + 1, changes, kept }
}

/** How an object of a section is taken out of service. A link has no history: it goes. */
const retiredStatus: Readonly<Record<Exclude<SectionName, 'links'>, string>> = {
  advertisers: 'paused',
  affiliates: 'blocked',
  offers: 'archived',
  campaigns: 'paused',
  endpoints: 'paused',
}
const retirable = sectionNames.filter((name) => name !== 'links')
type Retirable = (typeof retirable)[number]

async function keepRemembered(
  tx: Tx,
  current: ConfigurationState,
  target: ConfigurationState,
): Promise<{ readonly wanted: ConfigurationState; readonly kept: Kept }> {
  const reasons = new Map<string, { section: Retirable; id: string; why: string }>()
  for (const section of retirable) {
    const gone = [...current[section].keys()].filter((id) => !target[section].has(id))
    for (const id of await findRemembered(tx, section, gone))
      reasons.set(`${section} ${id}`, { section, id, why: 'Conversions, postbacks, bookings or API keys name it.' })
  }
  // Grows while it is walked: what a kept object names must stay too, and what that names in turn.
  for (const { section, id } of reasons.values())
    for (const [other, otherId] of referencesOf(section, current[section].get(id)!)) {
      if (other === 'links' || otherId === undefined || target[other].has(otherId)) continue
      if (current[other].has(otherId) && !reasons.has(`${other} ${otherId}`))
        reasons.set(`${other} ${otherId}`, { section: other, id: otherId, why: `The ${singular[section]} "${id}" names it.` }) // prettier-ignore
    }
  const wanted = copyOf(target, current)
  for (const { section, id } of reasons.values())
    wanted[section].set(id, { ...current[section].get(id), status: retiredStatus[section] } as never)
  const kept = [...reasons.values()].map(({ section, id, why }) => ({
    object: singular[section],
    id,
    status: retiredStatus[section],
    why,
  }))
  return { wanted, kept }
}

/** The key that signs between edges belongs to the installation, not to a version. */
function copyOf(target: ConfigurationState, { redirect_key }: ConfigurationState): ConfigurationState {
  const sections = Object.fromEntries(sectionNames.map((name) => [name, new Map<string, unknown>(target[name])]))
  return { ...target, ...(sections as unknown as ConfigurationState), ...(redirect_key !== undefined && { redirect_key }) } // prettier-ignore
}

/** Clicks, conversions and bookings of an object carry its advertiser for ever. */
function findMoved(current: ConfigurationState, wanted: ConfigurationState): string[] {
  return (['offers', 'campaigns'] as const).flatMap((section) =>
    [...wanted[section].values()].flatMap((one) => {
      const id = 'offer_id' in one ? one.offer_id : one.campaign_id
      const owner = current[section].get(id)?.advertiser_id
      return owner === undefined || owner === one.advertiser_id
        ? []
        : [`The ${singular[section]} "${id}" belongs to "${owner}" now and to "${one.advertiser_id}" in that version.`]
    }),
  )
}

/** A campaign that stays may have taken over a flow id that another one has in the old version. */
function findFlowClashes({ campaigns }: ConfigurationState): string[] {
  const campaignOf = new Map<string, string>()
  return [...campaigns.values()].flatMap(({ campaign_id, flows }) =>
    flows.flatMap(({ flow_id }) => {
      const other = campaignOf.get(flow_id)
      campaignOf.set(flow_id, campaign_id)
      return other === undefined ? [] : [`The campaigns "${other}" and "${campaign_id}" would both have a flow "${flow_id}".`] // prettier-ignore
    }),
  )
}
