import { Counter, Gauge, Registry } from 'prom-client'

import { isConnectionFailure, type Pool } from '#platform/postgres'
import { noticeKinds } from '../reasons.ts'
import { pausedObjects } from './pauses.ts'

/** All three tables hold what is out of order, and are small. */
const COUNT = `
  SELECT 'failing' AS what, NULL AS which, count(*)::int AS count FROM endpoint_states WHERE disabled_at IS NULL
  UNION ALL SELECT 'disabled', NULL, count(*)::int FROM endpoint_states WHERE disabled_at IS NOT NULL
  UNION ALL SELECT 'paused', object, count(*)::int FROM delivery_pauses GROUP BY object
  UNION ALL SELECT 'notice', kind, count(*)::int FROM notices GROUP BY kind`

type Count = {
  readonly what: 'failing' | 'disabled' | 'paused' | 'notice'
  readonly which: string | null
  readonly count: number
}

/** What stands between the queue and the receivers, for GET /metrics; nothing while the database is away. */
export function createGateMetrics(pool: Pool): () => Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  const endpoints = new Gauge({
    name: 'waypost_endpoints_failing',
    help: 'Endpoints without a success since a failure, by whether they are disabled for it.',
    labelNames: ['state'],
    registers,
  })
  const pauses = new Gauge({
    name: 'waypost_delivery_pauses',
    help: 'Endpoints, affiliates and advertisers that are paused by hand.',
    labelNames: ['object'],
    registers,
  })
  const notices = new Counter({
    name: 'waypost_notices_total',
    help: 'Notices to operators by kind.',
    labelNames: ['kind'],
    registers,
  })
  return async () => {
    const counts = await readCounts(pool)
    if (counts === undefined) return ''
    const countOf = (what: Count['what'], which: string | null = null): number =>
      counts.find((one) => one.what === what && one.which === which)?.count ?? 0
    for (const state of ['failing', 'disabled'] as const) endpoints.set({ state }, countOf(state))
    for (const object of pausedObjects) pauses.set({ object }, countOf('paused', object))
    notices.reset()
    for (const kind of Object.keys(noticeKinds)) notices.inc({ kind }, countOf('notice', kind))
    return registry.metrics()
  }
}

async function readCounts(pool: Pool): Promise<readonly Count[] | undefined> {
  try {
    return (await pool.query<Count>(COUNT)).rows
  } catch (error) {
    if (isConnectionFailure(error)) return undefined
    throw error
  }
}
