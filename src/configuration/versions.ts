import type { Pool, Tx } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { isSecretName, openSnapshot } from '#secrets'
import { describeChanges, type Change } from './describe-changes.ts'
import { sectionNames } from './file-schema.ts'
import { emptyState, type ConfigurationState } from './objects.ts'

/** Every version of the configuration is kept whole, with who made it, when, and in what it differs from the one before. */

type Queryable = Pick<Pool | Tx, 'query'>

export type VersionSummary = {
  readonly version: number
  readonly createdAt: Date
  /** An API key's name, or the user of the operating system who called the command. */
  readonly createdBy: string
  /** The earlier version that this one made to be in force again. */
  readonly restoredVersion: number | undefined
  readonly added: number
  readonly changed: number
  readonly removed: number
  /** The first objects that were touched, such as `offer lamp`; at most five. */
  readonly firstObjects: readonly string[]
}

export type ConfigurationVersion = Omit<VersionSummary, 'added' | 'changed' | 'removed' | 'firstObjects'> & {
  readonly changes: readonly Change[]
  /** With secrets: see maskSnapshot. */
  readonly snapshot: Snapshot
}

const countOf = (kind: Change['kind']): string =>
  `(SELECT count(*)::integer FROM jsonb_array_elements(diff) AS one WHERE one->>'kind' = '${kind}') AS ${kind}`

const LIST = `
  SELECT version, created_at, created_by, restored_version, jsonb_path_query_array(diff, '$[0 to 4]') AS first_changes,
    ${countOf('added')}, ${countOf('changed')}, ${countOf('removed')}
  FROM config_versions WHERE $1::integer IS NULL OR version < $1 ORDER BY version DESC LIMIT $2`

type SummaryRow = {
  readonly version: number
  readonly created_at: Date
  readonly created_by: string
  readonly restored_version: number | null
  readonly first_changes: readonly Change[]
} & Record<Change['kind'], number>

/** Versions below `before`, newest first.
 * @param before left out: from the newest on
 */
export async function listVersions(
  database: Queryable,
  before: number | undefined,
  limit: number,
): Promise<readonly VersionSummary[]> {
  const { rows } = await database.query<SummaryRow>(LIST, [before ?? null, limit])
  return rows.map(({ created_at, created_by, restored_version, first_changes, ...rest }) => ({
    ...rest,
    createdAt: created_at,
    createdBy: created_by,
    restoredVersion: restored_version ?? undefined,
    firstObjects: first_changes.map(({ object, id }) => `${object} ${id}`),
  }))
}

const FIND = `
  SELECT version, created_at, created_by, restored_version, diff, snapshot FROM config_versions
  WHERE $1::integer IS NULL OR version = $1 ORDER BY version DESC LIMIT 1`

type VersionRow = Omit<SummaryRow, 'first_changes'> & { readonly diff: readonly Change[]; readonly snapshot: Snapshot }

/** @param version left out: the newest
 * @returns undefined: there is none
 */
export async function findVersion(
  database: Queryable,
  version: number | undefined,
): Promise<ConfigurationVersion | undefined> {
  const { rows } = await database.query<VersionRow>(FIND, [version ?? null])
  const [row] = rows
  return (
    row && {
      version: row.version,
      createdAt: row.created_at,
      createdBy: row.created_by,
      restoredVersion: row.restored_version ?? undefined,
      changes: row.diff,
      snapshot: openSnapshot(row.snapshot),
    }
  )
}

/** What turns one version into another, whichever came first.
 * @returns undefined: one of them does not exist
 */
export async function diffVersions(
  database: Queryable,
  from: number,
  to: number,
): Promise<readonly Change[] | undefined> {
  const [before, after] = [await findVersion(database, from), await findVersion(database, to)]
  return before && after && describeChanges(stateOf(before.snapshot), stateOf(after.snapshot))
}

/** The configuration that a snapshot was made of: the way back of compileConfiguration. */
export function stateOf({ version: _version, created_at: _at, ...parts }: Snapshot): ConfigurationState {
  const sections = new Set<string>(sectionNames)
  const settings = Object.fromEntries(Object.entries(parts).filter(([name]) => !sections.has(name)))
  const state = emptyState()
  for (const one of parts.advertisers) state.advertisers.set(one.advertiser_id, one)
  for (const one of parts.affiliates) state.affiliates.set(one.affiliate_id, one)
  for (const one of parts.offers) state.offers.set(one.offer_id, one)
  for (const one of parts.campaigns) state.campaigns.set(one.campaign_id, one)
  for (const one of parts.links) state.links.set(one.code, one)
  for (const { postback_allow: _advertisers, ...one } of parts.endpoints) state.endpoints.set(one.endpoint_id, one)
  return { ...state, ...settings }
}

/** A snapshot for people: what opens a door or signs a message is not shown. */
export const maskSnapshot = (snapshot: Snapshot): object =>
  JSON.parse(JSON.stringify(snapshot, (key, value: unknown) => (isSecretName(key) ? '(secret)' : value))) as object
