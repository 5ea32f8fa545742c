import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, ownIds } from '#accounts'
import { changeStatus, correctAmounts } from '#conversions'
import { WaypostError } from '#platform/errors'
import { parseAmount } from '#platform/money'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import {
  conversionJson,
  findConversion,
  listBalances,
  listBookings,
  listConversions,
  listRevisions,
} from '../conversions-store.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import {
  amountText,
  answers,
  idText,
  instantText,
  nullable,
  oneWord,
  openObject,
  pageOf,
  pageQuery,
  queryOf,
  timeQuery,
  uuidText,
} from '../schemas.ts'

const statuses = ['pending', 'approved', 'rejected'] as const

const conversion = Type.Object({
  conversion_id: uuidText('Conversion'),
  advertiser_id: Type.String(),
  click_id: uuidText('Click that earned it'),
  type: oneWord(['lead', 'sale'], 'Type'),
  goal: Type.String({ description: "Event name or the partner's goal" }),
  txid: Type.String({ description: 'Transaction id; `-`: none' }),
  affiliate_id: nullable(Type.String()),
  campaign_id: nullable(Type.String()),
  offer_id: Type.String(),
  status: oneWord(statuses, 'Status'),
  raw_status: nullable(Type.String({ description: "The partner's own word" })),
  hold_until: nullable(instantText('When an approved payout leaves hold')),
  is_hold_released: Type.Boolean(),
  payout: amountText('Owed to the affiliate'),
  revenue: Type.Optional(amountText('Earned from the advertiser; not shown to affiliates')),
  sale_amount: amountText('Size of the sale'),
  currency: Type.String(),
  revision: Type.Integer({ description: 'Counts its states from 1' }),
  created_at: instantText('When it happened'),
  updated_at: instantText('When it got its present state'),
  fraud: Type.Optional(
    nullable(
      openObject(
        'The fraud verdict on it when it was made: action, score, reasons, sentences; not shown to affiliates',
      ),
    ),
  ),
})

const conversionPage = Type.Object({
  conversion,
  revisions: Type.Array(openObject('A state that it had, with its cause')),
  bookings: Type.Array(openObject('An entry of the ledger; debit is positive, credit negative')),
})

const parameters = Type.Object({ conversion_id: uuidText('Conversion') })

