import type { LearnedOverlay, Snapshot } from '#routing'

/** Which row of config_versions is known; the time tells a database that was made anew from the one known before. */
export type VersionKey = { readonly version: number; readonly created_at: string }

export type VersionRow = VersionKey & { readonly snapshot: Snapshot }
export type LearnedRow = VersionKey & { readonly weights: LearnedOverlay['weights'] }

/** The snapshot is read only where it is another than the known one: it may be megabytes, this runs every second. */
const NEWEST_VERSION = `
  SELECT version, created_at::text AS created_at, snapshot
  FROM config_versions
  WHERE version = (SELECT max(version) FROM config_versions)
    AND (version, created_at::text) IS DISTINCT FROM ($1::integer, $2::text)`

const NEWEST_LEARNED = `
  SELECT version, created_at::text AS created_at, weights
  FROM learned_weights
  WHERE version = (SELECT max(version) FROM learned_weights)
    AND (version, created_at::text) IS DISTINCT FROM ($1::integer, $2::text)`

const QUERY_TIMEOUT_MS = 5_000

type Queryable = {
  readonly query: (query: {
    readonly text: string
    readonly values: unknown[]
    readonly query_timeout: number
  }) => Promise<{ readonly rows: unknown[] }>
}

/** @returns undefined when the newest version is the known one, or there is none yet */
export const readNewestVersion = (client: Queryable, known: VersionKey | undefined): Promise<VersionRow | undefined> =>
  readNewest<VersionRow>(client, NEWEST_VERSION, known)

/** @returns undefined when the newest learned weights are the known ones, or there are none yet */
export const readNewestLearned = (client: Queryable, known: VersionKey | undefined): Promise<LearnedRow | undefined> =>
  readNewest<LearnedRow>(client, NEWEST_LEARNED, known)

async function readNewest<Row>(
  client: Queryable,
  text: string,
  known: VersionKey | undefined,
): Promise<Row | undefined> {
  const values = [known?.version ?? null, known?.created_at ?? null]
  const { rows } = await client.query({ text, values, query_timeout: QUERY_TIMEOUT_MS })
  return rows[0] as Row | undefined
}
