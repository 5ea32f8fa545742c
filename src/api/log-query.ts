import { Type } from 'typebox'

import type { Tenant } from '#accounts'
import { isUuid } from '#platform/ids'
import { dimensions, FILTER_RULE_LENGTH_MAX, FILTER_VALUE_LENGTH_MAX, FILTER_VALUES_MAX } from '#reports'
import {
  decodeLogCursor,
  logOrders,
  parseLog,
  type AskedLog,
  type FactsLog,
  type LogCursor,
  type LogQuery,
} from '#reports/logs'

import type { Api } from './api.ts'
import { RequestError } from './errors.ts'
import { defaultsFor } from './routes/reports.ts'
import { oneWord } from './schemas.ts'

const filterValues = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ maxLength: FILTER_VALUE_LENGTH_MAX }), { description, maxItems: FILTER_VALUES_MAX }),
  )

const filterProperties = Object.fromEntries(
  [...dimensions.keys()].flatMap((name) => [
    [name, filterValues(`Only these values of ${name}; give the parameter once for each`)],
    [`not.${name}`, filterValues(`Without these values of ${name}`)],
  ]),
)

/** Keys of sub2, which have any name. */
export const sub2Filters = { '^(not\\.)?sub2\\.[A-Za-z0-9_]{1,50}$': filterValues('A key of sub2') }

/** What every question for rows of a log may say. */
export const logProperties = {
  from: Type.Optional(
    Type.String({
      description: 'First day (YYYY-MM-DD) or first moment (ISO 8601). Default: seven days before `to`',
      maxLength: 40,
    }),
  ),
  to: Type.Optional(
    Type.String({ description: 'Last day, included, or the moment before which. Default: today', maxLength: 40 }),
  ),
  tz: Type.Optional(Type.String({ description: 'IANA zone of days. Default: that of the advertiser', maxLength: 64 })),
  columns: Type.Optional(
    Type.Array(Type.String({ maxLength: 4_000 }), {
      description: 'Columns, comma-separated or repeated. Default: all that the key may see',
      maxItems: 200,
    }),
  ),
  filter: Type.Optional(
    Type.String({
      description: 'Only the rows that meet a rule in its text form: `country in (DE, AT) and not os is iOS`',
      maxLength: FILTER_RULE_LENGTH_MAX,
    }),
  ),
  ...filterProperties,
}
export const logOrder = Type.Optional(oneWord(logOrders, 'Which rows come first. Default: the newest'))

/** The values of `logProperties`. */
export type LogAsked = {
  readonly from?: string
  readonly to?: string
  readonly tz?: string
  readonly columns?: readonly string[]
  readonly filter?: string
} & Readonly<Record<string, unknown>>

/** Reads a question for rows of a log.
 * @throws {RequestError} request_invalid, forbidden
 */
export function readLogQuery(
  api: Pick<Api, 'snapshots' | 'clock'>,
  tenant: Tenant,
  log: FactsLog,
  asked: LogAsked,
  { order, cursor }: { readonly order?: AskedLog['order']; readonly cursor?: LogCursor | undefined } = {},
): { readonly query: LogQuery; readonly question: AskedLog } {
  if (cursor !== undefined && order !== undefined && order !== cursor.order)
    throw new RequestError('request_invalid', `the cursor is of a list in the order "${cursor.order}"`, 'order')
  const { from, to, tz, columns, filter, ...filters } = asked
  const { only, not } = splitFilters(filters as Record<string, string[]>)
  const names = splitNames(columns)
  const question: AskedLog = { from, to, tz, columns: names, filter, only, not, order: cursor?.order ?? order }
  const parsed = parseLog(log, question, tenant, defaultsFor(tenant, only, api), cursor?.range)
  if (parsed.kind === 'asked') return { query: parsed.query, question }
  throw new RequestError(parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid', parsed.detail, parsed.path)
}

/** Names that are comma-separated or repeated. */
export const splitNames = (lists: readonly string[] = []): readonly string[] =>
  lists.flatMap((list) => list.split(',')).map((name) => name.trim()).filter((name) => name !== '') // prettier-ignore

/** @throws {RequestError} it is no cursor of this log */
export function readLogCursor(log: FactsLog, text: string | undefined): LogCursor | undefined {
  if (text === undefined) return undefined
  const cursor = decodeLogCursor(log, text)
  if (cursor !== undefined && (log === 'events' || isUuid(cursor.place.id))) return cursor
  throw new RequestError('request_invalid', 'it is no cursor of this list', 'cursor')
}

function splitFilters(
  filters: Readonly<Record<string, readonly string[]>>,
): Record<'only' | 'not', Record<string, readonly string[]>> {
  const only: Record<string, readonly string[]> = {}
  const not: Record<string, readonly string[]> = {}
  for (const [name, values] of Object.entries(filters)) {
    if (name.startsWith('not.')) not[name.slice('not.'.length)] = values
    else only[name] = values
  }
  return { only, not }
}
