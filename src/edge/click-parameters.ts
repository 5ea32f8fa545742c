import { newClickId, parseClickId } from '#platform/ids'
import { parseAmount, parseCurrency } from '#platform/money'
import { subNames, type SubName } from '#records'
import { subAliases, type AskedTarget } from '#routing'
import type { ClickDraft } from './record-drafts.ts'
import { parseVisitorCode } from './cookies.ts'
import type { EdgeLimits } from './limits.ts'
import { compileNames, readNamedQuery } from './query-bytes.ts'
import { parseSub2, type Sub2 } from './sub2.ts'
import { cleanText } from './text.ts'

/** Parameters that stand in the record as they are, cut to the length of a label, and their further names. */
const labelNames = {
  source_id: ['source'],
  ad_campaign_id: [],
  creative_id: [],
  utm_source: [],
  utm_medium: [],
  utm_campaign: [],
  utm_term: [],
  utm_content: [],
} as const satisfies Record<string, readonly string[]>

/** Parameters that are understood first. */
const textNames = {
  clickid: ['click_id'],
  campaign_id: ['c', 'camp_id'],
  flow_id: [],
  offer_id: ['o'],
  landing_id: [],
  affiliate_id: ['a', 'aff_id', 'pid', 'pub_id'],
  external_id: ['externalid', 'external_click_id', 'ref_id', 'aff_click_id'],
  visitor_code: [],
  cost: [],
  currency: [],
  redirect: [],
  referrer: ['referer'],
  tz: [],
} as const satisfies Record<string, readonly string[]>

type TextName = keyof typeof textNames
type LabelName = keyof typeof labelNames | SubName

/** The parameters of a link and the further names each is known by in other systems. The canonical name wins over an
 * alias, the first of two equal names over the second. docs/http-edge.md lists the same; a test compares.
 */
export const clickParameterNames: Readonly<Record<string, readonly string[]>> = {
  ...textNames,
  ...labelNames,
  ...Object.fromEntries(subNames.map((name, index) => [name, subAliases(index + 1)])),
}

const ABSENT = 0
const ALIAS = 1
const CANONICAL = 2

const parameterNames = Object.keys(clickParameterNames)

/** Every name that a parameter may have; their places in the list number them. */
const spellings = Object.entries(clickParameterNames).flatMap(([name, aliases], index) => [
  { name, index, rank: CANONICAL },
  ...aliases.map((alias) => ({ name: alias, index, rank: ALIAS })),
])
const nameTable = compileNames(spellings.map(({ name }) => name))
/** Which parameter a name stands for, by the number of the name. */
const indexOfSpelling = Uint8Array.from(spellings, ({ index }) => index)
const rankOfSpelling = Uint8Array.from(spellings, ({ rank }) => rank)

/** What one request said of each parameter, and how good the name was that it was taken from; used by one request at a time,
 * none of which waits.
 */
const values = Array.from<string | undefined>({ length: parameterNames.length })
const ranks = new Uint8Array(parameterNames.length)

function takeValue(spelling: number, value: string): void {
  const index = indexOfSpelling[spelling]!
  const rank = rankOfSpelling[spelling]!
  if (ranks[index]! >= rank) return
  ranks[index] = rank
  values[index] = value
}

const indexOf = (name: TextName | LabelName): number => parameterNames.indexOf(name)

const CLICK_ID = indexOf('clickid')
const CAMPAIGN_ID = indexOf('campaign_id')
const FLOW_ID = indexOf('flow_id')
const OFFER_ID = indexOf('offer_id')
const LANDING_ID = indexOf('landing_id')
const AFFILIATE_ID = indexOf('affiliate_id')
const EXTERNAL_ID = indexOf('external_id')
const VISITOR_CODE = indexOf('visitor_code')
const COST = indexOf('cost')
const CURRENCY = indexOf('currency')
const REDIRECT = indexOf('redirect')
const REFERRER = indexOf('referrer')
const TIME_ZONE = indexOf('tz')
const SOURCE_ID = indexOf('source_id')
const AD_CAMPAIGN_ID = indexOf('ad_campaign_id')
const CREATIVE_ID = indexOf('creative_id')
const UTM_SOURCE = indexOf('utm_source')
const UTM_MEDIUM = indexOf('utm_medium')
const UTM_CAMPAIGN = indexOf('utm_campaign')
const UTM_TERM = indexOf('utm_term')
const UTM_CONTENT = indexOf('utm_content')
const SUB1 = indexOf('sub1')

