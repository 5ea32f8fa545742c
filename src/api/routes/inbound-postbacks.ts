import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, ownIds, type Tenant } from '#accounts'
import { replayInboundPostbacks } from '#conversions'
import { WaypostError } from '#platform/errors'
import { parseClickId } from '#platform/ids'
import { decodeClick, refusalReasons, type ClickRecord, type RefusalReason } from '#records'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { inboundJson, listInbound, type InboundFilter } from '../inbound-store.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage, type PageAsked } from '../paging.ts'
import {
  amountText,
  answers,
  idText,
  instantText,
  nullable,
  oneWord,
  pageOf,
  pageQuery,
  queryOf,
  timeQuery,
  uuidText,
} from '../schemas.ts'

const outcomes = ['converted', 'updated', 'refused'] as const
const reasons = Object.keys(refusalReasons) as RefusalReason[]

export const inboundPostback = Type.Object({
  postback_id: uuidText('Postback'),
  received_at: instantText('When it came'),
  via: Type.String({ description: '`postback` or `pixel`' }),
  advertiser_id: nullable(Type.String()),
  offer_id: nullable(Type.String()),
  click_id: nullable(Type.String()),
  raw_click_id: nullable(Type.String({ description: 'As received' })),
  raw_status: nullable(Type.String({ description: 'As received' })),
  raw_goal: nullable(Type.String({ description: 'As received' })),
  txid: nullable(Type.String()),
  amount: nullable(amountText('What the sender says it pays')),
  sale_amount: nullable(amountText('Size of the sale')),
  currency: nullable(Type.String()),
  ip: nullable(Type.String()),
  raw: Type.String({ description: 'As received, secrets masked' }),
  outcome: oneWord(outcomes, 'What became of it'),
  reason: nullable(Type.String({ description: 'Why it was refused, see docs/reasons.md' })),
  conversion_id: nullable(Type.String()),
})

/** What narrows the list. */
export const inboundFilters = {
  advertiser_id: Type.Optional(idText('Of this advertiser')),
  offer_id: Type.Optional(idText('Of this offer')),
  click_id: Type.Optional(uuidText('Of this click')),
  outcome: Type.Optional(oneWord(outcomes, 'With this outcome')),
  reason: Type.Optional(oneWord(reasons, 'Refused for this reason')),
  ...timeQuery,
}

const REPLAY_IDS_MAX = 1_000

/** What an advertiser's server sent us; affiliates have no part in it. */
export function addInboundPostbackRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/inbound-postbacks',
    {
      config: readableBy('owner', 'advertiser'),
      schema: {
        tags: ['postbacks'],
        summary: 'Postbacks and pixels that came in, refused ones too, newest first',
        querystring: queryOf({ ...inboundFilters, ...pageQuery }),
        response: answers(pageOf(inboundPostback)),
      },
    },
    async (request) => (await listInboundPage(api, principalOf(request), request.query)) as never,
  )

  server.post(
    '/v1/inbound-postbacks/replay',
    {
      config: writableBy('owner', 'advertiser'),
      schema: {
        tags: ['postbacks'],
        summary: 'Judge refused postbacks again after their mistake was mended; all given parts must fit',
        body: Type.Object(
          {
            postback_ids: Type.Optional(Type.Array(uuidText('Postback'), { minItems: 1, maxItems: REPLAY_IDS_MAX })),
            offer_id: Type.Optional(idText('Of this offer')),
            reason: Type.Optional(oneWord(reasons, 'Refused for this reason')),
            ...timeQuery,
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            converted: Type.Integer({ description: 'That made a conversion' }),
            updated: Type.Integer({ description: 'That changed one' }),
            refused: Type.Integer({ description: 'That stay refused' }),
          }),
        ),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { postback_ids, offer_id, reason, from, to } = request.body
      if (Object.keys(request.body).length === 0)
        throw new RequestError(
          'request_invalid',
          'name at least one part, or everything ever refused would be replayed',
        )
      const snapshot = api.snapshots.current()
      if (snapshot === undefined) throw new WaypostError('not_ready')
      return replayInboundPostbacks(api.pool, snapshot, (clickId) => findClickRecord(api, clickId), {
        ...(postback_ids && { postbackIds: postback_ids }),
        ...(offer_id && { offerId: offer_id }),
        ...(reason && { reason }),
        ...(from && { receivedFrom: new Date(from) }),
        ...(to && { receivedTo: new Date(to) }),
        ...(tenant.role === 'advertiser' && { advertiserId: tenant.advertiserId }),
      })
    },
  )
}

/** The click as it was logged, from the click index. */
export function findClickRecord({ hotState }: Pick<Api, 'hotState'>, clickId: string): ClickRecord | undefined {
  const parsed = parseClickId(clickId)
  const payload = parsed && hotState.getClick(parsed)
  return payload && decodeClick(payload)
}

type InboundQuery = InboundFilter & PageAsked

/** A page of what came in, as the tenant sees it. */
export async function listInboundPage(api: Pick<Api, 'pool'>, tenant: Tenant, query: InboundQuery) {
  const { cursor, limit = apiLimits.pageRowsDefault, order, ...filter } = query
  const after = decodeCursor(cursor, 'uuid')
  const wanted = { ...ownIds(tenant), ...filter }
  const rows = await asTenant(api.pool, tenant, (tx) => listInbound(tx, wanted, after, limit, order))
  return toPage(rows, limit, (row) => ({ atMs: row.received_at.getTime(), id: row.postback_id }), inboundJson)
}
