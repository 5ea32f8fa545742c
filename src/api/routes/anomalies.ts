import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { FILTER_RULE_LENGTH_MAX } from '#reports'
import { anomalyLimits, findAnomalies, parseAnomalies } from '#reports/anomalies'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { missingDays } from '../missing-days.ts'
import { answers, nullable, oneWord, queryOf } from '../schemas.ts'
import { defaultsFor, reportAnswer } from './reports.ts'

const shown = (description: string) =>
  nullable(Type.Union([Type.Number(), Type.String()], { description: `${description}; money is decimal text` }))

const anomaly = Type.Object({
  from: Type.String(),
  to: Type.String({ description: 'Excluded' }),
  direction: oneWord(['high', 'low'], 'On which side of the usual'),
  severity: oneWord(['notable', 'strong', 'extreme'], 'By the score: strong from 6 on, extreme from 10 on'),
  score: Type.Number({ description: 'Deviations from the expected' }),
  actual: shown('What it was'),
  expected: shown('What is usual: the median of the same hours of the weeks before'),
  low: shown('Lower end of the usual band'),
  high: shown('Upper end of the usual band'),
  explanations: Type.Array(
    Type.Object({
      dimension: Type.String(),
      explained: Type.Number({ description: 'Part of the difference that comes from these values' }),
      surprise: Type.Number({
        description: 'How differently they share in the whole than usual, in nats; 0: as always',
      }),
      values: Type.Array(
        Type.Object({
          value: Type.String(),
          actual: shown('What the value had'),
          expected: shown('What it usually has'),
          contribution: Type.Number({ description: 'Part of the difference that comes from it' }),
          mix: Type.Optional(Type.Number({ description: 'Of a ratio: of that, by another share of the traffic' })),
          rate: Type.Optional(Type.Number({ description: 'Of a ratio: of that, by another ratio within it' })),
        }),
      ),
    }),
    { description: 'Most telling first; empty: everything changed alike, or it takes too many values' },
  ),
})

const whole = (description: string, minimum: number, maximum: number, byDefault: number) =>
  Type.Optional(Type.Integer({ description, minimum, maximum, default: byDefault }))

/** Hours in which a metric was not what it usually is. */
export function addAnomalyRoute(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  server.get(
    '/v1/reports/anomalies',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['reports'],
        summary: 'Hours in which a metric was unusual for its hour of the week, and the values that explain it',
        querystring: queryOf({
          metric: Type.String({ description: 'A sum, or one sum divided by another', maxLength: 80 }),
          from: Type.Optional(
            Type.String({ description: 'First day or moment. Default: the last 24 whole hours', maxLength: 40 }),
          ),
          to: Type.Optional(
            Type.String({ description: 'Last day, included, or the moment before which. Default: now', maxLength: 40 }),
          ),
          tz: Type.Optional(
            Type.String({ description: 'IANA zone of hours. Default: that of the advertiser', maxLength: 64 }),
          ),
          currency: Type.Optional(
            Type.String({ description: 'ISO 4217. Default: that of the advertiser', maxLength: 3 }),
          ),
          weeks: whole(
            'Weeks that say what is usual',
            anomalyLimits.weeksMin,
            anomalyLimits.weeksMax,
            anomalyLimits.weeksDefault,
          ),
          sensitivity: Type.Optional(
            Type.Number({
              description: 'Deviations from the usual that make an anomaly',
              minimum: 1,
              maximum: 100,
              default: anomalyLimits.sensitivityDefault,
            }),
          ),
          min_count: whole(
            'Count of an hour (of a ratio: of what it is divided by) below which nothing is said of it',
            1,
            1_000_000_000,
            anomalyLimits.countMinDefault,
          ),
          dimensions: Type.Optional(
            Type.String({ description: 'Where an explanation is looked for, comma-separated', maxLength: 1_000 }),
          ),
          filter: Type.Optional(
            Type.String({ description: 'Only the rows that meet a rule', maxLength: FILTER_RULE_LENGTH_MAX }),
          ),
          archive: Type.Optional(
            Type.Boolean({ description: 'Read archives for what is not kept of old days; slower. Default: no' }),
          ),
          limit: whole('Anomalies', 1, anomalyLimits.anomaliesMax, anomalyLimits.anomaliesDefault),
        }),
        response: answers(
          Type.Object({
            ...{ metric: Type.String(), unit: Type.String(), timezone: Type.String(), currency: Type.String() },
            ...{ from: Type.String(), to: Type.String({ description: 'Excluded' }), weeks: Type.Integer() },
            other_currencies: reportAnswer.properties.other_currencies,
            hours_checked: Type.Integer(),
            hours_skipped: Type.Integer({ description: 'With too few weeks of data or too small numbers' }),
            anomalies: Type.Array(anomaly, { description: 'Largest score first' }),
            is_truncated: Type.Boolean({ description: 'There are more than the limit' }),
            missing_days: missingDays,
          }),
        ),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { dimensions, ...asked } = request.query
      const names = dimensions?.split(',').map((name) => name.trim()).filter((name) => name !== '') // prettier-ignore
      const parsed = parseAnomalies({ ...asked, dimensions: names }, tenant, defaultsFor(tenant, {}, api))
      if (parsed.kind !== 'asked')
        throw new RequestError(
          parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid',
          parsed.detail,
          parsed.path,
        )
      const { metric, timezone, range, weeks } = parsed.anomalies
      const answer = await findAnomalies(api.facts, tenant, parsed.anomalies)
      return {
        ...{ metric: metric.name, unit: metric.unit, timezone, weeks },
        from: new Date(range.fromMs).toISOString(),
        to: new Date(range.toMs).toISOString(),
        ...answer,
      } as never
    },
  )
}
