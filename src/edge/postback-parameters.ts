import { parseClickId, type ClickId } from '#platform/ids'
import { parseAmount, parseCurrency } from '#platform/money'
import type { PostbackRecord, RefusalReason } from '#records'
import { isLiteralMacro } from './literal-macro.ts'
import { cleanText } from './text.ts'

/** The parameters of a postback and the names that other systems use for them, in order of preference.
 * docs/http-edge.md lists the same; a test compares.
 *
 * `transaction_id` is the click id for one half of the networks and the transaction for the other: it is the click id
 * where no other name gives one, else the transaction. `event` is the goal; `type` the status where no other name gives
 * one, else the goal.
 */
export const postbackParameterNames = {
  click_id: [
    'click_id',
    'clickid',
    'cid',
    'subid',
    'sub_id',
    'tid_click',
    'cnv_id',
    'aff_click_id',
    'visit_id',
    'uclick',
  ],
  payout: ['payout', 'sum', 'amount', 'revenue', 'profit', 'price', 'commission', 'income', 'payment', 'money'],
  sale_amount: ['sale_amount', 'order_sum', 'order_amount', 'order_total'],
  currency: ['currency', 'payout_currency', 'offer_currency', 'cnv_currency'],
  status: ['status', 'cnv_status', 'conv_status', 'conversion_status', 'goal_status', 'stage', 'action'],
  goal: ['goal', 'goal_id', 'et', 'cet', 'event', 'event_name', 'event_id'],
  txid: [
    'txid',
    'tid',
    'transactionid',
    'action_id',
    'order_id',
    'txn_id',
    'conversion_id',
    'lead_id',
    'rebill_id',
    'conversion_unique_id',
  ],
  secret: ['secret', 'key', 'token'],
  signature: ['sig'],
  timestamp: ['ts'],
  reply: ['return'],
} as const satisfies Record<string, readonly string[]>

/** Names that stand for one thing or another. */
export const ambiguousPostbackNames = ['transaction_id', 'type'] as const

const TEXT_CHARACTERS_MAX = 255

/** What a postback says, in the record's words. */
export type PostbackFields = Pick<
  PostbackRecord,
  'raw_click_id' | 'click_id' | 'raw_status' | 'raw_goal' | 'txid' | 'amount_micros' | 'sale_amount_micros' | 'currency'
>

export type ReadPostback = {
  readonly fields: PostbackFields
  readonly clickId: ClickId | undefined
  /** What the parameters alone tell; undefined: they are in order. */
  readonly refusal: RefusalReason | undefined
  readonly secret: string | undefined
  readonly signature: string | undefined
  readonly timestamp: string | undefined
  /** Asked-for text of the answer (`return=OK`). */
  readonly reply: string | undefined
}

/** Parameters by name, lower case; the first of each counts. */
export type Parameters = ReadonlyMap<string, string>

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

/** Reads a postback's parameters. Everything that can be understood is in `fields` also where the postback is refused.
 * @param clickIdOfCookie the last click of this browser, for a pixel that names none
 */
export function readPostback(parameters: Parameters, clickIdOfCookie: string | undefined): ReadPostback {
  const read = (names: readonly string[]): string | undefined => firstOf(parameters, names)
  const names = postbackParameterNames
  const transactionId = parameters.get('transaction_id')
  const type = parameters.get('type')
  const namedClickId = read(names.click_id)
  const namedStatus = read(names.status)
  const texts = {
    clickId: namedClickId ?? transactionId ?? clickIdOfCookie,
    status: namedStatus ?? type,
    goal: read(names.goal) ?? (namedStatus === undefined ? undefined : type),
    txid: read(names.txid) ?? (namedClickId === undefined ? undefined : transactionId),
    payout: read(names.payout),
    saleAmount: read(names.sale_amount),
    currency: read(names.currency),
  }
  const clickId = parseClickId(texts.clickId?.trim())
  return {
    fields: fieldsOf(texts, clickId),
    clickId,
    refusal: refusalOf(texts, clickId),
    secret: read(names.secret),
    signature: read(names.signature),
    timestamp: read(names.timestamp),
    reply: read(names.reply),
  }
}

function firstOf(parameters: Parameters, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = parameters.get(name)
    if (value !== undefined) return value
  }
  return undefined
}

type Texts = {
  readonly clickId: string | undefined
  readonly status: string | undefined
  readonly goal: string | undefined
  readonly txid: string | undefined
  readonly payout: string | undefined
  readonly saleAmount: string | undefined
  readonly currency: string | undefined
}

const parsePositive = (text: string | undefined): number | undefined => {
  const amount = text === undefined ? undefined : parseAmount(text)
  return amount === undefined || amount < 0n ? undefined : Number(amount)
}

function fieldsOf(texts: Texts, clickId: ClickId | undefined): PostbackFields {
  const fields: Mutable<PostbackFields> = {}
  const amount = parsePositive(texts.payout)
  const saleAmount = parsePositive(texts.saleAmount)
  const currency = parseCurrency(texts.currency)
  if (texts.clickId !== undefined) fields.raw_click_id = cleanText(texts.clickId, TEXT_CHARACTERS_MAX)
  if (clickId !== undefined) fields.click_id = clickId
  if (texts.status !== undefined) fields.raw_status = cleanText(texts.status, TEXT_CHARACTERS_MAX)
  if (texts.goal !== undefined) fields.raw_goal = cleanText(texts.goal, TEXT_CHARACTERS_MAX)
  if (texts.txid !== undefined) fields.txid = cleanText(texts.txid, TEXT_CHARACTERS_MAX)
  if (amount !== undefined) fields.amount_micros = amount
  if (saleAmount !== undefined) fields.sale_amount_micros = saleAmount
  if (currency !== undefined) fields.currency = currency
  return fields
}

function refusalOf(texts: Texts, clickId: ClickId | undefined): RefusalReason | undefined {
  if (Object.values(texts).some((text) => text !== undefined && isLiteralMacro(text))) return 'literal_macro'
  if (texts.clickId === undefined) return 'click_id_missing'
  if (clickId === undefined) return 'click_id_invalid'
  if (texts.txid !== undefined && texts.txid.length > TEXT_CHARACTERS_MAX) return 'field_invalid'
  if (texts.status === undefined && texts.goal === undefined) return 'status_missing'
  if (isUnreadable(texts.payout) || isUnreadable(texts.saleAmount)) return 'amount_invalid'
  return texts.currency !== undefined && parseCurrency(texts.currency) === undefined ? 'currency_invalid' : undefined
}

const isUnreadable = (amount: string | undefined): boolean =>
  amount !== undefined && parsePositive(amount) === undefined
