import { setTimeout as delay } from 'node:timers/promises'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultTest } from './fault-test.ts'
import { epochMs, latenciesBetween, percentileOf, roundMs } from './latencies.ts'
import { openFaultSite } from './site.ts'

const FIRST_OF_BACKLOG = 10_000_000
const REST_SECONDS_MAX = 120
const WARM_UP_MS = 2_000
const FACTOR_MAX = 3
const SLACK_MS = 60
/** So that what is under way at once can be seen. */
const ANSWER_MS = 25
const CONCURRENCY = 64
/** Probes that close the breaker; with each answer after them twice as many may go at once. */
const PROBES = 3

export const herd: FaultTest = {
  shows:
    'an endpoint that comes back with a backlog is asked one at a time, then 1, 2, 4 … at once; the others notice nothing',
  run: async (settings) => {
    const downSeconds = settings.seconds ?? (settings.isShort ? 7 : 60)
    const backlog = settings.isShort ? 1_000 : 20_000
    const down = new DownThenUp()
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada', 'herd'],
      endpoints: {
        ada: { affiliate_id: 'ada', max_concurrency: 20 },
        herd: { affiliate_id: 'herd', timeout_ms: 2_000, max_concurrency: CONCURRENCY, max_attempts: 50 },
      },
      answer: ({ endpointId }) => (endpointId === 'herd' ? down.answer() : { status: 204 }),
    })
    const worker = await site.startWorker({ slots: 4 * CONCURRENCY })
    await worker.ready
    const producer = site.startProducer({ perSecond: 50, affiliateIds: ['ada'] })
    await delay(WARM_UP_MS)
    const baselineFrom = epochMs()
    await site.startProducer({ perSecond: 1_000_000, first: FIRST_OF_BACKLOG, end: FIRST_OF_BACKLOG + backlog, affiliateIds: ['herd'], repeatEvery: 0 }).done // prettier-ignore
    settings.tell('down, with a backlog')
    await delay(downSeconds * 1000)
    const upFrom = epochMs()
    down.isUp = true
    settings.tell('up again')
    const unendedHerd = await comeToRest(site.pool, REST_SECONDS_MAX)
    const upTo = epochMs()
    const production = await producer.stop()
    const unended = unendedHerd + (await comeToRest(site.pool, REST_SECONDS_MAX))
    await site.stopWorkers()
    const { arrivals } = site.receiver
    const p99 = (from: number, to: number): number =>
      percentileOf(
        latenciesBetween(production, arrivals, (id) => id === 'ada', from, to),
        0.99,
      )
    const before = roundMs(p99(baselineFrom, upFrom))
    const during = roundMs(p99(upFrom, upTo))
    const { findings } = await checkDeliveries({
      ...site,
      arrivals,
      acknowledged: production.committedAt.keys(),
      endpointsOf: (affiliateId) => [affiliateId],
    })
    return {
      did: [
        `${backlog} waiting for an endpoint that is down for ${downSeconds} s; 50 a second to another one all the time`,
      ],
      seen: {
        'refusals before the breaker opened': Math.min(down.refused, 10),
        'answers after it was up': down.answered,
        'requests at once when it was as before': down.mostAtOnce > CONCURRENCY / 2 ? down.mostAtOnce : 0,
      },
      figures: { refused_while_down: down.refused, others_p99_ms_while_down: before, others_p99_ms_after: during },
      findings: [
        ...down.overruns,
        ...(down.refused <= backlog / 4 ? [] : [`${down.refused} requests went to an endpoint that was down`]),
        ...(during <= before * FACTOR_MAX + SLACK_MS
          ? []
          : [`the others take ${during} ms (p99) instead of ${before} ms`]),
        ...notAtRest(unended),
        ...findings,
      ],
    }
  },
}

/** Counts what comes at once, and holds it against what the answers so far allow. */
class DownThenUp {
  isUp = false
  refused = 0
  answered = 0
  mostAtOnce = 0
  readonly overruns: string[] = []
  #open = 0

  async answer(): Promise<{ readonly status: number }> {
    if (!this.isUp) {
      this.refused += 1
      return { status: 500 }
    }
    this.#open += 1
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#open)
    const allowed = this.answered < PROBES ? 1 : Math.min(CONCURRENCY, 2 ** (this.answered - PROBES))
    if (this.#open > allowed && this.overruns.length < 3)
      this.overruns.push(`${this.#open} at once after ${this.answered} answers: ${allowed} are allowed`)
    await delay(ANSWER_MS)
    this.#open -= 1
    this.answered += 1
    return { status: 204 }
  }
}
