/** Logs that PostgreSQL holds: what came in and what was sent. Their rows are those of the lists of the same names. */
import type { TProperties } from 'typebox'

import type { Tenant } from '#accounts'
import type { ListInput } from '#exports'
import { isUuid } from '#platform/ids'
import { parseMoment, refuseMissing, type MissingDays } from '#reports'
import type { Cell, CellType, TableColumn } from '#reports/formats'
import { findClicksAmong, findMissingLog, type LogQuery } from '#reports/logs'

import type { Api } from './api.ts'
import { RequestError } from './errors.ts'
import { apiLimits } from './limits.ts'
import { readLogQuery, splitNames, type LogAsked } from './log-query.ts'
import { encodeCursor, type PageAsked } from './paging.ts'
import { deliveryFilters, listDeliveryPage } from './routes/deliveries.ts'
import { inboundFilters, listInboundPage } from './routes/inbound-postbacks.ts'

export const listedLogNames = ['inbound-postbacks', 'deliveries'] as const
export type ListedLogName = (typeof listedLogNames)[number]

type Item = Readonly<Record<string, unknown>>
type Page = { readonly items: readonly Item[]; readonly next_cursor: string | null }
export type ListApi = Pick<Api, 'pool' | 'facts' | 'snapshots' | 'clock'>
type Read = (api: ListApi, tenant: Tenant, asked: Item & PageAsked) => Promise<Page>

export type ListedLog = {
  readonly columns: readonly TableColumn[]
  /** What narrows it besides the clicks that its rows are of. */
  readonly filters: TProperties
  readonly read: Read
  readonly placeOf: (item: Item) => { readonly atMs: number; readonly id: string }
}

const column = (name: string, title: string, type: CellType = 'text'): TableColumn => ({ name, title, type })

export const listedLogs: Readonly<Record<ListedLogName, ListedLog>> = {
  'inbound-postbacks': {
    filters: inboundFilters,
    read: listInboundPage as Read,
    placeOf: (item) => ({ atMs: Date.parse(String(item['received_at'])), id: String(item['postback_id']) }),
    columns: [
      column('postback_id', 'Postback'),
      column('received_at', 'Received', 'time'),
      column('via', 'Via'),
      column('advertiser_id', 'Advertiser'),
      column('offer_id', 'Offer'),
      column('click_id', 'Click'),
      column('raw_click_id', 'Click as received'),
      column('raw_status', 'Status as received'),
      column('raw_goal', 'Goal as received'),
      column('txid', 'Transaction'),
      column('amount', 'Amount', 'money'),
      column('sale_amount', 'Sale amount', 'money'),
      column('currency', 'Currency'),
      column('ip', 'IP'),
      column('raw', 'As received'),
      column('outcome', 'Outcome'),
      column('reason', 'Refused for'),
      column('conversion_id', 'Conversion'),
    ],
  },
  deliveries: {
    filters: deliveryFilters,
    read: listDeliveryPage as Read,
    placeOf: (item) => ({ atMs: Date.parse(String(item['created_at'])), id: String(item['delivery_id']) }),
    columns: [
      column('delivery_id', 'Delivery'),
      column('created_at', 'Created', 'time'),
      column('endpoint_id', 'Endpoint'),
      column('event_id', 'Event'),
      column('replay_no', 'Replay', 'integer'),
      column('kind', 'Kind'),
      column('cause', 'Cause'),
      column('advertiser_id', 'Advertiser'),
      column('affiliate_id', 'Affiliate'),
      column('campaign_id', 'Campaign'),
      column('offer_id', 'Offer'),
      column('click_id', 'Click'),
      column('conversion_id', 'Conversion'),
      column('conversion_revision', 'Revision', 'integer'),
      column('method', 'Method'),
      column('url', 'URL'),
      column('content_type', 'Content type'),
      column('headers', 'Headers', 'pairs'),
      column('body', 'Body'),
      column('state', 'State'),
      column('reason', 'Given up for'),
      column('meaning', 'Meaning'),
      column('attempts', 'Tries', 'integer'),
      column('last_http_status', 'Last status', 'integer'),
      column('last_error', 'Last error'),
      column('next_at', 'Next try', 'time'),
      column('waits_for', 'Waits for'),
      column('waits_until', 'Waits until', 'time'),
      column('finished_at', 'Ended', 'time'),
    ],
  },
}

/** A question for rows of a listed log, already checked. */
export type ListedQuery = {
  readonly log: ListedLogName
  readonly columns: readonly TableColumn[]
  /** By the filters of the list, with `from` and `to` as instants. */
  readonly own: Item
  /** Only rows of clicks that it would show; undefined: all rows. */
  readonly clicks: LogQuery | undefined
}

/** Checks a question for rows of a listed log: the filters of the list, and those of reports for the clicks that its rows are of.
 * @throws {RequestError} request_invalid, forbidden
 */
