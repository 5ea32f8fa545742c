import { createHash } from 'node:crypto'
import type {
  Cap,
  CapCounting,
  CapCounts,
  CapDimension,
  CapFacts,
  CapKey,
  CapMetric,
  CapPeriod,
  CapSlot,
  ExpectedAmounts,
} from './cap.ts'
import { capLimits } from './limits.ts'
import { periodClock } from './periods.ts'

/** The caps of an offer, ready for clicks. */
export type CompiledCaps<Facts extends CapFacts = CapFacts> = {
  /** The counts that a click touches, in the order of the caps; a reservation takes all or none of them.
   * @param atMs when it is decided
   * @param expected what its conversion would be worth; only caps on payout and revenue read it
   */
  readonly keysOfClick: (facts: Facts, atMs: number, expected?: ExpectedAmounts) => readonly CapKey[]
  /** The counts that a conversion touches: those of conversions, payout and revenue.
   * @param facts of its click
   * @param atMs when the conversion came in (that of its first revision, so that all of its revisions count in one period)
   * @param worth what is booked
   */
  readonly keysOfConversion: (facts: Facts, atMs: number, worth: ExpectedAmounts) => readonly CapKey[]
  /** The counts of each cap in the period of that time, in the order of the caps. */
  readonly countsAt: (atMs: number) => readonly CapCounts[]
}

/** Makes a rule into a test of facts; runs once for each cap. */
type CompileRule<Rule, Facts> = (rule: Rule) => (facts: Facts) => boolean

const HOLD_MINUTES_DEFAULT = 60
const CAP_ID = new RegExp(`^[\\w-]{1,${capLimits.capIdCharactersMax}}$`)
/** A value that stands in a slot as it is. */
const PLAIN_VALUE = new RegExp(`^[\\w-]{0,${capLimits.plainValueCharactersMax}}$`)

const METRIC_LETTER: Readonly<Record<CapMetric, string>> = { clicks: 'c', conversions: 'v', payout: 'p', revenue: 'r' }
const PERIOD_LETTER: Readonly<Record<CapPeriod, string>> = { hour: 'h', day: 'd', week: 'w', month: 'm', total: 't' }

/** What a count counts, by its key or slot; undefined for text that is none. */
export function metricOfCount(key: string): CapMetric | undefined {
  const letter = /^[\w-]+:([a-z])[a-z](?:[:@]|$)/.exec(key)?.[1]
  return (Object.keys(METRIC_LETTER) as CapMetric[]).find((metric) => METRIC_LETTER[metric] === letter)
}

const NOTHING_EXPECTED: ExpectedAmounts = { payoutMicros: 0, revenueMicros: 0 }

/** Compiles the caps of one offer. Pure: the same facts and time give the same keys, in every process.
 *
 * A key is `<cap_id>:<metric and period, a letter each>[:<dimension>=<value>,…]@<start of the period, base 36>`. A cap keeps its
 * counts while its id, metric, period, dimensions and zone stay the same, also where its limit, mode, rule or hold change.
 * @param timezone IANA zone of the advertiser
 * @param compileRule left out where no cap has a rule
 * @throws {RangeError} an unknown zone, a cap id or number out of its bounds, a rule without `compileRule`
 * @example compileCaps([{ cap_id: 'a', metric: 'clicks', period: 'day', limit: 9, mode: 'hard' }], 'Asia/Tokyo').keysOfClick({}, 0)[0]?.key
 *   // 'a:cd@-6tz8…', amount 1
 */
export function compileCaps<Rule, Facts extends CapFacts = CapFacts>(
  caps: readonly Cap<Rule>[],
  timezone: string,
  compileRule?: CompileRule<Rule, Facts>,
): CompiledCaps<Facts> {
  const compiled = caps.map((cap) => compileCap(cap, timezone, compileRule))
  const ofConversions = compiled.filter(({ metric }) => metric !== 'clicks')
  const keys = (of: readonly CompiledCap<Facts>[], facts: Facts, atMs: number, worth: ExpectedAmounts): CapKey[] => {
    const found: CapKey[] = []
    for (const cap of of) if (cap.isFor(facts)) found.push(cap.keyAt(facts, atMs, worth))
    return found
  }
  return {
    keysOfClick: (facts, atMs, expected = NOTHING_EXPECTED) => keys(compiled, facts, atMs, expected),
    keysOfConversion: (facts, atMs, worth) => keys(ofConversions, facts, atMs, worth),
    countsAt: (atMs) => compiled.map(({ countsAt }) => countsAt(atMs)),
  }
}

