import { setTimeout as delay } from 'node:timers/promises'
import { createPool } from '#platform/postgres'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultTest } from './fault-test.ts'
import { epochMs, latenciesBetween, percentileOf, roundMs } from './latencies.ts'
import { openFaultSite, type FaultSite } from './site.ts'
import type { WorkerLife } from './workers.ts'

const WARM_UP_MS = 3_000
const REST_SECONDS_MAX = 60
/** Not the bar of the bench (3 times): a busy machine must not turn this red, a claim that slows down with every dead row must. */
const FACTOR_MAX = 6
const SLACK_MS = 40

export const openTransaction: FaultTest = {
  shows: 'a REPEATABLE READ transaction that stays open under load slows down neither claims nor deliveries by much',
  run: async (settings) => {
    const heldSeconds = settings.seconds ?? (settings.isShort ? 20 : 600)
    const windowSeconds = Math.min(30, heldSeconds / 2)
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada'],
      endpoints: Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`e${index}`, { max_concurrency: 20 }])),
      answer: () => ({ status: 204 }),
    })
    const worker = await site.startWorker({ slots: 128 })
    await worker.ready
    const producer = site.startProducer({ perSecond: 40 })
    await delay(WARM_UP_MS)
    settings.tell('baseline')
    const before = await window(worker, windowSeconds)
    const held = await holdSnapshot(site.databaseUrl)
    settings.tell('a transaction stays open')
    await delay((heldSeconds - windowSeconds) * 1000)
    const after = await window(worker, windowSeconds)
    const dead = await countDead(site)
    await held[Symbol.asyncDispose]()
    const production = await producer.stop()
    const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
    await site.stopWorkers()
    const { arrivals } = site.receiver
    const p99 = ({ from, to }: Window): number =>
      percentileOf(
        latenciesBetween(production, arrivals, () => true, from, to),
        0.99,
      )
    const figures = {
      claim_p99_ms_before: roundMs(percentileOf(before.readsMs, 0.99)),
      claim_p99_ms_held: roundMs(percentileOf(after.readsMs, 0.99)),
      commit_to_arrival_p99_ms_before: roundMs(p99(before)),
      commit_to_arrival_p99_ms_held: roundMs(p99(after)),
    }
    const endpoints = Array.from({ length: 10 }, (_, index) => `e${index}`)
    const { findings } = await checkDeliveries({
      ...site,
      arrivals,
      acknowledged: production.committedAt.keys(),
      endpointsOf: () => endpoints,
    })
    return {
      did: [`400 deliveries a second; a transaction open for ${heldSeconds} s`],
      seen: {
        'dead rows that could not be removed': dead,
        'claims timed before': before.readsMs.length,
        'claims timed with it open': after.readsMs.length,
      },
      figures,
      findings: [
        ...tooSlow('claims', figures.claim_p99_ms_before, figures.claim_p99_ms_held),
        ...tooSlow('deliveries', figures.commit_to_arrival_p99_ms_before, figures.commit_to_arrival_p99_ms_held),
        ...notAtRest(unended),
        ...findings,
      ],
    }
  },
}

const tooSlow = (what: string, before: number, held: number): readonly string[] =>
  held <= before * FACTOR_MAX + SLACK_MS ? [] : [`${what} take ${held} ms (p99) instead of ${before} ms`]

type Window = { readonly from: number; readonly to: number; readonly readsMs: readonly number[] }

async function window(worker: WorkerLife, seconds: number): Promise<Window> {
  await worker.report()
  const from = epochMs()
  await delay(seconds * 1000)
  const to = epochMs()
  return { from, to, readsMs: (await worker.report()).readsMs }
}

async function holdSnapshot(databaseUrl: string): Promise<AsyncDisposable> {
  const pool = createPool(databaseUrl, { max: 1 })
  const tx = await pool.connect()
  await tx.query('SET idle_in_transaction_session_timeout = 0')
  await tx.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await tx.query('SELECT count(*) FROM config_versions')
  return {
    [Symbol.asyncDispose]: async () => {
      tx.release(true)
      await pool.end()
    },
  }
}

const DEAD = `
  SELECT coalesce(sum(n_dead_tup), 0)::int AS count FROM pg_stat_user_tables
  WHERE relname IN ('delivery_ready', 'delivery_deferred')`

export async function countDead({ pool }: Pick<FaultSite, 'pool'>): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(DEAD)
  return rows[0]!.count
}
