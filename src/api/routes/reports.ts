import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Tenant } from '#accounts'
import { readFactors } from '#currencies'
import { factsMoment, factsYears } from '#platform/clock'
import {
  dimensions,
  DIMENSIONS_MAX,
  FILTER_RULE_LENGTH_MAX,
  FILTER_VALUE_LENGTH_MAX,
  FILTER_VALUES_MAX,
  FORMULA_LENGTH_MAX,
  formulaFunctions,
  LIMIT_DEFAULT,
  LIMIT_MAX,
  listCustomMetrics,
  metrics,
  namesCustomMetrics,
  OFFSET_MAX,
  ORDERS_MAX,
  parseReport,
  runReport,
  visibleDimensions,
  visibleMetrics,
  type AskedReport,
  type CustomMetric,
  type ReportDefaults,
  type ReportQuery,
} from '#reports'
import { headerKinds, type HeaderKind } from '#reports/formats'
import type { Snapshot } from '#routing'
import { RuleLists } from '#rules'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { missingDays, missingDaysJson } from '../missing-days.ts'
import { answers, nullable, oneWord, openObject, queryOf } from '../schemas.ts'
import { chooseFormat, reportFormats, sendReport, waitedFor, type ReportFormat } from '../send-report.ts'

const filterNames = [...dimensions.keys()]
const filterValues = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ maxLength: FILTER_VALUE_LENGTH_MAX }), { description, maxItems: FILTER_VALUES_MAX }),
  )

const filterProperties = Object.fromEntries(
  filterNames.flatMap((name) => [
    [name, filterValues(`Only these values of ${name}; give the parameter once for each`)],
    [`not.${name}`, filterValues(`Without these values of ${name}`)],
    [`parent.${name}`, filterValues(`Only what stands under a row with this value of ${name}`)],
  ]),
)

const namesText = (description: string) =>
  Type.Optional(Type.Array(Type.String({ maxLength: 1_000 }), { description, maxItems: 60 }))

/** Parameters that are any of many. */
export const prefixedProperties = {
  '^(not\\.|parent\\.)?sub2\\.[A-Za-z0-9_]{1,50}$': filterValues('A key of sub2'),
  '^formula\\.[a-z][a-z0-9_]{0,49}$': Type.Array(Type.String({ maxLength: FORMULA_LENGTH_MAX }), {
    description: 'A metric of this report alone: `formula.ecpm=revenue / clicks * 1000`',
    maxItems: 1,
  }),
}

/** The parameters of a report. */
export const reportQuery = Type.Object(
  {
    from: Type.Optional(
      Type.String({
        description: 'First day (YYYY-MM-DD) or first moment (ISO 8601). Default: seven days before `to`',
        maxLength: 40,
      }),
    ),
    to: Type.Optional(
      Type.String({ description: 'Last day, included, or the moment before which. Default: today', maxLength: 40 }),
    ),
    tz: Type.Optional(
      Type.String({ description: 'IANA zone of days and hours. Default: that of the advertiser', maxLength: 64 }),
    ),
    currency: Type.Optional(
      Type.String({
        description:
          'ISO 4217; amounts in others are converted with the rate of their day. Default: that of the advertiser, and nothing is converted',
        maxLength: 3,
      }),
    ),
    convert: Type.Optional(
      oneWord(['on', 'off'], '`off`: amounts in other currencies are left out. Default: on where `currency` is given'),
    ),
    rates_as_of: Type.Optional(
      Type.String({ description: 'With the rates that were stored by then', format: 'date-time', maxLength: 40 }),
    ),
    group_by: namesText(
      `Dimensions, comma-separated or repeated, at most ${DIMENSIONS_MAX}: ${[...dimensions.keys()].join(', ')}, sub2.<key>`,
    ),
    metrics: namesText(
      `Metrics, comma-separated or repeated: ${[...metrics.keys()].join(', ')}. Default: all that the key may see`,
    ),
    having: Type.Optional(
      Type.String({
        description: 'Only the rows that meet a condition over metrics: `clicks > 100 and cr < 2%`',
        maxLength: FORMULA_LENGTH_MAX,
      }),
    ),
    order: Type.Optional(
      Type.String({
        description: `Metrics and dimensions of the report, comma-separated, at most ${ORDERS_MAX}; \`-\` before one: descending`,
        maxLength: 500,
      }),
    ),
    offset: Type.Optional(
      Type.Integer({ description: 'Rows to pass over. Default: 0', minimum: 0, maximum: OFFSET_MAX }),
    ),
    time: Type.Optional(
      oneWord(['event', 'click'], 'Whether everything counts when it happened, or when its click did. Default: event'),
    ),
    archive: Type.Optional(
      Type.Boolean({ description: 'Read archives for what is not kept of old days; slower. Default: no' }),
    ),
    compare: Type.Optional(
      Type.String({
        description: 'Period to compare with: `previous`, `year`, or days such as `2026-01-01..2026-01-31`',
        maxLength: 82,
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ description: `Rows. Default: ${LIMIT_DEFAULT}`, minimum: 1, maximum: LIMIT_MAX }),
    ),
    filter: Type.Optional(
      Type.String({
        description: 'Only the rows that meet a rule in its text form: `country in (DE, AT) and not os is iOS`',
        maxLength: FILTER_RULE_LENGTH_MAX,
      }),
    ),
    ...filterProperties,
  },
  {
    additionalProperties: false,
    patternProperties: prefixedProperties,
  },
)