type CompiledCap<Facts> = {
  readonly metric: CapMetric
  readonly isFor: (facts: Facts) => boolean
  readonly keyAt: (facts: Facts, atMs: number, worth: ExpectedAmounts) => CapKey
  readonly countsAt: (atMs: number) => CapCounts
}

function compileCap<Rule, Facts extends CapFacts>(
  cap: Cap<Rule>,
  timezone: string,
  compileRule: CompileRule<Rule, Facts> | undefined,
): CompiledCap<Facts> {
  const { cap_id, metric, limit, per = [] } = cap
  const holdMinutes = cap.hold_minutes ?? HOLD_MINUTES_DEFAULT
  if (!CAP_ID.test(cap_id)) throw new RangeError(`a cap id is 1 to 64 letters, digits, _ or -: ${cap_id}`)
  if (!Number.isSafeInteger(limit) || limit < 0) throw new RangeError(`the limit of cap ${cap_id} is no count`)
  if (!Number.isInteger(holdMinutes) || holdMinutes < 1 || holdMinutes > capLimits.holdMinutesMax)
    throw new RangeError(`the hold of cap ${cap_id} is not of 1 to ${capLimits.holdMinutesMax} minutes`)
  const counting = countingOf(cap)
  const holdMs = counting === 'held' ? holdMinutes * 60_000 : 0
  const clock = periodClock(cap.period, timezone)
  const amountOf = AMOUNT[metric]
  const prefix = `${cap_id}:${METRIC_LETTER[metric]}${PERIOD_LETTER[cap.period]}`
  return {
    metric,
    isFor: compileTest(cap, compileRule),
    keyAt: (facts, atMs, worth) => {
      const { id, endMs: periodEndMs } = clock(atMs)
      const slot = per.length === 0 ? prefix : `${prefix}:${dimensionsOf(per, facts)}`
      const key = `${slot}@${id}`
      return { cap_id, metric, slot, key, counting, limit, amount: amountOf(worth), holdMs, periodEndMs }
    },
    countsAt: (atMs) => {
      const { id: period, startMs: periodStartMs, endMs: periodEndMs } = clock(atMs)
      const slot = per.length === 0 ? prefix : `${prefix}:`
      return { cap_id, counting, slot, per, period, periodStartMs, periodEndMs }
    },
  }
}

function compileTest<Rule, Facts>(
  { cap_id, rule }: Cap<Rule>,
  compileRule: CompileRule<Rule, Facts> | undefined,
): (facts: Facts) => boolean {
  if (rule === undefined) return () => true
  if (compileRule === undefined) throw new RangeError(`cap ${cap_id} has a rule and nothing to compile it with`)
  return compileRule(rule)
}

function countingOf({ metric, mode }: Cap): CapCounting {
  if (metric === 'clicks') return 'at_click'
  return mode === 'hard' ? 'held' : 'when_booked'
}

const AMOUNT: Readonly<Record<CapMetric, (worth: ExpectedAmounts) => number>> = {
  clicks: () => 1,
  conversions: () => 1,
  payout: ({ payoutMicros }) => payoutMicros,
  revenue: ({ revenueMicros }) => revenueMicros,
}

/** Values as they are while they are plain, else a hash of all: a sub id has up to 255 characters of any kind. */
function dimensionsOf(per: readonly CapDimension[], facts: CapFacts): string {
  const values = per.map((dimension) => valueOf(dimension, facts) ?? '')
  const isPlain = values.length <= 2 && values.every((value) => PLAIN_VALUE.test(value))
  if (isPlain) return per.map((dimension, index) => `${dimension}=${values[index]}`).join(',')
  const hash = createHash('sha256')
    .update(JSON.stringify([per, values]))
    .digest('base64url')
    .slice(0, 22)
  return `#${hash}`
}

/** What one of the counts of a cap is for. @returns undefined: for dimensions that the cap had before */
export function readCapSlot({ slot: prefix, per }: CapCounts, slot: string): CapSlot | undefined {
  if (per.length === 0) return slot === prefix ? { kind: 'values', values: [] } : undefined
  const text = slot.slice(prefix.length)
  if (text.startsWith('#')) return { kind: 'fingerprint', fingerprint: text.slice(1) }
  const pairs = text.split(',').map((pair) => pair.split('='))
  const isOfThese = pairs.length === per.length && per.every((dimension, index) => pairs[index]![0] === dimension)
  return isOfThese ? { kind: 'values', values: pairs.map(([, value = '']) => value) } : undefined
}

function valueOf(dimension: CapDimension, facts: CapFacts): string | undefined {
  if (dimension === 'affiliate') return facts.affiliate_id
  return dimension === 'country' ? facts.country : facts[dimension]
}
