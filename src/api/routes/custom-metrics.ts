import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import {
  CUSTOM_METRICS_MAX,
  defineMetric,
  dropCustomMetric,
  FORMULA_LENGTH_MAX,
  keepCustomMetric,
  listCustomMetrics,
  type KeptMetric,
} from '#reports'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { answers, instantText, nullable, oneWord, queryOf } from '../schemas.ts'

const formats = ['integer', 'decimal', 'percent', 'money', 'duration'] as const

const customMetric = Type.Object({
  name: Type.String(),
  title: Type.String(),
  description: Type.String(),
  formula: Type.String(),
  unit: nullable(
    Type.String({ description: 'count, money, ratio or seconds; null: this key may not see a metric of the formula' }),
  ),
  format: nullable(oneWord(formats, 'How its numbers are shown; null: as its unit is')),
  created_at: instantText('When it was made'),
  updated_at: instantText('When it was last changed'),
})

const wanted = Type.Object(
  {
    formula: Type.String({
      description: 'Over metrics of `GET /v1/reports/schema`: `(revenue - cost) / clicks`',
      minLength: 1,
      maxLength: FORMULA_LENGTH_MAX,
    }),
    title: Type.Optional(Type.String({ description: 'Head of its column', minLength: 1, maxLength: 100 })),
    description: Type.Optional(Type.String({ maxLength: 500 })),
    format: Type.Optional(oneWord(formats, 'How its numbers are shown. Default: as its unit is')),
  },
  { additionalProperties: false },
)

const place = Type.Object({
  name: Type.String({ description: 'a-z, digits and "_", a letter first', minLength: 1, maxLength: 50 }),
})

/** Metrics that a tenant makes of others. */
export function addCustomMetricRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/reports/metrics',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['reports'],
        summary: 'Your metrics by formula',
        querystring: queryOf({}),
        response: answers(Type.Object({ items: Type.Array(customMetric) })),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      return { items: (await listCustomMetrics(api.pool, tenant)).map((kept) => toJson(kept, tenant)) }
    },
  )

  server.put(
    '/v1/reports/metrics/:name',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['reports'],
        summary: 'Make a metric of others by a formula, or change one',
        params: place,
        body: wanted,
        response: answers(customMetric),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const metric = { ...request.body, name: request.params.name }
      const defined = defineMetric(metric, tenant.role)
      if (defined.kind === 'hidden')
        throw new RequestError('forbidden', `"${defined.metric}" is not shown to an ${tenant.role}`, 'formula')
      if (defined.kind === 'invalid') throw new RequestError('request_invalid', defined.message, defined.of)
      const kept = await keepCustomMetric(api.pool, tenant, metric)
      if (kept === undefined)
        throw new RequestError('conflict', `there are ${CUSTOM_METRICS_MAX} metrics already; delete one first`, 'name')
      return toJson(kept, tenant)
    },
  )

  server.delete(
    '/v1/reports/metrics/:name',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['reports'],
        summary: 'Forget a metric by formula; reports that name it are refused from then on',
        params: place,
        response: answers(place),
      },
    },
    async (request) => {
      const { name } = request.params
      if (!(await dropCustomMetric(api.pool, principalOf(request), name))) throw new WaypostError('not_found')
      return { name }
    },
  )
}

function toJson({ created_at, updated_at, ...kept }: KeptMetric, { role }: Tenant) {
  const defined = defineMetric({ ...kept, format: kept.format ?? undefined }, role)
  return {
    ...kept,
    unit: defined.kind === 'metric' ? defined.metric.unit : null,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  }
}