/** Those of a report that is answered as a file. */
const reportFileQuery = Type.Object(
  {
    ...reportQuery.properties,
    limit: Type.Optional(
      Type.Integer({
        description: `Rows. Default: ${LIMIT_DEFAULT}, in a file all; more than ${LIMIT_MAX} only in a file`,
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
      }),
    ),
    format: Type.Optional(
      oneWord(reportFormats, 'How it is answered. Default: the first of the Accept header that there is, else json'),
    ),
    headers: Type.Optional(oneWord(headerKinds, 'What stands at the head of the columns of a file. Default: name')),
    byte_order_mark: Type.Optional(Type.Boolean({ description: 'CSV begins with one, for spreadsheets of Windows' })),
  },
  { additionalProperties: false, patternProperties: prefixedProperties },
)
type AskedFile = { format?: ReportFormat; headers?: HeaderKind; byte_order_mark?: boolean } & Record<string, unknown>

/** The answer to a report. */
export const reportAnswer = Type.Object({
  from: Type.String(),
  to: Type.String({ description: 'Excluded' }),
  timezone: Type.String(),
  currency: Type.String(),
  other_currencies: Type.Array(Type.String(), {
    description: 'Of amounts in the range that are not in this answer, or not all of them',
  }),
  converted_currencies: Type.Array(Type.String(), { description: 'Of amounts that were converted' }),
  unconverted: Type.Array(
    Type.Object({
      currency: Type.String(),
      days: Type.Array(Type.String(), { description: 'Days (UTC) that have no rate, nor any of the week before' }),
      amounts: openObject('By metric, in this currency'),
    }),
    { description: 'What is not in this answer for want of a rate' },
  ),
  missing_days: missingDays,
  compared_with: nullable(Type.Object({ from: Type.String(), to: Type.String({ description: 'Excluded' }) })),
  group_by: Type.Array(Type.String()),
  metrics: Type.Array(Type.String()),
  columns: Type.Array(
    Type.Object({
      name: Type.String({ description: 'As in the rows' }),
      title: Type.String({ description: 'For people' }),
      kind: oneWord(['dimension', 'metric'], 'What it is'),
      unit: nullable(Type.String({ description: 'count, money, ratio or seconds' })),
      format: Type.String({
        description: 'How it is shown: text, integer, decimal, percent (times 100), money or duration',
      }),
    }),
    { description: 'What each name of a row is, in their order' },
  ),
  rows: Type.Array(
    openObject(
      'A dimension each, then a metric each: counts, ratios and seconds are numbers, money is decimal text, null: nothing to divide by',
    ),
  ),
  totals: openObject('All rows as one, those past the limit too; with `having`, those that meet it'),
  total_rows: Type.Integer({ description: 'Rows without limit and offset' }),
  is_truncated: Type.Boolean({ description: 'There are more rows than the limit' }),
})

/** A query of `reportQuery`. */
export type AskedQuery = {
  from?: string
  to?: string
  tz?: string
  currency?: string
  convert?: 'on' | 'off'
  rates_as_of?: string
  group_by?: string[]
  metrics?: string[]
  order?: string
  limit?: number
  offset?: number
  filter?: string
  having?: string
  compare?: string
  time?: 'event' | 'click'
  archive?: boolean
} & Record<string, unknown>