/** What a link asks for. */
export type AskedClick = AskedTarget & {
  /** Whether it brought the id of its click with it. */
  readonly givesClickId: boolean
  /** `redirect=0`: the target is told and the visitor stays. */
  readonly wantsAnswer: boolean
  /** Where the visitor of the page that asks came from, as the page says. */
  readonly referrer: string | undefined
  /** IANA zone of the device, where the page that the link is on knew it. */
  readonly timeZone: string | undefined
}

/** Decodes the query of a link into the record and returns what it names.
 * - A `clickid` that is a UUID (not nil or max) is kept, else a new UUIDv7 is made; what was sent instead of a UUID becomes the external
 *   click id where none is given.
 * - A cost that is no amount and a currency that is no ISO 4217 code are left out: they must not cost a click.
 * - `sub2_keys` holds the pairs of a sub2 of the form key-value|…; any other sub2 is a plain label.
 * @param draft has its time; gets its click id and everything that the query says
 */
export function readClickQuery(
  draft: ClickDraft,
  query: string,
  linkCode: string | undefined,
  limits: EdgeLimits,
  sub2AllowedKeys: ReadonlySet<string>,
): AskedClick {
  values.fill(undefined)
  ranks.fill(ABSENT)
  readNamedQuery(query, limits, nameTable, takeValue)
  addLabels(draft, limits.labelCharactersMax)
  const clickId = values[CLICK_ID]
  const visitorCode = values[VISITOR_CODE]
  const cost = values[COST]
  const currency = values[CURRENCY]
  const kept = parseClickId(clickId)
  draft.click_id = kept ?? newClickId(draft.at)
  const externalId = values[EXTERNAL_ID] ?? (kept === undefined ? clickId : undefined)
  if (externalId !== undefined) draft.external_click_id = cutLabel(externalId, limits.labelCharactersMax)!
  if (visitorCode !== undefined) setDefined(draft, 'visitor_code', parseVisitorCode(visitorCode))
  if (cost !== undefined) setDefined(draft, 'cost_micros', parseCost(cost))
  if (currency !== undefined) setDefined(draft, 'currency', parseCurrency(currency))
  if (draft.sub2 !== undefined) addSub2Keys(draft, draft.sub2, sub2AllowedKeys)
  return {
    linkCode,
    campaignId: values[CAMPAIGN_ID],
    flowId: values[FLOW_ID],
    offerId: values[OFFER_ID],
    landingId: values[LANDING_ID],
    affiliateId: values[AFFILIATE_ID],
    givesClickId: kept !== undefined,
    wantsAnswer: values[REDIRECT] === '0',
    referrer: values[REFERRER],
    timeZone: values[TIME_ZONE],
  }
}

type Labels = { [name in LabelName]: string | undefined }

/** Sub ids that newClickDraft has a place for. */
const SUBS_IN_PLACE = 10

