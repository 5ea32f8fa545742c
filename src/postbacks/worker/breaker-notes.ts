import type { Pool } from '#platform/postgres'

/** Milliseconds from now until each receiver that is left alone is asked again, by endpoint. */
type OpenBreakers = ReadonlyMap<string, number>

const WRITE = `
  WITH gone AS (
    DELETE FROM endpoint_breakers WHERE worker_id = $1 AND endpoint_id <> ALL($2::text[])
  )
  INSERT INTO endpoint_breakers (endpoint_id, worker_id, opened_at, probe_at)
  SELECT endpoint_id, $1, now(), now() + wait_ms * interval '1 ms'
  FROM unnest($2::text[], $3::float8[]) AS g(endpoint_id, wait_ms)
  WHERE EXISTS (SELECT FROM delivery_workers WHERE worker_id = $1)
  ON CONFLICT (endpoint_id) DO UPDATE SET worker_id = excluded.worker_id, probe_at = excluded.probe_at`

/** Writes down which breakers of a worker are open, in place of what it wrote before. */
async function writeOpenBreakers(pool: Pool, workerId: string, open: OpenBreakers): Promise<void> {
  await pool.query(WRITE, [workerId, [...open.keys()], [...open.values()]])
}

const READ = `
  SELECT b.endpoint_id, b.probe_at FROM endpoint_breakers AS b JOIN delivery_workers AS w USING (worker_id)`

/** When each receiver that is left alone is asked again, by endpoint; at most two seconds old. */
export async function readOpenBreakers(pool: Pool): Promise<ReadonlyMap<string, Date>> {
  const { rows } = await pool.query<{ endpoint_id: string; probe_at: Date }>(READ)
  return new Map(rows.map((row) => [row.endpoint_id, row.probe_at]))
}

/** Tells when what a worker has in memory differs from what it wrote: a probe that is moved, an endpoint that came or went. */
export class BreakerNotes {
  readonly #options: { readonly pool: Pool; readonly workerId: string }
  /** Moments on performance.now(). */
  #written: ReadonlyMap<string, number> = new Map()

  constructor(options: { readonly pool: Pool; readonly workerId: string }) {
    this.#options = options
  }

  /** @param probes when each receiver is asked again, on performance.now() */
  async write(probes: ReadonlyMap<string, number>): Promise<void> {
    const isSame = probes.size === this.#written.size && [...probes].every(([id, at]) => this.#written.get(id) === at)
    if (isSame) return
    const now = performance.now()
    const waits = new Map([...probes].map(([id, at]) => [id, Math.max(0, at - now)]))
    await writeOpenBreakers(this.#options.pool, this.#options.workerId, waits)
    this.#written = probes
  }
}
