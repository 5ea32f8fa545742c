import { newClickId, parseClickId, type ClickId } from '#platform/ids'
import { parseAmount, parseCurrency } from '#platform/money'
import { subNames } from '#records'
import { subAliases, type AskedTarget, type ClickParameters } from '#routing'
import { parseVisitorCode } from './cookies.ts'
import type { EdgeLimits } from './limits.ts'
import { readQuery } from './query.ts'
import { parseSub2 } from './sub2.ts'
import { cleanText } from './text.ts'

/** The parameters of a link and the further names each is known by in other systems. The canonical name wins over an
 * alias, the first of two equal names over the second. docs/http-edge.md lists the same; a test compares.
 */
export const clickParameterNames = {
  clickid: ['click_id'],
  campaign_id: ['c', 'camp_id'],
  flow_id: [],
  offer_id: ['o'],
  landing_id: [],
  affiliate_id: ['a', 'aff_id', 'pid', 'pub_id'],
  external_id: ['externalid', 'external_click_id', 'ref_id', 'aff_click_id'],
  source_id: ['source'],
  ad_campaign_id: [],
  creative_id: [],
  visitor_code: [],
  cost: [],
  currency: [],
  utm_source: [],
  utm_medium: [],
  utm_campaign: [],
  utm_term: [],
  utm_content: [],
  ...Object.fromEntries(subNames.map((name, index) => [name, subAliases(index + 1)])),
} as const satisfies Record<string, readonly string[]>

/** Names that the decision reads; everything else of the table goes into the record as it is. */
const labelFields = [
  'source_id',
  'ad_campaign_id',
  'creative_id',
  'utm_source',
  'utm_medium',
  'utm_campaign',
  'utm_term',
  'utm_content',
  ...subNames,
] as const

const slots: ReadonlyMap<string, number> = new Map(
  Object.entries(clickParameterNames).flatMap(([name, aliases], index) => [
    [name, 2 * index] as const,
    ...aliases.map((alias) => [alias, 2 * index + 1] as const),
  ]),
)
const slotOf = (name: string): number => slots.get(name)!

const SLOT_COUNT = 2 * Object.keys(clickParameterNames).length
const SLOT = {
  clickid: slotOf('clickid'),
  campaign_id: slotOf('campaign_id'),
  flow_id: slotOf('flow_id'),
  offer_id: slotOf('offer_id'),
  landing_id: slotOf('landing_id'),
  affiliate_id: slotOf('affiliate_id'),
  external_id: slotOf('external_id'),
  visitor_code: slotOf('visitor_code'),
  cost: slotOf('cost'),
  currency: slotOf('currency'),
} as const
const labelSlots = labelFields.map((field) => [field, slotOf(field)] as const)

/** The parameters of one request for a link, decoded. */
export type ClickQuery = {
  readonly clickId: ClickId
  readonly asked: AskedTarget
  readonly parameters: ClickParameters
}

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

/** Decodes the query of a link.
 * - A `clickid` that is a UUID is kept, else a new UUIDv7 is made; what was sent instead of a UUID becomes the external
 *   click id where none is given.
 * - A cost that is no amount and a currency that is no ISO 4217 code are left out: they must not cost a click.
 * - `sub2_keys` holds the pairs of a sub2 of the form key-value|…; any other sub2 is a plain label.
 * @param nowMs milliseconds since the epoch
 */
export function readClickQuery(
  query: string,
  linkCode: string | undefined,
  nowMs: number,
  limits: EdgeLimits,
  sub2AllowedKeys: ReadonlySet<string>,
): ClickQuery {
  const values: (string | undefined)[] = new Array<string | undefined>(SLOT_COUNT).fill(undefined)
  readQuery(query, limits, (name, value) => {
    const slot = slots.get(name) ?? slots.get(name.toLowerCase())
    if (slot !== undefined && values[slot] === undefined) values[slot] = value
  })
  const read = (slot: number): string | undefined => values[slot] ?? values[slot + 1]
  const clickIdText = read(SLOT.clickid)
  const kept = parseClickId(clickIdText)
  const parameters: Mutable<ClickParameters> = {}
  for (const [field, slot] of labelSlots) {
    const value = read(slot)
    if (value !== undefined) parameters[field] = cutLabel(value, limits)
  }
  const externalId = read(SLOT.external_id) ?? (kept === undefined ? clickIdText : undefined)
  if (externalId !== undefined) parameters.external_click_id = cutLabel(externalId, limits)
  const visitorCode = parseVisitorCode(read(SLOT.visitor_code))
  if (visitorCode !== undefined) parameters.visitor_code = visitorCode
  addCost(parameters, read(SLOT.cost), read(SLOT.currency))
  addSub2Keys(parameters, sub2AllowedKeys)
  return { clickId: kept ?? newClickId(nowMs), asked: readTarget(read, linkCode), parameters }
}

const cutLabel = (value: string, { labelCharactersMax }: EdgeLimits): string =>
  value.length > labelCharactersMax ? cleanText(value, labelCharactersMax) : value

function readTarget(read: (slot: number) => string | undefined, linkCode: string | undefined): AskedTarget {
  const asked: Mutable<AskedTarget> = {}
  const campaignId = read(SLOT.campaign_id)
  const flowId = read(SLOT.flow_id)
  const offerId = read(SLOT.offer_id)
  const landingId = read(SLOT.landing_id)
  const affiliateId = read(SLOT.affiliate_id)
  if (linkCode !== undefined) asked.linkCode = linkCode
  if (campaignId !== undefined) asked.campaignId = campaignId
  if (flowId !== undefined) asked.flowId = flowId
  if (offerId !== undefined) asked.offerId = offerId
  if (landingId !== undefined) asked.landingId = landingId
  if (affiliateId !== undefined) asked.affiliateId = affiliateId
  return asked
}

function addCost(parameters: Mutable<ClickParameters>, cost: string | undefined, currency: string | undefined): void {
  const amount = cost === undefined ? undefined : parseAmount(cost)
  const code = parseCurrency(currency)
  if (amount !== undefined && amount >= 0n) parameters.cost_micros = Number(amount)
  if (code !== undefined) parameters.currency = code
}

function addSub2Keys(parameters: Mutable<ClickParameters>, allowedKeys: ReadonlySet<string>): void {
  if (parameters.sub2 === undefined) return
  const sub2 = parseSub2(parameters.sub2, allowedKeys)
  if (sub2.kind === 'parsed' && Object.keys(sub2.keys).length > 0) parameters.sub2_keys = sub2.keys
}
