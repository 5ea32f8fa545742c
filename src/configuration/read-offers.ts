import type { CapDimension } from '#caps/cap'
import { parseAmount } from '#platform/money'
import { builtInEventTypes } from '#records'
import type { ConversionType, Landing, Offer, OfferAffiliate, Price, PricingModel, StatusMapping } from '#routing'
import { report, type Reading } from './check-shape.ts'
import type { FileCap, FileLanding, FileOffer, FilePrice } from './file-schema.ts'
import { problem } from './issues.ts'
import { withoutEmpty } from './objects.ts'
import { readFraud } from './read-fraud.ts'
import { readRedirect } from './read-redirect.ts'
import { readClickRule } from './read-rule.ts'
import { didYouMean } from './suggest.ts'
import { dateToMs, shareToBasisPoints } from './value-formats.ts'
import type { Tree } from './yaml-tree.ts'

/** What an offer takes from its advertiser. */
type Owner = { readonly currency: string; readonly timezone: string }

const eventMapDefaults: Readonly<Record<string, ConversionType>> = {
  reg: 'lead',
  lead: 'lead',
  deposit: 'sale',
  sale: 'sale',
}

const WEIGHT_DEFAULT = 100

/** An offer as the snapshot has it. Issues go to `reading`; the result then is not used. */
export function readOffer(offerId: string, file: FileOffer, owner: Owner, reading: Reading): Offer {
  const prices = file.prices.map(readPrice)
  checkPrices(file, reading)
  return withoutEmpty<Offer>({
    offer_id: offerId,
    advertiser_id: file.advertiser_id,
    name: file.name ?? offerId,
    status: file.status ?? 'active',
    ...readDates(file, owner.timezone, reading),
    model: file.model ?? 'cpa',
    currency: file.currency ?? owner.currency,
    prices,
    hold_days: file.hold_days ?? 0,
    landings: readOfferLandings(offerId, file, reading),
    event_map: readEventMap(file, reading),
    custom_events: readCustomEvents(file, reading),
    status_map: readStatusMap(file, reading),
    postback: {
      secrets: file.postback?.secrets ?? [],
      hmac_secrets: file.postback?.hmac_secrets ?? [],
      allowed_addresses: file.postback?.allowed_addresses ?? [],
      ...(file.postback?.repeated_amounts === 'refuse' && { repeated_amounts: 'refuse' as const }),
    },
    rule: file.rule && readClickRule(file.rule.rule as Tree, reading, 'offer'),
    block: file.block && readClickRule(file.block.rule as Tree, reading, 'offer'),
    country_fallbacks: readCountryFallbacks(file, reading),
    access: file.access,
    affiliates: readOfferAffiliates(file, reading),
    caps: file.caps && readCaps(file.caps, reading),
    cap_fallbacks: file.cap_fallbacks,
    fraud: file.fraud && readFraud(file.fraud, reading),
    ...readRedirect(file, reading),
    unique_ttl_hours: file.unique_ttl_hours ?? 24,
    click_lifetime_days: file.click_lifetime_days ?? 90,
    fallback_url: file.fallback_url,
  })
}

function readCountryFallbacks(file: FileOffer, reading: Reading): Offer['country_fallbacks'] {
  if (file.country_fallbacks === undefined) return undefined
  if (file.rule === undefined)
    report(
      reading,
      reading.treeOf.get(file),
      problem(
        'key_missing',
        'country_fallbacks needs a rule: without one nobody is sent on.',
        'Write rule: { country: [US, GB] }.',
      ),
      'country_fallbacks',
    )
  const entries = Object.entries(file.country_fallbacks).map(([country, { offer_id, url }]) => {
    if ((offer_id === undefined) === (url === undefined))
      report(
        reading,
        reading.treeOf.get(file.country_fallbacks![country]!),
        problem('combination_invalid', 'A fallback has an offer_id or a url.', 'Keep one of the two.'),
      )
    return [country, offer_id === undefined ? { url: url ?? '' } : { offer_id }] as const
  })
  return Object.fromEntries(entries)
}

function readOfferAffiliates(file: FileOffer, reading: Reading): Offer['affiliates'] {
  if (file.affiliates === undefined) return undefined
  const entries = Object.entries(file.affiliates).map(([affiliateId, { status, landings, prices }]) => [
    affiliateId,
    withoutEmpty<OfferAffiliate>({
      status,
      landings: landings && readLandings(landings, reading),
      prices: prices?.map(readPrice),
    }),
  ])
  return Object.fromEntries(entries) as Offer['affiliates']
}

