import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { apiLimits } from '../limits.ts'
import { listCaps } from '../list-caps.ts'
import { answers, idText, instantText, nullable, oneWord, queryOf } from '../schemas.ts'

const amount = (description: string) =>
  Type.String({ description: `${description}: clicks or conversions, or an amount of the currency; decimal text` })

const capRow = Type.Object({
  offer_id: Type.String(),
  advertiser_id: Type.String(),
  cap_id: Type.String(),
  metric: oneWord(['clicks', 'conversions', 'payout', 'revenue'], 'What is counted'),
  mode: oneWord(['hard', 'soft'], 'Whether clicks hold what they may bring'),
  period: oneWord(['hour', 'day', 'week', 'month', 'total'], 'How long it counts'),
  period_start: nullable(instantText('In the zone of the advertiser; null: `total`')),
  period_end: nullable(instantText('The first moment after it')),
  currency: nullable(Type.String({ description: 'Of payout and revenue' })),
  values: Type.Record(Type.String(), Type.String(), {
    description: 'What this count is for, by the dimensions of the cap; empty text: clicks without a value',
  }),
  fingerprint: Type.Optional(
    Type.String({
      description: 'In place of values that are long or hold other characters than letters, digits, _ and -',
    }),
  ),
  limit: amount('How much it takes'),
  used: amount('Counted in the period'),
  held: amount('Held by clicks that may still convert'),
  share: Type.Number({ description: 'Used and held of the limit; 1 and more: full' }),
})

/** How full caps are. The counts are those of this machine. */
export function addCapRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  server.get(
    '/v1/caps',
    {
      config: readableBy('owner', 'advertiser'),
      schema: {
        tags: ['caps'],
        summary: 'How full the caps of offers are now, the fullest first',
        querystring: queryOf({
          advertiser_id: Type.Optional(idText('Of this advertiser')),
          offer_id: Type.Optional(idText('Of this offer')),
          limit: Type.Optional(
            Type.Integer({
              description: 'Rows',
              minimum: 1,
              maximum: apiLimits.capRowsMax,
              default: apiLimits.capRowsMax,
            }),
          ),
        }),
        response: answers(
          Type.Object({
            items: Type.Array(capRow),
            is_truncated: Type.Boolean({ description: 'There are more rows than the limit' }),
          }),
        ),
      },
    },
    async (request) => {
      const { limit = apiLimits.capRowsMax, ...filter } = request.query
      const snapshot = api.snapshots.current()
      if (snapshot === undefined) throw new WaypostError('not_ready')
      if (api.caps === undefined) throw new WaypostError('not_ready', 'This process does not see the counts of caps.')
      const wanted = { ...filter, ofTenant: advertiserOf(principalOf(request)) }
      const rows = listCaps(snapshot, api.caps, wanted, api.clock.now())
      return { items: rows.slice(0, limit) as never, is_truncated: rows.length > limit }
    },
  )
}

const advertiserOf = (tenant: Tenant): string | undefined =>
  tenant.role === 'advertiser' ? tenant.advertiserId : undefined
