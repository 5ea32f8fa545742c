import type { Figure } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { median, percentile, roundTo } from '../statistics.ts'
import { allAffiliates, HANGING_AFFILIATE } from './configuration.ts'
import type { DeliverySite, ReceivingSite } from './site.ts'
import { openWorkerSite } from './worker-site.ts'

const CONVERSIONS_PER_SECOND = 500
const WARM_UP_SECONDS = 3
/** Numbers of what nobody watches, far from those that are watched. */
const UNWATCHED_FROM = 1_000_000_000

/** From the commit of a conversion to the first byte at the receiver, in milliseconds. */
type Latency = {
  readonly count: number
  readonly p50_ms: number
  readonly p99_ms: number
  readonly max_ms: number
  readonly producer_late_ms_max: number
}

/** Conversions committed one after the other, as the pipeline commits them.
 * @returns median and p99 of the same run
 */
export async function measureLatency(
  site: DeliverySite,
  settings: BenchSettings,
): Promise<{ readonly p50: Figure; readonly p99: Figure }> {
  await using receiving = await site.openReceiver({ origins: settings.origins, hasTls: false })
  const latency = await runOnce(receiving, settings, settings.seconds * settings.rounds, 0)
  const note =
    `${latency.count.toLocaleString('en-US')} conversions at ${CONVERSIONS_PER_SECOND}/s, ` +
    `p50 ${latency.p50_ms} ms, p99 ${latency.p99_ms} ms, longest ${latency.max_ms} ms`
  return {
    p50: { value: latency.p50_ms, note, details: latency },
    p99: { value: latency.p99_ms, note, details: latency },
  }
}

/** The same with one more endpoint that times out on every attempt, beside runs without it. */
export async function measureIsolation(site: DeliverySite, settings: BenchSettings): Promise<Figure> {
  await using receiving = await site.openReceiver({ origins: settings.origins, hasTls: false })
  const rounds: { readonly alone: Latency; readonly beside: Latency }[] = []
  for (let round = 0; round < settings.rounds; round++) {
    const alone = await runOnce(receiving, settings, settings.seconds, 0)
    const beside = await runOnce(receiving, settings, settings.seconds, settings.hanging)
    console.error(`  p99 ${alone.p99_ms} ms alone, ${beside.p99_ms} ms beside ${settings.hanging} that hang`)
    rounds.push({ alone, beside })
  }
  const middle = (which: 'alone' | 'beside'): number => median(rounds.map((round) => round[which].p99_ms))
  return {
    value: median(rounds.map(({ alone, beside }) => beside.p99_ms / alone.p99_ms)),
    note:
      `p99 ${middle('beside')} ÷ ${middle('alone')} ms at ${CONVERSIONS_PER_SECOND}/s; ` +
      `${settings.hanging.toLocaleString('en-US')} wait for an endpoint that never answers`,
    details: { rounds },
  }
}

async function runOnce(
  receiving: ReceivingSite,
  settings: BenchSettings,
  seconds: number,
  hanging: number,
): Promise<Latency> {
  await using site = await openWorkerSite(receiving, settings)
  const { producer, worker, database } = site
  if (hanging > 0)
    await producer.ask('fill', { from: UNWATCHED_FROM, count: hanging, affiliateIds: [HANGING_AFFILIATE] })
  await database.settle()
  await worker.ask('start')
  const pace = { perSecond: CONVERSIONS_PER_SECOND, kind: 'conversions' as const, affiliateIds: allAffiliates }
  await producer.ask('produce', { ...pace, from: 0, seconds: WARM_UP_SECONDS })
  const from = CONVERSIONS_PER_SECOND * WARM_UP_SECONDS
  const { committedAt, late_ms_max } = await producer.ask('produce', { ...pace, from, seconds })
  const to = from + committedAt.length
  await site.arrived(to)
  const arrivedAt = await receiving.receiver.firstArrivals(from, to)
  const latencies = arrivedAt.map((at, index) => at - committedAt[index]!)
  return {
    count: latencies.length,
    p50_ms: roundTo(percentile(latencies, 0.5), 3),
    p99_ms: roundTo(percentile(latencies, 0.99), 3),
    max_ms: roundTo(percentile(latencies, 1), 3),
    producer_late_ms_max: roundTo(late_ms_max, 3),
  }
}
