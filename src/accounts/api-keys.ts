import { createHash, randomBytes } from 'node:crypto'

import type { Clock } from '#platform/clock'
import { newUuidV7 } from '#platform/ids'
import type { Pool, Tx } from '#platform/postgres'

import type { Principal, Role, Scope } from './principal.ts'

/** API keys. The database holds the SHA-256 of a key and never the key. A key has 256 random bits, so its hash cannot be
 * guessed and needs no salt; and because it is looked up by the hash, how long the look-up takes says nothing about the key.
 */
type Queryable = Pick<Pool | Tx, 'query'>

export type ApiKey = {
  readonly api_key_id: string
  readonly name: string
  readonly role: Role
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly scopes: readonly Scope[]
  readonly created_at: Date
  readonly revoked_at: Date | null
}

export type NewApiKey = {
  readonly name: string
  readonly role: Role
  readonly advertiser_id?: string
  readonly affiliate_id?: string
  readonly scopes: readonly Scope[]
}

export const API_KEY_LENGTH_MAX = 200

const sha256 = (key: string): Buffer => createHash('sha256').update(key).digest()

const SELECT_PRINCIPAL = `
  SELECT api_key_id, name, role, advertiser_id, affiliate_id, scopes, created_at, revoked_at
  FROM api_keys WHERE key_sha256 = $1 AND revoked_at IS NULL`

/** Whose key this is.
 * @returns undefined for a key that never was or that was revoked
 */
export async function authenticate(database: Queryable, key: string): Promise<Principal | undefined> {
  if (key === '' || key.length > API_KEY_LENGTH_MAX) return undefined
  const { rows } = await database.query<ApiKey>(SELECT_PRINCIPAL, [sha256(key)])
  return rows[0] && toPrincipal(rows[0])
}

function toPrincipal(row: ApiKey): Principal {
  const common = { apiKeyId: row.api_key_id, name: row.name, scopes: row.scopes }
  if (row.role === 'owner') return { ...common, role: 'owner' }
  if (row.role === 'advertiser') return { ...common, role: 'advertiser', advertiserId: row.advertiser_id! }
  const advertiser = row.advertiser_id === null ? {} : { advertiserId: row.advertiser_id }
  return { ...common, role: 'affiliate', affiliateId: row.affiliate_id!, ...advertiser }
}

const INSERT_KEY = `
  INSERT INTO api_keys (api_key_id, name, key_sha256, role, advertiser_id, affiliate_id, scopes, created_at)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8
  WHERE ($5::text IS NULL OR EXISTS (SELECT FROM advertisers WHERE advertiser_id = $5))
    AND ($6::text IS NULL OR EXISTS (SELECT FROM affiliates WHERE affiliate_id = $6))
    AND ($4 <> 'affiliate' OR $5::text IS NULL OR EXISTS (
      SELECT FROM affiliate_memberships WHERE affiliate_id = $6 AND advertiser_id = $5))
  RETURNING api_key_id, name, role, advertiser_id, affiliate_id, scopes, created_at, revoked_at`

export type CreatedApiKey =
  | { readonly kind: 'created'; readonly apiKey: ApiKey; readonly key: string }
  /** There is no such advertiser or affiliate, or the affiliate is no member of the advertiser. */
  | { readonly kind: 'tenant_unknown' }

/** Makes a key. This is the only time that it can be read. */
export async function createApiKey(database: Queryable, wanted: NewApiKey, clock: Clock): Promise<CreatedApiKey> {
  const key = `wp_${randomBytes(32).toString('base64url')}`
  const { name, role, advertiser_id = null, affiliate_id = null, scopes } = wanted
  const nowMs = clock.now()
  const values = [newUuidV7(nowMs), name, sha256(key), role, advertiser_id, affiliate_id, scopes, new Date(nowMs)]
  const { rows } = await database.query<ApiKey>(INSERT_KEY, values)
  return rows[0] === undefined ? { kind: 'tenant_unknown' } : { kind: 'created', apiKey: rows[0], key }
}

const SELECT_KEYS = `
  SELECT api_key_id, name, role, advertiser_id, affiliate_id, scopes, created_at, revoked_at
  FROM api_keys WHERE $1::uuid IS NULL OR api_key_id < $1 ORDER BY api_key_id DESC LIMIT $2`

/** Keys, newest first, without the keys themselves.
 * @param beforeId the last id of the page before
 */
export async function listApiKeys(database: Queryable, limit: number, beforeId?: string): Promise<readonly ApiKey[]> {
  const { rows } = await database.query<ApiKey>(SELECT_KEYS, [beforeId ?? null, limit])
  return rows
}

const REVOKE_KEY = `
  UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE api_key_id = $1
  RETURNING api_key_id, name, role, advertiser_id, affiliate_id, scopes, created_at, revoked_at`

/** Ends a key at once; ending it again changes nothing.
 * @returns undefined when no key has this id
 */
export async function revokeApiKey(database: Queryable, apiKeyId: string, clock: Clock): Promise<ApiKey | undefined> {
  const { rows } = await database.query<ApiKey>(REVOKE_KEY, [apiKeyId, new Date(clock.now())])
  return rows[0]
}

const ENSURE_OWNER_KEY = `
  WITH replaced AS (
    UPDATE api_keys SET revoked_at = $4 WHERE name = $2 AND role = 'owner' AND key_sha256 <> $3 AND revoked_at IS NULL
  )
  INSERT INTO api_keys (api_key_id, name, key_sha256, role, scopes, created_at)
  VALUES ($1, $2, $3, 'owner', '{read,write}', $4)
  ON CONFLICT (key_sha256) DO UPDATE SET role = 'owner', scopes = '{read,write}', revoked_at = NULL
    WHERE api_keys.revoked_at IS NOT NULL OR api_keys.role <> 'owner'`

/** Makes sure that the owner's key with this value works, and that an earlier one of the same name does not any more.
 * @param name what the key is for, e.g. `WAYPOST_API_KEY` or `secrets.json`
 */
export async function ensureOwnerKey(
  database: Queryable,
  key: string,
  options: { name: string; clock: Clock },
): Promise<void> {
  const nowMs = options.clock.now()
  await database.query(ENSURE_OWNER_KEY, [newUuidV7(nowMs), options.name, sha256(key), new Date(nowMs)])
}

const ACTIVE_KEYS = 'SELECT api_key_id FROM api_keys WHERE api_key_id = ANY($1::uuid[]) AND revoked_at IS NULL'

/** Which of these keys still hold. */
export async function findActiveKeys(database: Queryable, apiKeyIds: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await database.query<{ api_key_id: string }>(ACTIVE_KEYS, [apiKeyIds])
  return new Set(rows.map(({ api_key_id }) => api_key_id))
}