/** Written out, because V8 then knows where in the record each of them stands; a field with a computed name costs 15 ns. */
function addLabels(draft: ClickDraft, max: number): void {
  const labels = draft as Labels
  labels.source_id = cutLabel(values[SOURCE_ID], max)
  labels.ad_campaign_id = cutLabel(values[AD_CAMPAIGN_ID], max)
  labels.creative_id = cutLabel(values[CREATIVE_ID], max)
  labels.utm_source = cutLabel(values[UTM_SOURCE], max)
  labels.utm_medium = cutLabel(values[UTM_MEDIUM], max)
  labels.utm_campaign = cutLabel(values[UTM_CAMPAIGN], max)
  labels.utm_term = cutLabel(values[UTM_TERM], max)
  labels.utm_content = cutLabel(values[UTM_CONTENT], max)
  labels.sub1 = cutLabel(values[SUB1], max)
  labels.sub2 = cutLabel(values[SUB1 + 1], max)
  labels.sub3 = cutLabel(values[SUB1 + 2], max)
  labels.sub4 = cutLabel(values[SUB1 + 3], max)
  labels.sub5 = cutLabel(values[SUB1 + 4], max)
  labels.sub6 = cutLabel(values[SUB1 + 5], max)
  labels.sub7 = cutLabel(values[SUB1 + 6], max)
  labels.sub8 = cutLabel(values[SUB1 + 7], max)
  labels.sub9 = cutLabel(values[SUB1 + 8], max)
  labels.sub10 = cutLabel(values[SUB1 + 9], max)
  for (let index = SUBS_IN_PLACE; index < subNames.length; index += 1) {
    const value = values[SUB1 + index]
    if (value !== undefined) labels[subNames[index]!] = cutLabel(value, max)
  }
}

const cutLabel = (value: string | undefined, max: number): string | undefined =>
  value !== undefined && value.length > max ? cleanText(value, max) : value

export function setDefined<Field extends keyof ClickDraft>(
  draft: ClickDraft,
  field: Field,
  value: ClickDraft[Field] | undefined,
): void {
  if (value !== undefined) draft[field] = value
}

const ZERO = 0x30
const POINT = 0x2e
const UNIT_DIGITS_MAX = 9
const MICROS_PER_LAST_DIGIT = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1] as const

/** A cost as nearly all sources write it, `12` or `0.125`, in 20 ns instead of the 300 of parseAmount.
 * @returns undefined: parseAmount is to judge it
 */
function parsePlainCost(text: string): number | undefined {
  let number = 0
  let decimals = -1
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - ZERO
    if (digit >= 0 && digit <= 9) {
      number = number * 10 + digit
      if (decimals !== -1) decimals += 1
      else if (at >= UNIT_DIGITS_MAX) return undefined
    } else if (digit === POINT - ZERO && decimals === -1 && at > 0) decimals = 0
    else return undefined
    if (decimals >= MICROS_PER_LAST_DIGIT.length) return undefined
  }
  return decimals === 0 || text === '' ? undefined : number * MICROS_PER_LAST_DIGIT[Math.max(decimals, 0)]!
}

function parseCost(text: string): number | undefined {
  const plain = parsePlainCost(text)
  if (plain !== undefined) return plain
  const amount = parseAmount(text)
  return amount === undefined || amount < 0n ? undefined : Number(amount)
}

const REMEMBERED_SUB2_MAX = 1_000
const rememberedSub2 = new Map<string, Sub2>()
let rememberedFor: ReadonlySet<string> | undefined

/** Links of one campaign say the same again and again; parsing makes keys of an object, each 50 ns, out of new texts. */
function parseRememberedSub2(text: string, allowedKeys: ReadonlySet<string>): Sub2 {
  if (allowedKeys !== rememberedFor || rememberedSub2.size >= REMEMBERED_SUB2_MAX) rememberedSub2.clear()
  rememberedFor = allowedKeys
  const known = rememberedSub2.get(text)
  if (known !== undefined) return known
  const sub2 = parseSub2(text, allowedKeys)
  rememberedSub2.set(text, sub2)
  return sub2
}

function addSub2Keys(draft: ClickDraft, text: string, allowedKeys: ReadonlySet<string>): void {
  const sub2 = parseRememberedSub2(text, allowedKeys)
  if (sub2.kind === 'parsed' && sub2.count > 0) draft.sub2_keys = sub2.keys
}