export function addConversionRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const everybody = readableBy('owner', 'advertiser', 'affiliate')

  server.get(
    '/v1/conversions',
    {
      config: everybody,
      schema: {
        tags: ['conversions'],
        summary: 'Conversions, newest first',
        querystring: queryOf({
          advertiser_id: Type.Optional(idText('Of this advertiser')),
          affiliate_id: Type.Optional(idText('Of this affiliate')),
          campaign_id: Type.Optional(idText('Of this campaign')),
          offer_id: Type.Optional(idText('Of this offer')),
          click_id: Type.Optional(uuidText('Of this click')),
          status: Type.Optional(oneWord(statuses, 'Of this status')),
          type: Type.Optional(oneWord(['lead', 'sale'], 'Of this type')),
          ...timeQuery,
          ...pageQuery,
        }),
        response: answers(pageOf(conversion)),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { cursor, limit = apiLimits.pageRowsDefault, ...filter } = request.query
      const after = decodeCursor(cursor, 'uuid')
      // A filter for another tenant meets row-level security and finds nothing.
      const rows = await asTenant(api.pool, tenant, (tx) =>
        listConversions(tx, { ...ownIds(tenant), ...filter }, after, limit),
      )
      return toPage(
        rows,
        limit,
        (row) => ({ atMs: row.created_at.getTime(), id: row.conversion_id }),
        (row) => conversionJson(row, tenant) as never,
      ) as never
    },
  )

  server.get(
    '/v1/conversions/:conversion_id',
    {
      config: everybody,
      schema: {
        tags: ['conversions'],
        summary: 'One conversion with its states and bookings',
        params: parameters,
        response: answers(conversionPage),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      return asTenant(api.pool, tenant, async (tx) => {
        const row = await findConversion(tx, request.params.conversion_id)
        if (row === undefined) throw new WaypostError('not_found')
        const ids = [row.conversion_id]
        return {
          conversion: conversionJson(row, tenant) as never,
          revisions: [...(await listRevisions(tx, ids, tenant))],
          bookings: [...(await listBookings(tx, ids))],
        }
      })
    },
  )

  server.post(
    '/v1/conversions/:conversion_id/status',
    {
      config: writableBy('owner', 'advertiser'),
      schema: {
        tags: ['conversions'],
        summary: 'Approve, reject or put back a conversion, with its bookings and postbacks',
        params: parameters,
        body: Type.Object({ status: oneWord(statuses, 'The new status') }, { additionalProperties: false }),
        response: answers(conversion),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const snapshot = api.snapshots.current()
      if (snapshot === undefined) throw new WaypostError('not_ready')
      const conversionId = request.params.conversion_id
      const change = await changeStatus(api.pool, snapshot, {
        conversionId,
        status: request.body.status,
        by: `API key ${tenant.name}`,
        at: api.clock.now(),
        ...(tenant.role === 'advertiser' && { advertiserId: tenant.advertiserId }),
      })
      if (change.kind === 'not_found') throw new WaypostError('not_found')
      if (change.kind === 'refused')
        throw new RequestError(
          'conflict',
          change.reason === 'duplicate' ? 'it has this status already' : 'this change is not legal',
          'status',
        )
      const row = await asTenant(api.pool, tenant, (tx) => findConversion(tx, conversionId))
      if (row === undefined) throw new WaypostError('not_found')
      return conversionJson(row, tenant) as never
    },
  )

  server.post(
    '/v1/conversions/:conversion_id/amounts',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['conversions'],
        summary: 'Correct the payout and the revenue of one conversion, with its bookings and postbacks',
        params: parameters,
        body: Type.Object(
          {
            payout: Type.Optional(amountText('Owed to the affiliate, of the currency of the conversion')),
            revenue: Type.Optional(amountText('Owed by the advertiser')),
            reason: Type.String({ description: 'Why, for the record', minLength: 1, maxLength: 500, pattern: '\\S' }),
          },
          { additionalProperties: false, minProperties: 2 },
        ),
        response: answers(conversion),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const snapshot = api.snapshots.current()
      if (snapshot === undefined) throw new WaypostError('not_ready')
      const conversionId = request.params.conversion_id
      const { payout, revenue, reason } = request.body
      const correction = await correctAmounts(api.pool, snapshot, {
        conversionId,
        payoutMicros: readAmount('payout', payout),
        revenueMicros: readAmount('revenue', revenue),
        reason: reason.trim(),
        by: `API key ${tenant.name}`,
        at: api.clock.now(),
      })
      if (correction.kind === 'not_found') throw new WaypostError('not_found')
      if (correction.kind === 'refused') throw new RequestError('conflict', correctionRefusals[correction.reason])
      const row = await asTenant(api.pool, tenant, (tx) => findConversion(tx, conversionId))
      if (row === undefined) throw new WaypostError('not_found')
      return conversionJson(row, tenant) as never
    },
  )

  server.get(
    '/v1/balances',
    {
      config: everybody,
      schema: {
        tags: ['conversions'],
        summary: 'Balances of the ledger, account by account',
        querystring: queryOf({
          advertiser_id: Type.Optional(idText('Of this advertiser')),
          affiliate_id: Type.Optional(idText('Of this affiliate')),
          limit: Type.Optional(
            Type.Integer({ description: 'Accounts', minimum: 1, maximum: BALANCES_MAX, default: BALANCES_MAX }),
          ),
        }),
        response: answers(
          Type.Object({
            items: Type.Array(balance),
            is_truncated: Type.Boolean({ description: 'There are more accounts than the limit' }),
          }),
        ),
      },
    },
    async (request) => {
      const { limit = BALANCES_MAX, ...filter } = request.query
      const rows = await asTenant(api.pool, principalOf(request), (tx) => listBalances(tx, filter, limit + 1))
      return { items: rows.slice(0, limit) as never, is_truncated: rows.length > limit }
    },
  )
}

const correctionRefusals = {
  duplicate: 'it has these amounts already',
  rejected: 'a rejected conversion is worth nothing',
  no_affiliate: 'it has no affiliate who could be paid',
} as const

/** @returns undefined: it is not given */
function readAmount(field: string, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined
  const amount = parseAmount(text)
  if (amount === undefined || amount < 0n)
    throw new RequestError('request_invalid', 'must be a decimal amount such as 12.50, not below 0', field)
  return amount
}

const BALANCES_MAX = 1_000

const balance = Type.Object({
  advertiser_id: Type.String(),
  account: Type.String({
    description:
      '`affiliate/hold`, `affiliate/approved`, `affiliate/paid`, `advertiser/hold`, `advertiser/spend`, `platform/revenue`, `platform/payout_cost`',
  }),
  affiliate_id: Type.Optional(Type.String()),
  currency: Type.String(),
  balance: amountText(
    'Sum of the entries: debit is positive, credit negative; an affiliate is owed what is below zero',
  ),
  entries: Type.Integer(),
})
