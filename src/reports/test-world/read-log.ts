import { newcomerOf } from '#hot-state'
import { builtInEventTypes, type ClickRecord, type EventRecord, type RefusalReason } from '#records'

import type { CostShare, Revision, World } from './make-world.ts'

/** What the log says, found out in plain loops: what the pipeline writes into the facts must say the same. */
export type Happened = {
  readonly clicks: readonly SeenClick[]
  readonly events: readonly SeenEvent[]
  readonly conversions: readonly SeenConversion[]
  readonly costs: readonly CostShare[]
}

export type SeenClick = {
  readonly record: ClickRecord
  /** The visitor's first click for its campaign, its offer, anywhere. */
  readonly isUniqueInCampaign: boolean
  readonly isUniqueInOffer: boolean
  readonly isUniqueAnywhere: boolean
}

export type SeenEvent = {
  readonly record: EventRecord
  readonly click: ClickRecord | undefined
  readonly refusal: RefusalReason | undefined
}

/** A conversion as it stands now. */
export type SeenConversion = { readonly now: Revision; readonly states: readonly Revision[] }

export type LogRules = {
  /** For how long a visitor of a campaign or an offer stays known. */
  readonly uniqueTtlHours: number
  /** Types of events that offers declare, besides the built-in ones. */
  readonly customEvents: readonly string[]
}

export const worldRules: LogRules = { uniqueTtlHours: 24, customEvents: ['kyc'] }

export function readLog(world: World, rules: LogRules = worldRules): Happened {
  const clicks = firstOfEach(world.clicks, ({ click_id }) => click_id)
  return {
    clicks: recogniseVisitors(clicks, rules),
    events: judgeEvents(world.events, clicks, rules),
    conversions: standingConversions(world.revisions),
    costs: world.costs,
  }
}

function firstOfEach<Item>(items: readonly Item[], keyOf: (item: Item) => string): readonly Item[] {
  const first = new Map<string, Item>()
  for (const item of items) if (!first.has(keyOf(item))) first.set(keyOf(item), item)
  return [...first.values()]
}

const HOUR_MS = 3_600_000

/** Who holds a place, and until when. */
class Visitors {
  readonly #heldUntil = new Map<string, number>()
  readonly #ttlMs: number

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs
  }

  /** Whether nobody of this name was there, or too long ago; then they are there from now on. */
  isFirst(name: string, at: number): boolean {
    const until = this.#heldUntil.get(name)
    if (until !== undefined && at <= until) return false
    this.#heldUntil.set(name, at + this.#ttlMs)
    return true
  }
}

/** A visitor without a cookie is known by address and user agent, one with a cookie by that alone. The code that a visitor without a
 * cookie is given counts as seen from then on.
 */
function recogniseVisitors(clicks: readonly ClickRecord[], { uniqueTtlHours }: LogRules): readonly SeenClick[] {
  const visitors = new Visitors(uniqueTtlHours * HOUR_MS)
  const isFirst = (scope: string, click: ClickRecord): boolean => {
    const newcomer = newcomerOf(click)
    const names = [newcomer, click.visitor_code].filter((name) => name !== undefined)
    return names.map((name) => visitors.isFirst(`${scope} ${name}`, click.at))[0]!
  }
  return clicks.map((record) => {
    const { campaign_id, offer_id } = record
    const isTaken = record.class === 'click' && (record.outcome === 'redirected' || record.outcome === 'shown')
    return {
      record,
      isUniqueInCampaign: isTaken && campaign_id !== undefined && isFirst(`campaign ${campaign_id}`, record),
      isUniqueInOffer: isTaken && offer_id !== undefined && isFirst(`offer ${offer_id}`, record),
      isUniqueAnywhere: isTaken && isFirst('anywhere', record),
    }
  })
}

function judgeEvents(
  events: readonly EventRecord[],
  clicks: readonly ClickRecord[],
  { customEvents }: LogRules,
): readonly SeenEvent[] {
  const clickOf = new Map(clicks.map((click) => [click.click_id, click]))
  const known: ReadonlySet<string> = new Set([...builtInEventTypes, ...customEvents])
  const counted = new Set<string>()
  const seen: SeenEvent[] = []
  for (const record of events) {
    const click = record.click_id === undefined ? undefined : clickOf.get(record.click_id)
    const refusal = record.refusal ?? refusalOf(record, click, known)
    const identity = `${record.click_id}|${record.type}|${record.txid ?? '-'}`
    // What counts comes once; what is refused holds nothing and is kept each time.
    if (refusal === undefined && counted.has(identity)) continue
    if (refusal === undefined) counted.add(identity)
    seen.push({ record, click, refusal })
  }
  return seen
}

function refusalOf(
  { type }: EventRecord,
  click: ClickRecord | undefined,
  known: ReadonlySet<string>,
): RefusalReason | undefined {
  if (click === undefined) return 'click_unknown'
  if (click.refusal !== undefined || click.offer_id === undefined) return 'click_refused'
  return known.has(type) ? undefined : 'type_unknown'
}

function standingConversions(revisions: readonly Revision[]): readonly SeenConversion[] {
  const states = new Map<string, Revision[]>()
  for (const revision of revisions) {
    const before = states.get(revision.conversionId)
    if (before === undefined) states.set(revision.conversionId, [revision])
    else before.push(revision)
  }
  return [...states.values()].map((all) => ({ now: all.at(-1)!, states: all }))
}