function readCaps(files: readonly FileCap[], reading: Reading): NonNullable<Offer['caps']> {
  reportRepeats(files, (cap) => cap.cap_id, 'cap_id', reading)
  return files.map((cap) => {
    const isMoney = cap.metric === 'payout' || cap.metric === 'revenue'
    if (!isMoney && !/^\d{1,10}$/.test(cap.limit))
      report(
        reading,
        reading.treeOf.get(cap),
        problem('value_out_of_range', `"${cap.limit}" is no count of ${cap.metric}.`, 'Write a whole number.'),
        'limit',
      )
    reportUnused(cap, reading)
    return withoutEmpty<NonNullable<Offer['caps']>[number]>({
      cap_id: cap.cap_id,
      metric: cap.metric,
      period: cap.period,
      limit: isMoney ? toMicros(cap.limit) : Number(cap.limit),
      per: cap.per as readonly CapDimension[] | undefined,
      rule: cap.rule && readClickRule(cap.rule.rule as Tree, reading, 'cap'),
      mode: cap.mode ?? 'hard',
      hold_minutes: cap.metric === 'clicks' ? undefined : (cap.hold_minutes ?? 60),
    })
  })
}

/** What is written of a cap and would mean nothing. */
function reportUnused(cap: FileCap, reading: Reading): void {
  const place = reading.treeOf.get(cap)
  const repeated = cap.per?.find((dimension, index) => cap.per!.indexOf(dimension) < index)
  if (repeated !== undefined)
    report(reading, place, problem('id_duplicate', `"${repeated}" is in the list twice.`), 'per')
  if (cap.metric !== 'clicks' || cap.hold_minutes === undefined) return
  const message = 'A click is counted at once: a cap on clicks holds nothing.'
  report(reading, place, problem('combination_invalid', message, 'Leave out hold_minutes.'), 'hold_minutes')
}

function readDates(file: FileOffer, timezone: string, reading: Reading): { starts_at?: number; ends_at?: number } {
  const starts_at = file.starts_at === undefined ? undefined : dateToMs(file.starts_at, timezone)
  const ends_at = file.ends_at === undefined ? undefined : dateToMs(file.ends_at, timezone)
  if (starts_at !== undefined && ends_at !== undefined && ends_at <= starts_at)
    report(reading, reading.treeOf.get(file), problem('date_order', 'The offer ends before it starts.'), 'ends_at')
  return withoutEmpty<{ starts_at?: number; ends_at?: number }>({ starts_at, ends_at })
}

const toMicros = (amount: string | undefined): number => Number(parseAmount(amount ?? '0') ?? 0n)

const readPrice = (file: FilePrice): Price =>
  withoutEmpty<Price>({
    goal: file.goal,
    type: file.type,
    payout_micros: toMicros(file.payout),
    revenue_micros: toMicros(file.revenue),
    payout_share_bp: file.payout_share === undefined ? undefined : shareToBasisPoints(file.payout_share),
    revenue_share_bp: file.revenue_share === undefined ? undefined : shareToBasisPoints(file.revenue_share),
    status: file.status ?? 'approved',
  })

const paidTypes: Readonly<Record<PricingModel, readonly ConversionType[]>> = {
  cpa: ['lead', 'sale'],
  cpl: ['lead'],
  cps: ['sale'],
  revshare: ['lead', 'sale'],
}

function checkPrices(file: FileOffer, reading: Reading): void {
  const model = file.model ?? 'cpa'
  file.prices.forEach((price) => {
    const tree = reading.treeOf.get(price)
    if (!paidTypes[model].includes(price.type))
      report(
        reading,
        tree,
        problem(
          'price_unused',
          `The model ${model} pays no ${price.type}s.`,
          'Take the price away, or use the model cpa.',
        ),
      )
    if (model !== 'revshare' && (price.payout_share !== undefined || price.revenue_share !== undefined))
      report(
        reading,
        tree,
        problem(
          'price_unused',
          `The model ${model} uses no shares.`,
          'Write payout and revenue, or use the model revshare.',
        ),
      )
  })
  const isUsable = (price: FilePrice): boolean =>
    paidTypes[model].includes(price.type) &&
    (model !== 'revshare' || price.payout_share !== undefined || price.revenue_share !== undefined)
  if (!file.prices.some(isUsable))
    report(
      reading,
      reading.treeOf.get(file),
      problem(
        'price_missing',
        `The model ${model} needs a price for ${paidTypes[model].join(' or ')}${model === 'revshare' ? ' with payout_share or revenue_share' : ''}.`,
      ),
      'prices',
    )
}