export function readListedQuery(api: ListApi, tenant: Tenant, log: ListedLogName, asked: LogAsked): ListedQuery {
  const { columns, from, to, tz, ...filters } = asked
  const { filters: known } = listedLogs[log]
  const own = Object.fromEntries(Object.entries(filters).filter(([name]) => Object.hasOwn(known, name)))
  const ofClicks = Object.fromEntries(Object.entries(filters).filter(([name]) => !Object.hasOwn(known, name)))
  const { query } = readLogQuery(api, tenant, 'clicks', { ...(tz !== undefined && { tz }), ...ofClicks })
  const range = readRange(from, to, query.timezone)
  return {
    ...{ log, columns: chooseColumns(log, splitNames(columns)), own: { ...own, ...range } },
    clicks: Object.keys(ofClicks).length === 0 ? undefined : { ...query, range: { fromMs: 0, toMs: api.clock.now() } },
  }
}

/** Days of the zone, or moments; one that is not given bounds nothing.
 * @throws {RequestError} request_invalid
 */
function readRange(from: string | undefined, to: string | undefined, timezone: string): Item {
  const read = (path: 'from' | 'to', text: string | undefined): Item => {
    if (text === undefined) return {}
    const ms = parseMoment(text, timezone, path === 'to' ? 1 : 0)
    if (ms !== undefined) return { [path]: new Date(ms).toISOString() }
    throw new RequestError('request_invalid', 'is neither YYYY-MM-DD nor ISO 8601 with an offset', path)
  }
  return { ...read('from', from), ...read('to', to) }
}

/** @throws {RequestError} request_invalid: the log has no such column */
function chooseColumns(log: ListedLogName, names: readonly string[]): readonly TableColumn[] {
  const { columns } = listedLogs[log]
  if (names.length === 0) return columns
  return [...new Set(names)].map((name) => {
    const found = columns.find((column) => column.name === name)
    if (found !== undefined) return found
    throw new RequestError('request_invalid', `the log of ${log} has no column "${name}"`, 'columns')
  })
}

const CHUNK = 500

/** A page of a listed log. With filters on clicks it may have fewer rows than asked for, even none, though others follow. */
export async function readListedPage(
  api: ListApi,
  tenant: Tenant,
  { log, own, clicks }: ListedQuery,
  { cursor, limit, order }: Required<Pick<PageAsked, 'limit'>> & PageAsked,
): Promise<Page> {
  const { read, placeOf } = listedLogs[log]
  if (clicks === undefined) return read(api, tenant, { ...own, ...pageOf(cursor, limit, order) })
  const items: Item[] = []
  let next: string | null | undefined = cursor
  for (let scanned = 0; scanned < apiLimits.narrowedRowsMax && next !== null; scanned += CHUNK) {
    const chunk: Page = await read(api, tenant, { ...own, ...pageOf(next, CHUNK, order) })
    const kept = await ofClicks(api, clicks, chunk.items)
    const room = limit - items.length
    items.push(...kept.slice(0, room))
    if (kept.length > room || (kept.length === room && chunk.next_cursor !== null))
      return { items, next_cursor: encodeCursor(placeOf(items.at(-1)!)) }
    next = chunk.next_cursor
  }
  return { items, next_cursor: next ?? null }
}

const pageOf = (cursor: string | null | undefined, limit: number, order: PageAsked['order']): PageAsked => ({
  ...{ limit },
  ...(typeof cursor === 'string' && { cursor }),
  ...(order !== undefined && { order }),
})

async function ofClicks({ facts }: ListApi, clicks: LogQuery, items: readonly Item[]): Promise<readonly Item[]> {
  const ids = items.map((item) => item['click_id']).filter((id): id is string => typeof id === 'string' && isUuid(id))
  const met = await findClicksAmong(facts, clicks, ids)
  return items.filter((item) => met.has(String(item['click_id'])))
}

/** Days of clicks that were retired, so that rows of theirs meet no filter. */
export const findMissingClicks = async (
  { facts }: ListApi,
  tenant: Tenant,
  { clicks }: ListedQuery,
): Promise<readonly MissingDays[]> => (clicks === undefined ? [] : findMissingLog(facts, tenant, clicks))

/** A listed log to be exported, as a job keeps it: checked, and checked again when it is written. */
export function openListedLog(
  api: ListApi,
  tenant: Tenant,
  { list, asked }: ListInput,
): { readonly columns: readonly TableColumn[]; readonly rows: AsyncIterable<readonly Cell[]> } {
  const query = readListedQuery(api, tenant, list as ListedLogName, asked as LogAsked)
  return { columns: query.columns, rows: cellsOf(api, tenant, query) }
}

/** The oldest first, read page by page. @throws {WaypostError} conflict: clicks that a filter asks about were retired */
async function* cellsOf(api: ListApi, tenant: Tenant, query: ListedQuery): AsyncIterable<readonly Cell[]> {
  refuseMissing('A file', await findMissingClicks(api, tenant, query))
  // While more comes in than is read, it would have no end.
  const { rows } = await api.pool.query<{ now: Date }>('SELECT now()')
  const now = rows[0]!.now.toISOString()
  const to = String(query.own['to'] ?? now)
  const until = { ...query, own: { ...query.own, to: to < now ? to : now } }
  let cursor: string | null | undefined
  do {
    const page = await readListedPage(api, tenant, until, { ...pageOf(cursor, CHUNK, 'oldest'), limit: CHUNK })
    for (const item of page.items) yield query.columns.map(({ name }) => (item[name] ?? null) as Cell)
    cursor = page.next_cursor
  } while (cursor !== null)
}
