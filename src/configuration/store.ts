import { isDeepStrictEqual } from 'node:util'

import type { Advertiser, Affiliate, Campaign, Link, Offer, PostbackEndpoint, Snapshot } from '#routing'
import type { Pool, Tx } from '#platform/postgres'
import { openSecrets, sealSecrets, sealSnapshot, secretKeys } from '#secrets'
import { emptyState, withoutEmpty, type ConfigurationState } from './objects.ts'
import { sectionNames, type SectionName } from './file-schema.ts'

/** Tables of the configuration ↔ the shapes of the snapshot. All reads and writes are one statement per table. */

type Row = Readonly<Record<string, unknown>>
type Settings = Pick<ConfigurationState, 'fallback_url' | 'redirect_key' | 'lists' | 'fraud'>
type Queryable = Pick<Pool | Tx, 'query'>

const tables: Readonly<
  Record<SectionName, { readonly table: string; readonly key: string; readonly columns: readonly string[] }>
> = {
  advertisers: {
    table: 'advertisers',
    key: 'advertiser_id',
    columns: ['name', 'timezone', 'currency', 'status', 'domains', 'fallback_url', 'postback_allow', 'retention'],
  },
  affiliates: { table: 'affiliates', key: 'affiliate_id', columns: ['name', 'status'] },
  offers: {
    table: 'offers',
    key: 'offer_id',
    columns: [
      'advertiser_id', 'name', 'status', 'starts_at', 'ends_at', 'model', 'currency', 'prices', 'hold_days', 'landings', 'event_map',
      'custom_events', 'status_map', 'postback', 'rule', 'block', 'country_fallbacks', 'access', 'affiliates', 'redirect', 'caps', 'cap_fallbacks', 'fraud',
      'referrer_policy', 'unique_ttl_hours', 'click_lifetime_days', 'fallback_url',
    ], // prettier-ignore
  },
  campaigns: {
    table: 'campaigns',
    key: 'campaign_id',
    columns: [
      'advertiser_id',
      'name',
      'status',
      'affiliate_id',
      'flows',
      'rotation',
      'bind',
      'optimize',
      'unique_ttl_hours',
      'fallback_url',
    ],
  },
  links: { table: 'links', key: 'code', columns: ['campaign_id', 'flow_id', 'offer_id', 'affiliate_id', 'trap'] },
  endpoints: {
    table: 'postback_endpoints',
    key: 'endpoint_id',
    columns: [
      'advertiser_id', 'name', 'status', 'scope', 'triggers', 'rule', 'method', 'url', 'body', 'content_type', 'secret', 'secrets', 'timeout_ms',
      'max_concurrency', 'max_attempts', 'max_per_minute', 'expires_hours', 'allow_private_address', 'yields', 'template', 'headers', 'batch',
      'previous_secret', 'previous_secret_until', 'quota', 'retry', 'success', 'final_statuses', 'via_proxy',
      'at_most_once', 'ordered',
    ], // prettier-ignore
  },
}

/** Any number, the same for ever: two applies at once come one after the other. */
const ADVISORY_LOCK = 7_229_002

/** Makes this transaction the only one that changes the configuration, or the key that its secrets are sealed with. */
export async function lockConfiguration(tx: Tx): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK])
  // Another process may have made a new key and forgotten the one known here.
  secretKeys().currentId()
}

/** The configuration as it stands in the tables, by id in the order of bytes. */
export async function readState(database: Queryable): Promise<ConfigurationState> {
  const state = emptyState()
  for (const name of sectionNames) {
    const { rows } = await database.query<Row>(selectAll(name))
    for (const row of rows) state[name].set(String(row[tables[name].key]), fromRow[name](openSecrets(row)) as never)
  }
  const { rows } = await database.query<Row>('SELECT fallback_url, redirect_key, lists, fraud FROM settings')
  return { ...state, ...withoutEmpty<Settings>(openSecrets(rows[0]) as never) }
}

const MEMBERSHIPS = `(SELECT coalesce(jsonb_agg(advertiser_id ORDER BY advertiser_id COLLATE "C"), '[]')
  FROM affiliate_memberships m WHERE m.affiliate_id = affiliates.affiliate_id) AS advertiser_ids`

function selectAll(name: SectionName): string {
  const { table, key, columns } = tables[name]
  const extra = name === 'affiliates' ? `, ${MEMBERSHIPS}` : ''
  return `SELECT ${[key, ...columns].join(', ')}${extra} FROM ${table} ORDER BY ${key} COLLATE "C"`
}

const toMs = (value: unknown): number | undefined => (value instanceof Date ? value.getTime() : undefined)

const fromRow: Readonly<Record<SectionName, (row: Row) => object>> = {
  advertisers: (row) => withoutEmpty<Advertiser>(row as never),
  affiliates: (row) => withoutEmpty<Affiliate>(row as never),
  offers: (row) =>
    withoutEmpty<Offer>({ ...row, starts_at: toMs(row['starts_at']), ends_at: toMs(row['ends_at']) } as never),
  campaigns: (row) => withoutEmpty<Campaign>(row as never),
  links: (row) => withoutEmpty<Link>(row as never),
  endpoints: ({ advertiser_id: _tenant, ...row }) =>
    withoutEmpty<PostbackEndpoint>({ ...row, previous_secret_until: toMs(row['previous_secret_until']) } as never),
}

const toRow = (name: SectionName, object: object): object => {
  if (name === 'offers') {
    const { starts_at, ends_at, ...offer } = object as Offer
    return { ...offer, starts_at: toIso(starts_at), ends_at: toIso(ends_at) }
  }
  if (name !== 'endpoints') return object
  const { previous_secret_until, ...endpoint } = object as PostbackEndpoint
  const { advertiser_id } = endpoint.scope
  return { ...endpoint, advertiser_id, previous_secret_until: toIso(previous_secret_until) }
}

