import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Tenant } from '#accounts'
import {
  dimensions,
  DIMENSIONS_MAX,
  FILTER_RULE_LENGTH_MAX,
  FILTER_VALUE_LENGTH_MAX,
  FILTER_VALUES_MAX,
  LIMIT_DEFAULT,
  LIMIT_MAX,
  metrics,
  parseReport,
  runReport,
  visibleDimensions,
  visibleMetrics,
  type ReportDefaults,
} from '#reports'
import type { Snapshot } from '#routing'
import { RuleLists } from '#rules'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { answers, nullable, openObject, queryOf } from '../schemas.ts'

const filterNames = [...dimensions.keys()].filter((name) => name !== 'hour')
const filterValues = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ maxLength: FILTER_VALUE_LENGTH_MAX }), { description, maxItems: FILTER_VALUES_MAX }),
  )

const filterProperties = Object.fromEntries(
  filterNames.flatMap((name) => [
    [name, filterValues(`Only these values of ${name}; give the parameter once for each`)],
    [`not.${name}`, filterValues(`Without these values of ${name}`)],
  ]),
)

const namesText = (description: string) =>
  Type.Optional(Type.Array(Type.String({ maxLength: 1_000 }), { description, maxItems: 60 }))

const reportQuery = Type.Object(
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
        description: 'ISO 4217; amounts in others are left out. Default: that of the advertiser',
        maxLength: 3,
      }),
    ),
    group_by: namesText(
      `Dimensions, comma-separated or repeated, at most ${DIMENSIONS_MAX}: ${[...dimensions.keys()].join(', ')}, sub2.<key>`,
    ),
    metrics: namesText(
      `Metrics, comma-separated or repeated: ${[...metrics.keys()].join(', ')}. Default: all that the key may see`,
    ),
    order: Type.Optional(
      Type.String({ description: 'Metric or dimension of the report; `-` before it: descending', maxLength: 80 }),
    ),
    limit: Type.Optional(Type.Integer({ description: 'Rows', minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT })),
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
    patternProperties: { '^(not\\.)?sub2\\.[A-Za-z0-9_]{1,50}$': filterValues('A key of sub2') },
  },
)

const reportAnswer = Type.Object({
  from: Type.String(),
  to: Type.String({ description: 'Excluded' }),
  timezone: Type.String(),
  currency: Type.String(),
  other_currencies: Type.Array(Type.String(), { description: 'Of amounts in the range that are not in this answer' }),
  group_by: Type.Array(Type.String()),
  metrics: Type.Array(Type.String()),
  rows: Type.Array(
    openObject(
      'A dimension each, then a metric each: counts and ratios are numbers, money is decimal text, null: nothing to divide by',
    ),
  ),
  totals: openObject('All rows as one, those past the limit too'),
  is_truncated: Type.Boolean({ description: 'There are more rows than the limit' }),
})

type AskedQuery = {
  from?: string
  to?: string
  tz?: string
  currency?: string
  group_by?: string[]
  metrics?: string[]
  order?: string
  limit?: number
  filter?: string
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
        querystring: reportQuery,
        response: answers(reportAnswer),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { from, to, tz, currency, group_by, metrics, order, limit, filter, ...filters } =
        request.query as AskedQuery
      const { only, not } = splitFilters(filters as Record<string, string[]>)
      const defaults = defaultsFor(tenant, only, api)
      const asked = {
        from,
        to,
        tz,
        currency,
        group_by: splitNames(group_by),
        metrics: splitNames(metrics),
        order,
        limit,
        only,
        not,
        filter,
      }
      const parsed = parseReport(asked, tenant, defaults)
      if (parsed.kind !== 'asked')
        throw new RequestError(
          parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid',
          parsed.detail,
          parsed.path,
        )
      const { report } = parsed
      const answer = await runReport(api.facts, tenant, { ...report, defaultCurrency: defaults.currency })
      return {
        from: new Date(report.range.fromMs).toISOString(),
        to: new Date(report.range.toMs).toISOString(),
        timezone: report.timezone,
        currency: answer.currency,
        other_currencies: [...answer.other_currencies],
        group_by: report.groupBy.map(({ name }) => name),
        metrics: report.metrics.map(({ name }) => name),
        rows: [...answer.rows],
        totals: answer.totals,
        is_truncated: answer.is_truncated,
      }
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
      dimensions: visibleDimensions(principalOf(request).role).map(({ name, description }) => ({ name, description })),
      metrics: visibleMetrics(principalOf(request).role).map(({ name, description, formula, unit }) => ({
        name,
        description,
        formula,
        unit,
      })),
    }),
  )
}

const schemaAnswer = Type.Object({
  dimensions: Type.Array(Type.Object({ name: Type.String(), description: nullable(Type.String()) })),
  metrics: Type.Array(
    Type.Object({ name: Type.String(), description: Type.String(), formula: Type.String(), unit: Type.String() }),
  ),
})

const splitNames = (lists: readonly string[] | undefined): readonly string[] | undefined =>
  lists?.flatMap((list) => list.split(',')).map((name) => name.trim()).filter((name) => name !== '') // prettier-ignore

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

/** Zone and currency of the advertiser that the report is about; of the only one, where the installation has one. */
function defaultsFor(
  tenant: Tenant,
  only: Readonly<Record<string, readonly string[]>>,
  { snapshots, clock }: Api,
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
