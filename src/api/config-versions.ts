import type { Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'

/** Snapshots of the last versions asked for: each may be megabytes, and a support case asks for the same one again. */
const KEPT_MAX = 4

/** Finds the configuration that decided a click. */
export type ConfigVersions = { readonly find: (version: number) => Promise<Snapshot | undefined> }

export function keepConfigVersions(pool: Pool): ConfigVersions {
  const kept = new Map<number, Snapshot>()
  return {
    async find(version) {
      const known = kept.get(version)
      if (known !== undefined) return known
      const { rows } = await pool.query<{ snapshot: Snapshot }>(
        'SELECT snapshot FROM config_versions WHERE version = $1',
        [version],
      )
      if (rows[0] === undefined) return undefined
      if (kept.size >= KEPT_MAX) kept.delete(kept.keys().next().value!)
      kept.set(version, rows[0].snapshot)
      return rows[0].snapshot
    },
  }
}
