import { countPastClicks, readPastConversions, type OfferClicks, type PastConversion, type Period } from '#reports'
import type { FactsClient } from '#platform/clickhouse'
import { compileCappedOffers, type Snapshot } from '#routing'
import type { CapHistory, ConversionHabit } from './cap-replay.ts'
import { ENOUGH } from './expect-earnings.ts'

/** Revisions of conversions that are settled at most: some 100 MB. */
export const CONVERSIONS_MAX = 200_000
/** Of so many conversions of an offer those that are only expected take after. */
const EXAMPLES_MAX = 1_000
/** Starts of periods that are tried. */
const STARTS_MAX = 8

/** When to begin counting, so that the periods of caps that the simulation begins in are counted whole: the earliest of their begins that no more
 * than `clicksMax` clicks lie behind. Caps without end begin with the simulation.
 */
export async function findCountedFrom(
  facts: FactsClient,
  candidate: Snapshot,
  { fromMs }: Period,
  clicksMax: number,
): Promise<number> {
  const counts = [...compileCappedOffers(candidate).values()].flatMap((caps) => caps.countsAt(fromMs))
  const begins = counts.flatMap(({ periodStartMs, periodEndMs }) => (periodEndMs === Infinity ? [] : [periodStartMs]))
  const starts = [...new Set(begins)].filter((start) => start < fromMs).sort((a, b) => a - b)
  for (const start of starts.slice(-STARTS_MAX)) {
    const { clicks } = await countPastClicks(facts, { fromMs: start, toMs: fromMs }, [])
    if (clicks <= clicksMax) return start
  }
  return fromMs
}

/** What is settled while the clicks come once more. */
export async function readCapHistory(
  facts: FactsClient,
  candidate: Snapshot,
  period: Period,
  clicks: readonly OfferClicks[],
  { sample, countedFromMs }: { readonly sample: number; readonly countedFromMs: number },
): Promise<{ readonly history: CapHistory; readonly isCut: boolean }> {
  const offers = candidate.offers.filter(({ caps = [] }) => caps.some(({ metric }) => metric !== 'clicks'))
  const ids = offers.map(({ offer_id }) => offer_id)
  const { conversions, isCut } = await readPastConversions(facts, { fromMs: countedFromMs, toMs: period.toMs }, ids, CONVERSIONS_MAX) // prettier-ignore
  const clicksOf = new Map<string, number>()
  for (const one of clicks) clicksOf.set(one.offerId, (clicksOf.get(one.offerId) ?? 0) + one.clicks)
  const habits = ids.flatMap((id) => {
    const habit = habitOf(conversionsOf(conversions, id, period), clicksOf.get(id) ?? 0)
    return habit === undefined ? [] : [[id, habit] as const]
  })
  return { history: { conversions, habits: Object.fromEntries(habits), sample }, isCut }
}

/** The last state of each conversion of the clicks of the period that was not rejected. */
function conversionsOf(
  conversions: readonly PastConversion[],
  id: string,
  { fromMs }: Period,
): readonly PastConversion[] {
  const newest = new Map<string, PastConversion>()
  for (const one of conversions) if (one.offerId === id && one.clickAt >= fromMs) newest.set(one.conversionId, one)
  return [...newest.values()].filter(({ isRejected }) => !isRejected)
}

function habitOf(conversions: readonly PastConversion[], clicks: number): ConversionHabit | undefined {
  if (clicks < ENOUGH.clicks || conversions.length < ENOUGH.conversions) return undefined
  const every = Math.ceil(conversions.length / EXAMPLES_MAX)
  const examples = conversions.filter((_, index) => index % every === 0)
  return {
    share: conversions.length / clicks,
    examples: examples.map(({ at, clickAt, payoutMicros, revenueMicros }) => ({
      ...{ delayMs: Math.max(0, at - clickAt), payoutMicros, revenueMicros },
    })),
  }
}
