import {
  compileFraud,
  fraudLimits,
  networkOf,
  scoreConversion,
  type CompiledFraud,
  type ConversionVerdict,
} from '#fraud'
import type { Tx } from '#platform/postgres'
import type { ClickRecord } from '#records'
import type { Snapshot } from '#routing'
import { RuleFacts, RuleLists } from '#rules'

import type { Conversion } from './conversion.ts'
import type { ConversionRequest, ConversionScores } from './decide-conversions.ts'

const HOUR_MS = 3_600_000
/** Each thread of an edge writes a log of its own, and they are booked in turns: of conversions that come at once, one that came later
 * may be booked before. It is counted as well, or a burst of many would be seen as several bursts of few.
 */
const AHEAD_MS = 600_000

/** A conversion of a key: its click, and when it was made, milliseconds since the epoch. */
type Made = { readonly clickId: string; readonly at: number }
type MadeByKey = Map<string, Made[]>

/** Opens the scores of a batch: the earlier conversions of all its addresses and devices are read with one statement, those of the
 * batch itself are counted as they are decided.
 *
 * The rows of conversions are counted, not claims of the hot state: they are booked in the transaction that scores, so a batch that
 * is sent again after a crash finds what it found before, and there is no second memory that could disagree. Two transactions that
 * run at the same moment do not see each other's conversions; the pipeline has one at a time, a replay of postbacks may be another.
 * @returns undefined where no offer of the requests is to be scored
 */
export async function openConversionScores(
  tx: Tx,
  snapshot: Snapshot,
  requests: readonly ConversionRequest[],
): Promise<ConversionScores | undefined> {
  const settingsOf = fraudOf(snapshot)
  const scored = requests.filter(({ offer }) => settingsOf(offer.offer_id) !== undefined)
  if (scored.length === 0) return undefined
  const { ips, devices } = await readMade(tx, scored, settingsOf)
  return {
    score: (conversion, country) => {
      const settings = settingsOf(conversion.offerId)
      return settings && scoreOne(conversion, country, settings, ips, devices)
    },
  }
}

type SettingsOf = (offerId: string) => CompiledFraud | undefined
const compiled = new WeakMap<Snapshot, SettingsOf>()

/** Compiled once for a version of the configuration; offers without settings of their own share those of the installation. */
function fraudOf(snapshot: Snapshot): SettingsOf {
  const known = compiled.get(snapshot)
  if (known !== undefined) return known
  const lists = snapshot.lists && new RuleLists(snapshot.lists)
  const ofInstallation = snapshot.fraud && compileFraud(snapshot.fraud, undefined, lists)
  const own = new Map(
    snapshot.offers.flatMap(({ offer_id, fraud }) =>
      fraud === undefined ? [] : [[offer_id, compileFraud(snapshot.fraud, fraud, lists)] as const],
    ),
  )
  const settingsOf: SettingsOf = (offerId) => own.get(offerId) ?? ofInstallation
  compiled.set(snapshot, settingsOf)
  return settingsOf
}

const SELECT_MADE = `
  SELECT 'ip' AS kind, key, click_id, created_at FROM unnest($1::text[]) AS key, LATERAL (
    SELECT click_id, created_at FROM conversions WHERE ip_network = key AND created_at > $3 AND created_at <= $4
    ORDER BY created_at DESC LIMIT ${fraudLimits.conversionsCountedMax}) AS made
  UNION ALL
  SELECT 'device', key, click_id, created_at FROM unnest($2::text[]) AS key, LATERAL (
    SELECT click_id, created_at FROM conversions WHERE click->>'visitor_code' = key AND created_at > $3 AND created_at <= $4
    ORDER BY created_at DESC LIMIT ${fraudLimits.conversionsCountedMax}) AS made`

type MadeRow = {
  readonly kind: 'ip' | 'device'
  readonly key: string
  readonly click_id: string
  readonly created_at: Date
}

const ipKeyOf = ({ ip }: ClickRecord): string => networkOf(ip, 'ip')

async function readMade(
  tx: Tx,
  requests: readonly ConversionRequest[],
  settingsOf: SettingsOf,
): Promise<{ readonly ips: MadeByKey; readonly devices: MadeByKey }> {
  const keys = (keyOf: (request: ConversionRequest) => string | undefined): string[] => [
    ...new Set(requests.map(keyOf).filter((key) => key !== undefined)),
  ]
  const starts = requests.map(({ at, offer }) => at - windowMs(settingsOf(offer.offer_id)!))
  const from = starts.reduce((first, start) => Math.min(first, start))
  const to = requests.reduce((last, { at }) => Math.max(last, at), 0)
  const { rows } = await tx.query<MadeRow>(SELECT_MADE, [
    keys(({ click }) => ipKeyOf(click)),
    keys(({ click }) => click.visitor_code),
    new Date(from),
    new Date(to + AHEAD_MS),
  ])
  const ips: MadeByKey = new Map()
  const devices: MadeByKey = new Map()
  for (const { kind, key, click_id, created_at } of rows)
    note(kind === 'ip' ? ips : devices, key, { clickId: click_id, at: created_at.getTime() })
  return { ips, devices }
}

const windowMs = ({ conversions }: CompiledFraud): number => conversions.window_hours * HOUR_MS

function note(made: MadeByKey, key: string, one: Made): void {
  const known = made.get(key)
  if (known === undefined) made.set(key, [one])
  else known.push(one)
}

function scoreOne(
  conversion: Conversion,
  country: string | undefined,
  settings: CompiledFraud,
  ips: MadeByKey,
  devices: MadeByKey,
): ConversionVerdict {
  const { click } = conversion
  const convertedAt = conversion.createdAt.getTime()
  const countWith = (made: MadeByKey, key: string | undefined): number | undefined => {
    if (key === undefined) return undefined
    note(made, key, { clickId: click.click_id, at: convertedAt })
    const since = convertedAt - windowMs(settings)
    const within = made.get(key)!.filter(({ at }) => at > since && at <= convertedAt + AHEAD_MS)
    // A visitor who registers and then buys twice has clicked once.
    return new Set(within.map(({ clickId }) => clickId)).size
  }
  return scoreConversion(
    {
      clickAt: click.at,
      convertedAt,
      ipConversions: countWith(ips, ipKeyOf(click)),
      deviceConversions: countWith(devices, click.visitor_code),
      clickCountry: click.country,
      conversionCountry: country,
      ruleFacts: settings.ownConversionRules.length === 0 ? undefined : ruleFactsOf(conversion),
    },
    settings,
  )
}

const ruleFactsOf = ({ click, ...conversion }: Conversion): RuleFacts =>
  new RuleFacts({
    at: click.at,
    visitor: click,
    parameters: click,
    assigned: click,
    conversion: {
      at: conversion.createdAt.getTime(),
      click_at: click.at,
      type: conversion.type,
      goal: conversion.goal,
      status: conversion.status,
      payout_micros: Number(conversion.payoutMicros),
      revenue_micros: Number(conversion.revenueMicros),
      sale_amount_micros: Number(conversion.saleAmountMicros),
      currency: conversion.currency,
    },
  })
