import { setTimeout as delay } from 'node:timers/promises'
import { createSeededRandom, type SeededRandom } from '#demo'
import type { Pool } from '#platform/postgres'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultReport, FaultSettings, FaultTest } from './fault-test.ts'
import { openFaultSite, type FaultSite, type SiteOptions } from './site.ts'
import { until } from './until.ts'
import type { WorkerLife } from './workers.ts'

/** Guards that can be off, to see that this run notices. */
export type KillGuard = 'outbox' | 'dedupe'

const AFFILIATES = ['ada', 'bob', 'cyd', 'dee']
const WORKERS = 2
const REST_SECONDS_MAX = 120
const AIM_SECONDS_MAX = 8

/** One endpoint per affiliate and one that hears of everything. */
const ENDPOINTS = {
  ...Object.fromEntries(
    AFFILIATES.map((id) => [`of-${id}`, { affiliate_id: id, timeout_ms: 1_000, max_attempts: 50 }]),
  ),
  all: { timeout_ms: 1_000, max_attempts: 50, max_concurrency: 20 },
}
const endpointsOf = (affiliateId: string): readonly string[] => [`of-${affiliateId}`, 'all']

export const killSenders: FaultTest = {
  shows: 'kill -9 of senders and producer: nothing is lost, and only what was under way at a kill is sent again',
  run: (settings) => runKillLoop(settings, undefined),
}

/** What keeps a message from being queued twice: the primary key, whatever it is called. */
async function dropDedupeKey(pool: Pool): Promise<void> {
  const sql = `SELECT conname FROM pg_constraint WHERE conrelid = 'delivery_keys'::regclass AND contype = 'p'`
  const { rows } = await pool.query<{ conname: string }>(sql)
  await pool.query(`ALTER TABLE delivery_keys DROP CONSTRAINT ${rows[0]!.conname}`)
}

export async function runKillLoop(settings: FaultSettings, guardOff: KillGuard | undefined): Promise<FaultReport> {
  const seconds = settings.seconds ?? (settings.isShort ? 15 : 60)
  const random = createSeededRandom(settings.seed)
  // Answers draw from a row of their own: how many there are must not decide who is killed when.
  await using site = await openFaultSite({ ...settings, ...moodySite(createSeededRandom(settings.seed + 1)) })
  if (guardOff === 'dedupe') await dropDedupeKey(site.pool)
  const producer = site.startProducer({ perSecond: 60, hasOutbox: guardOff !== 'outbox' })
  const standing = await Promise.all(Array.from({ length: WORKERS }, () => site.startWorker()))
  await Promise.all(standing.map(({ ready }) => ready))
  settings.tell('kills')
  let kills = 0
  let producerKills = 0
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    await delay(500 + 2_500 * random.next() * (settings.isShort ? 0.4 : 1))
    // In turns rather than by chance, so that a short run has seen each kind.
    const isProducerDue = (kills + producerKills) % 3 === 2
    if (isProducerDue) {
      producer.kill()
      producerKills += 1
      continue
    }
    const place = random.integer(0, WORKERS - 1)
    // Half of the kills wait for something to be under way: who has just started owns nothing yet, and sends nothing.
    if (kills % 2 === 0) await until(() => isSending(site, standing[place]!), AIM_SECONDS_MAX)
    await standing[place]!.kill()
    standing[place] = await site.startWorker()
    kills += 1
  }
  settings.tell('no more kills')
  const { committedAt } = await producer.stop()
  const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
  await site.stopWorkers()
  settings.tell('at rest')
  const { findings, counts } = await checkDeliveries({
    ...site,
    arrivals: site.receiver.arrivals,
    acknowledged: committedAt.keys(),
    endpointsOf,
  })
  const { kills_in_flight, duplicates, retries, ...others } = counts
  return {
    did: [
      `${kills} senders and ${producerKills} producers killed within about ${seconds} s; ${WORKERS} senders at any time`,
    ],
    seen: {
      'senders killed': kills,
      'producers killed': producerKills,
      'senders killed with work in flight': kills_in_flight,
      'deliveries sent again': duplicates,
      'retries after a failure': retries,
    },
    figures: others,
    findings: [...notAtRest(unended), ...findings],
  }
}

const LAST_ARRIVALS = 100

function isSending({ receiver }: FaultSite, { address }: WorkerLife): boolean {
  const last = receiver.arrivals.slice(-LAST_ARRIVALS)
  return last.some((arrival) => arrival.address === address && arrival.status === undefined)
}

/** Often late, and turns one in twelve away at first. */
const moodySite = (random: SeededRandom): Pick<SiteOptions, 'affiliateIds' | 'endpoints' | 'answer'> => ({
  affiliateIds: AFFILIATES,
  endpoints: ENDPOINTS,
  answer: (_arrival, nth) => ({
    status: nth === 1 && random.chance(0.08) ? 500 : 204,
    delayMs: random.chance(0.3) ? random.integer(100, 400) : random.integer(0, 30),
  }),
})
