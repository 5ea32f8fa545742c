import { newClickId, parseClickId } from '#platform/ids'
import { parseAmount, parseCurrency } from '#platform/money'
import { subNames, type SubName } from '#records'
import { subAliases, type AskedTarget } from '#routing'
import type { ClickDraft } from './record-drafts.ts'
import { parseVisitorCode } from './cookies.ts'
import type { EdgeLimits } from './limits.ts'
import { readQuery } from './query.ts'
import { parseSub2 } from './sub2.ts'
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
} as const satisfies Record<string, readonly string[]>

type LabelField = keyof typeof labelNames | SubName
type TextField = keyof typeof textNames
type Texts = { [name in TextField]: string | undefined }

/** The parameters of a link and the further names each is known by in other systems. The canonical name wins over an
 * alias, the first of two equal names over the second. docs/http-edge.md lists the same; a test compares.
 */
export const clickParameterNames: Readonly<Record<string, readonly string[]>> = {
  ...textNames,
  ...labelNames,
  ...Object.fromEntries(subNames.map((name, index) => [name, subAliases(index + 1)])),
}

type Slot = {
  /** Counts the parameters of the table. */
  readonly index: number
  readonly rank: typeof ALIAS | typeof CANONICAL
  readonly label: LabelField | undefined
  readonly text: TextField | undefined
}

const ABSENT = 0
const ALIAS = 1
const CANONICAL = 2

const isText = (name: string): name is TextField => Object.hasOwn(textNames, name)

function slotsOf(name: string, aliases: readonly string[], index: number): readonly (readonly [string, Slot])[] {
  const target = isText(name) ? { label: undefined, text: name } : { label: name as LabelField, text: undefined }
  return [
    [name, { index, rank: CANONICAL, ...target }],
    ...aliases.map((alias) => [alias, { index, rank: ALIAS, ...target }] as const),
  ]
}

const slots: ReadonlyMap<string, Slot> = new Map(
  Object.entries(clickParameterNames).flatMap(([name, aliases], index) => slotsOf(name, aliases, index)),
)

/** How good the name was that each parameter was taken from; used by one request at a time, none of which waits. */
const ranks = new Uint8Array(Object.keys(clickParameterNames).length).fill(ABSENT)

/** What a link asks for, and whether it brought the id of its click with it. */
export type AskedClick = AskedTarget & { readonly givesClickId: boolean }

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
  const texts = readTexts(draft, query, limits)
  const kept = parseClickId(texts.clickid)
  draft.click_id = kept ?? newClickId(draft.at)
  const externalId = texts.external_id ?? (kept === undefined ? texts.clickid : undefined)
  if (externalId !== undefined) draft.external_click_id = cutLabel(externalId, limits)
  if (texts.visitor_code !== undefined) setDefined(draft, 'visitor_code', parseVisitorCode(texts.visitor_code))
  if (texts.cost !== undefined) setDefined(draft, 'cost_micros', parseCost(texts.cost))
  if (texts.currency !== undefined) setDefined(draft, 'currency', parseCurrency(texts.currency))
  if (draft.sub2 !== undefined) addSub2Keys(draft, draft.sub2, sub2AllowedKeys)
  return {
    linkCode,
    campaignId: texts.campaign_id,
    flowId: texts.flow_id,
    offerId: texts.offer_id,
    landingId: texts.landing_id,
    affiliateId: texts.affiliate_id,
    givesClickId: kept !== undefined,
  }
}

function readTexts(draft: ClickDraft, query: string, limits: EdgeLimits): Texts {
  const texts: Texts = {
    clickid: undefined,
    campaign_id: undefined,
    flow_id: undefined,
    offer_id: undefined,
    landing_id: undefined,
    affiliate_id: undefined,
    external_id: undefined,
    visitor_code: undefined,
    cost: undefined,
    currency: undefined,
  }
  ranks.fill(ABSENT)
  readQuery(query, limits, (name, value) => {
    const slot = slots.get(name) ?? slots.get(name.toLowerCase())
    if (slot === undefined || ranks[slot.index]! >= slot.rank) return
    ranks[slot.index] = slot.rank
    if (slot.label !== undefined) draft[slot.label] = cutLabel(value, limits)
    else texts[slot.text!] = value
  })
  return texts
}

const cutLabel = (value: string, { labelCharactersMax }: EdgeLimits): string =>
  value.length > labelCharactersMax ? cleanText(value, labelCharactersMax) : value

function setDefined<Field extends keyof ClickDraft>(
  draft: ClickDraft,
  field: Field,
  value: ClickDraft[Field] | undefined,
): void {
  if (value !== undefined) draft[field] = value
}

function parseCost(text: string): number | undefined {
  const amount = parseAmount(text)
  return amount === undefined || amount < 0n ? undefined : Number(amount)
}

function addSub2Keys(draft: ClickDraft, text: string, allowedKeys: ReadonlySet<string>): void {
  const sub2 = parseSub2(text, allowedKeys)
  if (sub2.kind === 'parsed' && sub2.count > 0) draft.sub2_keys = sub2.keys
}