export function addReportRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const roles = readableBy('owner', 'advertiser', 'affiliate')

  server.get(
    '/v1/reports',
    {
      config: roles,
      schema: {
        tags: ['reports'],
        summary: 'Statistics, grouped and filtered as you like',
        querystring: reportFileQuery,
        response: answers(reportAnswer),
      },
    },
    async (request, reply) => {
      const {
        format: asked,
        headers = 'name',
        byte_order_mark: isMarked = false,
        ...query
      } = request.query as AskedFile
      const tenant = principalOf(request)
      const format = chooseFormat(asked, request.headers.accept)
      if (format === 'json') return answerReport(api, tenant, query as AskedQuery)
      const { limit, ...unlimited } = query as AskedQuery
      const report = { ...(await readReport(api, tenant, unlimited)), limit }
      const name = reportFileName(report)
      await sendReport(reply, format, name, [api.facts, tenant, report, waitedFor], { headers, isMarked })
      return reply
    },
  )

  server.get(
    '/v1/reports/schema',
    {
      config: roles,
      schema: {
        tags: ['reports'],
        summary: 'What this key can group by and measure',
        querystring: queryOf({}),
        response: answers(schemaAnswer),
      },
    },
    (request) => ({
      dimensions: visibleDimensions(principalOf(request).role).map((dimension) => {
        const { name, title, description, section, tables } = dimension
        return { name, title, description, section, known_of: [...tables] }
      }),
      metrics: visibleMetrics(principalOf(request).role).map((metric) => {
        const { name, title, description, formula, unit, format, isDefault } = metric
        return { name, title, description, formula, unit, format, is_default: isDefault }
      }),
      functions: Object.entries(formulaFunctions).map(([name, { meaning }]) => ({ name, description: meaning })),
    }),
  )
}

/** The zone of a report's days: the one that it asks for, else that of the advertiser that it is about. */
export const zoneOfReport = (api: Pick<Api, 'snapshots' | 'clock'>, tenant: Tenant, query: AskedQuery): string =>
  query.tz ?? defaultsFor(tenant, readAsked(query).only, api).timezone

/** Checks a report for a tenant.
 * @param metricsOf whose own metrics it may name: those of whoever asks, or of whoever saved it
 * @throws {RequestError} request_invalid, forbidden
 */