function readOfferLandings(offerId: string, file: FileOffer, reading: Reading): readonly Landing[] {
  const tree = reading.treeOf.get(file)
  if (file.landing_url !== undefined && file.landings !== undefined)
    report(
      reading,
      tree,
      problem(
        'combination_invalid',
        'landing_url is short for one landing; there are landings too.',
        'Keep one of the two.',
      ),
      'landing_url',
    )
  if (file.landing_url !== undefined) return [{ landing_id: offerId, url: file.landing_url, weight: WEIGHT_DEFAULT }]
  if (file.landings === undefined)
    report(reading, tree, problem('key_missing', 'The offer has neither landing_url nor landings.'))
  return readLandings(file.landings ?? [], reading)
}

/** Landings of an offer or flow: ids are unique, and somebody can land. */
export function readLandings(files: readonly FileLanding[], reading: Reading): readonly Landing[] {
  reportRepeats(files, (landing) => landing.landing_id, 'landing_id', reading)
  const landings = files.map(({ landing_id, url, weight }) => ({ landing_id, url, weight: weight ?? WEIGHT_DEFAULT }))
  reportAllZero(files, landings, reading)
  return landings
}

/** Reports each entry of a list whose id an earlier one has. */
export function reportRepeats<Item extends object>(
  items: readonly Item[],
  idOf: (item: Item) => string,
  key: string,
  reading: Reading,
): void {
  const seen = new Set<string>()
  for (const item of items) {
    const id = idOf(item)
    if (seen.has(id))
      report(reading, reading.treeOf.get(item), problem('id_duplicate', `"${id}" is in the list twice.`), key)
    seen.add(id)
  }
}

/** Reports a list of weights that sends nobody anywhere. */
export function reportAllZero(
  files: readonly object[],
  weighted: readonly { readonly weight: number }[],
  reading: Reading,
): void {
  if (weighted.length > 0 && weighted.every(({ weight }) => weight === 0))
    report(
      reading,
      reading.treeOf.get(files),
      problem('weights_all_zero', 'All weights are 0.', 'Give one a weight, or set the status to paused.'),
    )
}

function readEventMap(file: FileOffer, reading: Reading): Readonly<Record<string, ConversionType>> {
  const declared = new Set<string>([...builtInEventTypes, ...(file.custom_events ?? [])])
  const map: Record<string, ConversionType> = { ...eventMapDefaults }
  for (const [event, type] of Object.entries(file.event_map ?? {})) {
    if (!declared.has(event))
      report(
        reading,
        reading.treeOf.get(file.event_map!),
        problem(
          'reference_unknown',
          `There is no event "${event}".`,
          didYouMean(event, [...declared]) ?? 'Name it in custom_events.',
        ),
        event,
      )
    if (type === 'none') delete map[event]
    else map[event] = type
  }
  return map
}

function readCustomEvents(file: FileOffer, reading: Reading): readonly string[] {
  const events = file.custom_events ?? []
  const repeated = events.find(
    (event, index) => events.indexOf(event) < index || (builtInEventTypes as readonly string[]).includes(event),
  )
  if (repeated !== undefined)
    report(
      reading,
      reading.treeOf.get(events),
      problem('id_duplicate', `"${repeated}" is built in, or in the list twice.`),
    )
  return events
}

function readStatusMap(file: FileOffer, reading: Reading): Readonly<Record<string, StatusMapping>> {
  const map: Record<string, StatusMapping> = {}
  const written = new Map<string, string>()
  for (const [word, meaning] of Object.entries(file.status_map ?? {})) {
    const key = word.trim().toLowerCase()
    const earlier = written.get(key)
    if (earlier !== undefined)
      report(
        reading,
        reading.treeOf.get(file.status_map!),
        problem('word_ambiguous', `"${word}" and "${earlier}" are the same word.`, 'Keep one of the two.'),
        word,
      )
    written.set(key, word)
    map[key] = readMeaning(meaning)
  }
  return map
}

function readMeaning(meaning: string): StatusMapping {
  const words = meaning.split('/')
  const type = words.find((word) => word === 'lead' || word === 'sale')
  const status = words.find((word) => word !== type) as StatusMapping['status']
  return withoutEmpty<StatusMapping>({ type, status })
}
