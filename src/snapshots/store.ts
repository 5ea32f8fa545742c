import type { Snapshot } from '#routing'

/** Which row of config_versions is known; the time tells a database that was made anew from the one known before. */
export type VersionKey = { readonly version: number; readonly created_at: string }

export type VersionRow = VersionKey & { readonly snapshot: Snapshot }

/** The snapshot is read only where it is another than the known one: it may be megabytes, this runs every second. */
const NEWEST_VERSION = `
  SELECT version, created_at::text AS created_at, snapshot
  FROM config_versions
  WHERE version = (SELECT max(version) FROM config_versions)
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
export async function readNewestVersion(
  client: Queryable,
  known: VersionKey | undefined,
): Promise<VersionRow | undefined> {
  const { rows } = await client.query({
    text: NEWEST_VERSION,
    values: [known?.version ?? null, known?.created_at ?? null],
    query_timeout: QUERY_TIMEOUT_MS,
  })
  return rows[0] as VersionRow | undefined
}
