import type { CapCounts } from './cap-replay.ts'
import { isSame, type DecidedAgain, type Destination } from './decide-again.ts'
import { simulationLimits } from './limits.ts'

export type Counted<Kind> = Kind & { clicks: number }

/** Clicks of an offer from a country that are redirected to it. */
export type OfferCell = {
  readonly offer_id: string
  readonly country: string
  before: number
  after: number
}

/** Sums over the clicks of a simulation; its size does not grow with their number. */
export type Tally = {
  /** Clicks that were decided again. */
  clicks: number
  /** Of these, those that would have gone elsewhere. */
  moved: number
  notReproduced: number
  versionUnknown: number
  /** Lines that are no click of the period. */
  passedOver: number
  /** Clicks in movements that are not told apart any more. */
  movedOtherwise: number
  /** Undefined: the candidate has no caps. */
  caps: CapCounts | undefined
  readonly before: Map<string, Counted<Destination>>
  readonly after: Map<string, Counted<Destination>>
  readonly movements: Map<string, Counted<{ readonly from: Destination; readonly to: Destination }>>
  readonly cells: Map<string, OfferCell>
  readonly notReproducedExamples: string[]
}

export const newTally = (): Tally => ({
  clicks: 0,
  moved: 0,
  notReproduced: 0,
  versionUnknown: 0,
  passedOver: 0,
  movedOtherwise: 0,
  caps: undefined,
  before: new Map(),
  after: new Map(),
  movements: new Map(),
  cells: new Map(),
  notReproducedExamples: [],
})

export function countDecided(tally: Tally, clickId: string, country: string, decided: DecidedAgain): void {
  if (decided.kind === 'not_reproduced') {
    tally.notReproduced += 1
    if (tally.notReproducedExamples.length < simulationLimits.examplesMax) tally.notReproducedExamples.push(clickId)
    return
  }
  const { before, after } = decided
  tally.clicks += 1
  const from = keyOf(before)
  count(tally.before, from, () => before)
  countCell(tally.cells, before, country, 'before')
  countCell(tally.cells, after, country, 'after')
  if (isSame(before, after)) return void count(tally.after, from, () => before)
  const to = keyOf(after)
  tally.moved += 1
  count(tally.after, to, () => after)
  if (!count(tally.movements, `${from}\n${to}`, () => ({ from: before, to: after }))) tally.movedOtherwise += 1
}

const keyOf = (one: Destination): string =>
  `${one.campaign_id ?? ''}|${one.flow_id ?? ''}|${one.offer_id ?? ''}|${one.landing_id ?? ''}|${one.outcome}|${one.refusal ?? ''}`

/** @returns false where there are too many kinds already */
function count<Kind extends object>(map: Map<string, Counted<Kind>>, key: string, make: () => Kind): boolean {
  const known = map.get(key)
  if (known !== undefined) known.clicks += 1
  else if (map.size >= simulationLimits.kindsMax) return false
  else map.set(key, { ...make(), clicks: 1 })
  return true
}

function countCell(
  cells: Map<string, OfferCell>,
  { outcome, offer_id }: Destination,
  country: string,
  side: 'before' | 'after',
): void {
  if (outcome !== 'redirected' || offer_id === undefined) return
  // Countries are told apart until there are too many pairs; offers are as many as the configuration has.
  const told = cells.size < simulationLimits.kindsMax || cells.has(`${offer_id}|${country}`) ? country : ''
  const key = `${offer_id}|${told}`
  const cell = cells.get(key) ?? { offer_id, country: told, before: 0, after: 0 }
  cells.set(key, cell)
  cell[side] += 1
}
