import { isDeepStrictEqual } from 'node:util'

import { systemClock, type Clock } from '#platform/clock'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { describeChanges, type Change } from './describe-changes.ts'
import { sectionNames, type SectionName } from './file-schema.ts'
import { findRemembered } from './history.ts'
import { problem, type Issue, type Problem } from './issues.ts'
import { emptyState, singular } from './objects.ts'
import { planConfiguration, type Plan } from './plan.ts'
import { planBeside } from './plan-beside.ts'
import { readFile } from './read-file.ts'
import { compileConfiguration, lockConfiguration, readState, readVersion, storeVersion, writeState } from './store.ts'

/** What came of applying a file. */
export type Application =
  | { readonly kind: 'applied'; readonly version: number; readonly changes: readonly Change[] }
  /** Dry run: what would be applied. */
  | { readonly kind: 'planned'; readonly version: number; readonly changes: readonly Change[] }
  /** The configuration is as the file wants it; no version was made. */
  | { readonly kind: 'unchanged'; readonly version: number }
  | { readonly kind: 'refused'; readonly issues: readonly Issue[] }

export type ApplyOptions = {
  /** Who applies it; kept with the version. */
  readonly by: string
  /** Validates and compares, and writes nothing. */
  readonly dryRun?: boolean
  readonly clock?: Clock
}

/** Applies a configuration file wholly, or refuses it wholly with every mistake found.
 *
 * Objects of the file replace those of the same id whole; objects that it does not name stay as they are, unless it says
 * `prune: true`. Applying the same file again is `unchanged`. On success the new snapshot is a row of config_versions and
 * whoever listens to `waypost_config` is told.
 * @param yamlText at most 16 MiB
 * @see docs/configuration.md
 */
export async function applyConfiguration(pool: Pool, yamlText: string, options: ApplyOptions): Promise<Application> {
  return inTransaction(pool, async (tx) => {
    await lockConfiguration(tx)
    return applyText(tx, yamlText, options)
  })
}

/** Makes version 1, without any object, where there is no configuration yet: the edge is ready as soon as it has one.
 * @returns the version that there is now
 */
export async function ensureConfiguration(pool: Pool, clock: Clock = systemClock): Promise<number> {
  return inTransaction(pool, async (tx) => {
    await lockConfiguration(tx)
    const version = await readVersion(tx)
    if (version > 0) return version
    await storeVersion(tx, compileConfiguration(await readState(tx), 1, clock.now()), 'set-up', [])
    return 1
  })
}

async function applyText(
  tx: Tx,
  yamlText: string,
  { by, dryRun = false, clock = systemClock }: ApplyOptions,
): Promise<Application> {
  const current = await readState(tx)
  const version = await readVersion(tx)
  const plan = await planBeside(yamlText, current)
  const issues = [...plan.issues, ...(await findHistoryIssues(tx, plan))]
  if (issues.length > 0) return { kind: 'refused', issues }
  const changes = describeChanges(current, plan.wanted)
  if (changes.length === 0 && version > 0) return { kind: 'unchanged', version }
  if (dryRun) return { kind: 'planned', version: version + 1, changes }

  await writeState(tx, current, plan.wanted, (name) => changedIds(name, changes))
  const written = await readState(tx)
  assertEqual(written, plan.wanted)
  await storeVersion(tx, compileConfiguration(written, version + 1, clock.now()), by, changes)
  return { kind: 'applied', version: version + 1, changes }
}

/** What a file would make of the newest configuration, as a snapshot that nobody serves. */
export type Preview =
  | { readonly kind: 'previewed'; readonly snapshot: Snapshot; readonly changes: readonly Change[] }
  | { readonly kind: 'refused'; readonly issues: readonly Issue[] }

/** Reads a file as applyConfiguration does and writes nothing. The snapshot has the number of the next version, so that it
 * decides as the edge would after an apply.
 */
export async function previewConfiguration(pool: Pool, yamlText: string, clock: Clock = systemClock): Promise<Preview> {
  return inTransaction(pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const current = await readState(tx)
    const version = await readVersion(tx)
    const plan = await planBeside(yamlText, current)
    const issues = [...plan.issues, ...(await findHistoryIssues(tx, plan))]
    if (issues.length > 0) return { kind: 'refused', issues }
    const snapshot = compileConfiguration(plan.wanted, version + 1, clock.now())
    return { kind: 'previewed', snapshot, changes: describeChanges(current, plan.wanted) }
  })
}

export const changedIds = (name: SectionName, changes: readonly Change[]): ReadonlySet<string> =>
  new Set(changes.filter(({ object, kind }) => object === singular[name] && kind !== 'removed').map(({ id }) => id))

/** The tables must give back what was written, or the next apply of the same file would change something again. */
export function assertEqual(written: object, wanted: object): void {
  if (!isDeepStrictEqual(written, wanted)) throw new Error('The configuration read back differs from the one written.')
}

async function findHistoryIssues(tx: Tx, { removed }: Plan): Promise<readonly Issue[]> {
  const issues: Issue[] = []
  for (const section of sectionNames) {
    const removals = removed.filter((one) => one.section === section)
    const remembered = new Set(await findRemembered(tx, section, removals.map(({ id }) => id))) // prettier-ignore
    for (const { id, line, column, path } of removals)
      if (remembered.has(id)) issues.push({ line, column, path, ...hasHistory(section, id) })
  }
  return issues
}

const hasHistory = (section: SectionName, id: string): Problem =>
  problem(
    'object_has_history',
    `The ${singular[section]} "${id}" cannot be removed: conversions, postbacks, bookings or API keys name it.`,
    'Take it out of service instead: status archived (offers), paused or blocked.',
  )

/** Every mistake in a configuration file that can be told without the installation: ids that it does not define itself
 * count as unknown. For editors and tests.
 */
export function checkConfiguration(yamlText: string): readonly Issue[] {
  return planConfiguration(readFile(yamlText), emptyState()).issues
}