const toIso = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString()

/** Writes what differs: changed and new objects first, so that nothing points to a removed one any more, then removals. */
export async function writeState(
  tx: Tx,
  before: ConfigurationState,
  after: ConfigurationState,
  changedIds: (name: SectionName) => ReadonlySet<string>,
): Promise<void> {
  for (const name of sectionNames) {
    const changed = [...changedIds(name)].map((id) => after[name].get(id)).filter((object) => object !== undefined)
    if (changed.length === 0) continue
    await tx.query(upsert(name), [JSON.stringify(changed.map((object) => sealSecrets(toRow(name, object))))])
    if (name === 'affiliates') await writeMemberships(tx, changed as readonly Affiliate[])
  }
  for (const name of [...sectionNames].reverse()) {
    const removed = [...before[name].keys()].filter((id) => !after[name].has(id))
    if (removed.length > 0)
      await tx.query(`DELETE FROM ${tables[name].table} WHERE ${tables[name].key} = ANY($1)`, [removed])
  }
  if (!isDeepStrictEqual(settingsOf(before), settingsOf(after))) await tx.query(UPSERT_SETTINGS, settingsOf(after))
}

/** Writes everything that has secrets again, sealed with the newest key. */
export async function resealState(tx: Tx, state: ConfigurationState): Promise<void> {
  await writeState(tx, state, state, (name) =>
    name === 'offers' || name === 'endpoints' ? new Set(state[name].keys()) : new Set(),
  )
  const { redirect_key } = sealSecrets({ redirect_key: state.redirect_key })
  await tx.query('UPDATE settings SET redirect_key = coalesce($1, redirect_key)', [redirect_key])
}

const UPSERT_SETTINGS = `
  INSERT INTO settings (fallback_url, lists, fraud) VALUES ($1, $2, $3)
  ON CONFLICT (is_only) DO UPDATE SET fallback_url = EXCLUDED.fallback_url, lists = EXCLUDED.lists, fraud = EXCLUDED.fraud`

const settingsOf = ({ fallback_url, lists, fraud }: ConfigurationState): (string | null)[] => [
  fallback_url ?? null,
  lists === undefined ? null : JSON.stringify(lists),
  fraud === undefined ? null : JSON.stringify(fraud),
]

function upsert(name: SectionName): string {
  const { table, key, columns } = tables[name]
  const all = [key, ...columns].join(', ')
  return `
    INSERT INTO ${table} (${all}) SELECT ${all} FROM jsonb_populate_recordset(NULL::${table}, $1::jsonb)
    ON CONFLICT (${key}) DO UPDATE SET ${columns.map((column) => `${column} = EXCLUDED.${column}`).join(', ')}`
}

const INSERT_MEMBERSHIPS = `
  INSERT INTO affiliate_memberships (affiliate_id, advertiser_id) SELECT * FROM unnest($1::text[], $2::text[])`

async function writeMemberships(tx: Tx, affiliates: readonly Affiliate[]): Promise<void> {
  await tx.query('DELETE FROM affiliate_memberships WHERE affiliate_id = ANY($1)', [
    affiliates.map((one) => one.affiliate_id),
  ])
  const pairs = affiliates.flatMap((one) =>
    one.advertiser_ids.map((advertiserId) => [one.affiliate_id, advertiserId] as const),
  )
  await tx.query(INSERT_MEMBERSHIPS, [
    pairs.map(([affiliateId]) => affiliateId),
    pairs.map(([, advertiserId]) => advertiserId),
  ])
}

/** The snapshot that a configuration makes. */
export function compileConfiguration(state: ConfigurationState, version: number, createdAtMs: number): Snapshot {
  return withoutEmpty<Snapshot>({
    version,
    created_at: new Date(createdAtMs).toISOString(),
    fallback_url: state.fallback_url,
    redirect_key: state.redirect_key,
    lists: state.lists,
    fraud: state.fraud,
    advertisers: [...state.advertisers.values()],
    affiliates: [...state.affiliates.values()],
    offers: [...state.offers.values()],
    campaigns: [...state.campaigns.values()],
    links: [...state.links.values()],
    endpoints: [...state.endpoints.values()].map((endpoint) => withAllowed(endpoint, state)),
  })
}

/** Whoever sends knows the endpoint alone. */
function withAllowed(endpoint: PostbackEndpoint, { advertisers }: ConfigurationState): PostbackEndpoint {
  const allowed = advertisers.get(endpoint.scope.advertiser_id ?? '')?.postback_allow
  return allowed === undefined ? endpoint : { ...endpoint, postback_allow: allowed }
}

/** The newest version; 0 where there is none. */
export async function readVersion(database: Queryable): Promise<number> {
  const { rows } = await database.query<{ version: number }>(
    'SELECT coalesce(max(version), 0) AS version FROM config_versions',
  )
  return rows[0]?.version ?? 0
}

const INSERT_VERSION = `
  INSERT INTO config_versions (version, snapshot, created_at, created_by, diff, secret_key_id)
  VALUES ($1, $2, $3, $4, $5, $6)`

/** Stores a version whole and tells everybody who listens; they hear it when the transaction commits. */
export async function storeVersion(tx: Tx, snapshot: Snapshot, by: string, diff: unknown): Promise<void> {
  const keyId = secretKeys().currentId()
  await tx.query(INSERT_VERSION, [
    snapshot.version,
    JSON.stringify(sealSnapshot(snapshot)),
    snapshot.created_at,
    by,
    JSON.stringify(diff),
    keyId,
  ])
  await tx.query("SELECT pg_notify('waypost_config', $1)", [String(snapshot.version)])
}
