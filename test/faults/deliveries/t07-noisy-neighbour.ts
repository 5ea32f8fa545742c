import { setTimeout as delay } from 'node:timers/promises'
import type { FaultTest } from './fault-test.ts'
import { epochMs, latenciesBetween, percentileOf, roundMs } from './latencies.ts'
import type { Production } from './production-journal.ts'
import { openFaultSite } from './site.ts'

/** Far from the numbers of those that are measured. */
const FIRST_OF_BACKLOG = 10_000_000
const WARM_UP_MS = 3_000
/** Not the bar of the bench (1.3 times at 100,000): these figures share two processors with everything else. */
const FACTOR_MAX = 3
const SLACK_MS = 60

export const noisyNeighbour: FaultTest = {
  shows: 'an endpoint that only times out, with a backlog, does not slow the others down',
  run: async (settings) => {
    const seconds = settings.seconds ?? (settings.isShort ? 10 : 60)
    const backlog = settings.isShort ? 5_000 : 100_000
    let hanging = 0
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada', 'bob', 'hung'],
      endpoints: {
        ada: { affiliate_id: 'ada', max_concurrency: 20 },
        bob: { affiliate_id: 'bob', max_concurrency: 20 },
        hung: { affiliate_id: 'hung', timeout_ms: 1_000, max_concurrency: 100 },
      },
      answer: ({ endpointId }) => {
        if (endpointId !== 'hung') return { status: 204 }
        hanging += 1
        return new Promise(() => undefined)
      },
    })
    const worker = await site.startWorker({ slots: 128 })
    await worker.ready
    const producer = site.startProducer({ perSecond: 100, affiliateIds: ['ada', 'bob'] })
    await delay(WARM_UP_MS)
    const baselineFrom = epochMs()
    settings.tell('baseline')
    await delay(seconds * 1000)
    const baselineTo = epochMs()
    settings.tell('the backlog is queued')
    await site.startProducer({ perSecond: 1_000_000, first: FIRST_OF_BACKLOG, end: FIRST_OF_BACKLOG + backlog, affiliateIds: ['hung'], repeatEvery: 0 }).done // prettier-ignore
    const noisyFrom = epochMs()
    settings.tell('noise')
    await delay(seconds * 1000)
    const noisyTo = epochMs()
    const production = await producer.stop()
    const { rows } = await site.pool.query<{ waiting: number }>(
      `SELECT (SELECT count(*) FROM delivery_ready WHERE endpoint_id = 'hung')::int AS waiting`,
    )
    const { arrivals } = site.receiver
    const p99 = (from: number, to: number): number =>
      percentileOf(
        latenciesBetween(production, arrivals, (id) => id !== 'hung', from, to),
        0.99,
      )
    const before = roundMs(p99(baselineFrom, baselineTo))
    const during = roundMs(p99(noisyFrom, noisyTo))
    const lost = missing(production, new Set(arrivals.map(({ txid }) => txid)))
    return {
      did: [`100 deliveries a second to two endpoints, beside one that hangs with ${backlog} waiting`],
      seen: { 'requests that hung': hanging, 'deliveries still waiting behind them': rows[0]!.waiting },
      figures: { others_p99_ms_before: before, others_p99_ms_during: during },
      findings: [
        ...(during <= before * FACTOR_MAX + SLACK_MS
          ? []
          : [`the others take ${during} ms (p99) instead of ${before} ms`]),
        ...(lost === 0 ? [] : [`${lost} deliveries of the others did not arrive`]),
      ],
    }
  },
}

const missing = ({ committedAt }: Production, arrived: ReadonlySet<string>): number =>
  [...committedAt.keys()].filter((number) => !arrived.has(String(number))).length
