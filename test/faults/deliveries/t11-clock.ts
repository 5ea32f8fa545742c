import { setTimeout as delay } from 'node:timers/promises'
import { createSeededRandom } from '#demo'
import type { Pool } from '#platform/postgres'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultTest } from './fault-test.ts'
import { openFaultSite } from './site.ts'

const TWO_HOURS_MS = 2 * 3_600_000
const SHIFTS_MS = [TWO_HOURS_MS, -TWO_HOURS_MS, 0, -TWO_HOURS_MS, TWO_HOURS_MS, 0]
const REST_SECONDS_MAX = 60
/** Shorter than the jumps: a worker that believed its own clock would give everything up at once, or never. */
const ENDPOINTS = { hour: { expires_hours: 1, timeout_ms: 1_000 }, days: { timeout_ms: 1_000 } }

export const clockJumps: FaultTest = {
  shows:
    'the clocks of the workers jump two hours forward and back: no lease is lost, nothing is early, late, lost or given up',
  run: async (settings) => {
    const seconds = settings.seconds ?? (settings.isShort ? 8 : 60)
    const random = createSeededRandom(settings.seed)
    const answers = createSeededRandom(settings.seed + 1)
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada'],
      endpoints: ENDPOINTS,
      answer: (_arrival, nth) => ({
        status: nth === 1 && answers.chance(0.1) ? 500 : 204,
        delayMs: answers.integer(0, 60),
      }),
    })
    const preload = new URL('./shifting-clock.ts', import.meta.url)
    const workers = await Promise.all([site.startWorker({}, { preload }), site.startWorker({}, { preload })])
    await Promise.all(workers.map(({ ready }) => ready))
    const producer = site.startProducer({ perSecond: 60 })
    const jumps = { forward: 0, back: 0 }
    let turn = settings.seed
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      // In turns rather than by chance, so that a short run has seen each.
      const shiftMs = SHIFTS_MS[(turn += 1) % SHIFTS_MS.length]!
      random.pick(workers).setClock(shiftMs)
      if (shiftMs > 0) jumps.forward += 1
      if (shiftMs < 0) jumps.back += 1
      await delay(random.integer(200, 900))
    }
    const { committedAt } = await producer.stop()
    const times = await readTimes(site.pool)
    const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
    await site.stopWorkers()
    const { findings, counts } = await checkDeliveries({
      ...site,
      arrivals: site.receiver.arrivals,
      acknowledged: committedAt.keys(),
      endpointsOf: () => Object.keys(ENDPOINTS),
    })
    return {
      did: [`${seconds} s of load on two workers whose clocks were set at random to two hours before, after and right`],
      seen: { 'jumps forward': jumps.forward, 'jumps back': jumps.back, 'retries put off': times.retries },
      figures: { ...counts },
      findings: [
        ...(times.elsewhen === 0 ? [] : [`${times.elsewhen} tries are on record at a time that was not`]),
        ...(times.unladdered === 0 ? [] : [`${times.unladdered} retries were put off by something else than 5 s`]),
        ...(counts.fenced === 0 ? [] : [`${counts.fenced} leases were lost`]),
        ...(counts.duplicates === 0 ? [] : [`${counts.duplicates} deliveries were sent again`]),
        ...notAtRest(unended),
        ...findings,
      ],
    }
  },
}

type Times = { readonly retries: number; readonly elsewhen: number; readonly unladdered: number }

/** First tries only: later ones are pulled forward when all comes to rest. */
const TIMES = `
  SELECT count(*) FILTER (WHERE next_at IS NOT NULL)::int AS retries,
    count(*) FILTER (WHERE attempted_at NOT BETWEEN now() - interval '30 minutes' AND now())::int AS elsewhen,
    count(*) FILTER (WHERE next_at - attempted_at NOT BETWEEN interval '3.9 seconds' AND interval '9 seconds')::int AS unladdered
  FROM delivery_attempts WHERE attempt_no = 1`

async function readTimes(pool: Pool): Promise<Times> {
  const { rows } = await pool.query<Times>(TIMES)
  return rows[0]!
}