export async function readReport(
  api: Pick<Api, 'snapshots' | 'clock' | 'pool'>,
  tenant: Tenant,
  query: AskedQuery,
  metricsOf: Tenant = tenant,
) {
  const { convert = query.currency === undefined ? 'off' : 'on', rates_as_of, archive, ...rest } = query
  const asked = readAsked(rest)
  const customMetrics = namesCustomMetrics(asked) ? await findCustomMetrics(api, metricsOf) : []
  const defaults = { ...defaultsFor(tenant, asked.only, api), customMetrics }
  const parsed = parseReport(asked, tenant, defaults)
  if (parsed.kind !== 'asked')
    throw new RequestError(parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid', parsed.detail, parsed.path)
  const asOf = rates_as_of === undefined ? undefined : new Date(rates_as_of)
  if (asOf !== undefined && factsMoment(asOf.getTime()) === undefined)
    throw new RequestError('request_invalid', `is no moment of the years ${factsYears}`, 'rates_as_of')
  const rates: ReportQuery['rates'] = { find: (question) => readFactors(api.pool, { ...question, asOf }) }
  return {
    ...parsed.report,
    hasArchive: archive,
    defaultCurrency: defaults.currency,
    rates: convert === 'on' ? rates : undefined,
  }
}

/** Name of the file of a report, without ending. */
export const reportFileName = ({ groupBy, range }: Pick<Awaited<ReturnType<typeof readReport>>, 'groupBy' | 'range'>): string =>
  ['report', ...groupBy.map(({ name }) => name), ...[range.fromMs, range.toMs].map((ms) => new Date(ms).toISOString().slice(0, 10))].join('_') // prettier-ignore

/** Answers a report for a tenant, as `reportAnswer`.
 * @param metricsOf as in readReport
 * @throws {RequestError} request_invalid, forbidden
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function answerReport(
  api: Pick<Api, 'snapshots' | 'clock' | 'pool' | 'facts'>,
  tenant: Tenant,
  query: AskedQuery,
  metricsOf?: Tenant,
) {
  const report = await readReport(api, tenant, query, metricsOf)
  const answer = await runReport(api.facts, tenant, report)
  return {
    from: new Date(report.range.fromMs).toISOString(),
    to: new Date(report.range.toMs).toISOString(),
    timezone: report.timezone,
    currency: answer.currency,
    other_currencies: [...answer.other_currencies],
    converted_currencies: [...answer.converted_currencies],
    unconverted: answer.unconverted.map(({ currency, days, amounts }) => ({ currency, days: [...days], amounts })),
    missing_days: missingDaysJson(answer.missing_days),
    compared_with: report.compare === undefined ? null : rangeJson(report.compare.range),
    group_by: report.groupBy.map(({ name }) => name),
    metrics: report.metrics.map(({ name }) => name),
    columns: [...answer.columns],
    rows: [...answer.rows],
    totals: answer.totals,
    total_rows: answer.total_rows,
    is_truncated: answer.is_truncated,
  }
}

const findCustomMetrics = async ({ pool }: Pick<Api, 'pool'>, tenant: Tenant): Promise<readonly CustomMetric[]> =>
  (await listCustomMetrics(pool, tenant)).map(({ format, ...kept }) => ({ ...kept, format: format ?? undefined }))

const rangeJson = ({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }) => ({
  from: new Date(fromMs).toISOString(),
  to: new Date(toMs).toISOString(),
})

const schemaAnswer = Type.Object({
  dimensions: Type.Array(
    Type.Object({
      name: Type.String(),
      title: Type.String({ description: 'For people' }),
      description: Type.String(),
      section: Type.String({ description: 'What it belongs to, for who chooses among them' }),
      known_of: Type.Array(Type.String(), {
        description: 'clicks, events, conversions; the others stand under the empty value',
      }),
    }),
  ),
  metrics: Type.Array(
    Type.Object({
      name: Type.String(),
      title: Type.String({ description: 'For people' }),
      description: Type.String(),
      formula: Type.String({ description: 'How it is counted' }),
      unit: Type.String({ description: 'count, money, ratio or seconds' }),
      format: Type.String({ description: 'How it is shown: integer, decimal, percent (times 100), money or duration' }),
      is_default: Type.Boolean({ description: 'A report has it that asks for no metrics' }),
    }),
  ),
  functions: Type.Array(Type.Object({ name: Type.String(), description: Type.String() }), {
    description: 'Of formulas',
  }),
})

/** A query as a question to reports. */
function readAsked(query: AskedQuery): AskedReport {
  const { from, to, tz, currency, group_by, metrics, order, limit, offset, filter, having, compare, time, ...more } =
    query
  const { only, not, parent, formulas } = splitByPrefix(more as Record<string, string[]>)
  const words = { from, to, tz, currency, order, limit, offset, filter, having, compare, time }
  return {
    ...{ ...words, only, not, parent, group_by: splitNames(group_by), metrics: splitNames(metrics) },
    formulas: Object.fromEntries(Object.entries(formulas).map(([name, [formula = '']]) => [name, formula])),
  }
}

const splitNames = (lists: readonly string[] | undefined): readonly string[] | undefined =>
  lists?.flatMap((list) => list.split(',')).map((name) => name.trim()).filter((name) => name !== '') // prettier-ignore

const prefixes = { 'not.': 'not', 'parent.': 'parent', 'formula.': 'formulas' } as const

type ByPrefix = Record<'only' | (typeof prefixes)[keyof typeof prefixes], Record<string, readonly string[]>>

function splitByPrefix(values: Readonly<Record<string, readonly string[]>>): ByPrefix {
  const found: ByPrefix = { only: {}, not: {}, parent: {}, formulas: {} }
  for (const [name, list] of Object.entries(values)) {
    const prefix = (Object.keys(prefixes) as (keyof typeof prefixes)[]).find((one) => name.startsWith(one))
    if (prefix === undefined) found.only[name] = list
    else found[prefixes[prefix]][name.slice(prefix.length)] = list
  }
  return found
}

/** Zone and currency of the advertiser that the report is about; of the only one, where the installation has one. */
export function defaultsFor(
  tenant: Tenant,
  only: Readonly<Record<string, readonly string[]>>,
  { snapshots, clock }: Pick<Api, 'snapshots' | 'clock'>,
): ReportDefaults {
  const asked = only['advertiser_id']
  const advertiserId = tenant.role === 'owner' ? (asked?.length === 1 ? asked[0] : undefined) : tenant.advertiserId
  const { timezone, currency } = findAdvertiser(snapshots.current(), advertiserId) ?? {
    timezone: 'UTC',
    currency: 'USD',
  }
  return {
    timezone,
    currency,
    nowMs: clock.now(),
    lists: tenant.role === 'owner' ? listsOf(snapshots.current()) : undefined,
  }
}

/** Named lists are the installation's own: another tenant could find out what is in them. */
const listsOf = (snapshot: Snapshot | undefined): RuleLists | undefined =>
  snapshot?.lists && new RuleLists(snapshot.lists)

function findAdvertiser(
  snapshot: Snapshot | undefined,
  advertiserId: string | undefined,
): Snapshot['advertisers'][number] | undefined {
  if (advertiserId !== undefined) return snapshot?.advertisers.find((one) => one.advertiser_id === advertiserId)
  return snapshot?.advertisers.length === 1 ? snapshot.advertisers[0] : undefined
}
