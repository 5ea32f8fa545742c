import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, ownIds, type Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import { deliveryStates, findDelivery, listAttempts, listDeliveries, replayDelivery, sendTest } from '#postbacks'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { attemptJson, deliveryJson } from '../deliveries-json.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import {
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

const deliveryProperties = {
  delivery_id: Type.String({ description: 'Delivery' }),
  created_at: instantText('When its conversion was booked'),
  endpoint_id: Type.String(),
  event_id: Type.String({ description: 'The same in every try and replay: `webhook-id`' }),
  replay_no: Type.Integer({ description: '0: the first delivery; each replay counts one up' }),
  kind: Type.String({ description: 'auto, replay or test' }),
  cause: Type.String({ description: 'The trigger' }),
  advertiser_id: nullable(Type.String()),
  affiliate_id: nullable(Type.String()),
  campaign_id: nullable(Type.String()),
  offer_id: nullable(Type.String()),
  click_id: Type.String(),
  conversion_id: nullable(Type.String()),
  conversion_revision: nullable(Type.Integer()),
  method: Type.String(),
  url: Type.String({ description: 'As it is sent, before the signature is added' }),
  content_type: nullable(Type.String()),
  body: nullable(Type.String()),
  state: oneWord(deliveryStates, 'Where it stands, see docs/states/delivery.md'),
  reason: nullable(Type.String({ description: 'Why it was given up' })),
  meaning: nullable(Type.String({ description: 'The reason in words' })),
  attempts: Type.Integer({ description: 'Tries already made' }),
  last_http_status: nullable(Type.Integer({ description: 'Answer to the last try' })),
  last_error: nullable(Type.String({ description: 'What went wrong in the last try, see docs/reasons.md' })),
  next_at: nullable(instantText('Next try')),
  finished_at: nullable(instantText('When it ended')),
}

export function addDeliveryRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const everybody = readableBy('owner', 'advertiser', 'affiliate')
  const parameters = Type.Object({ delivery_id: Type.String({ pattern: '^[0-9]{1,18}$', description: 'Delivery' }) })

  server.get(
    '/v1/deliveries',
    {
      config: everybody,
      schema: {
        tags: ['postbacks'],
        summary: 'Outbound postbacks, newest first',
        querystring: queryOf({
          advertiser_id: Type.Optional(idText('Of this advertiser')),
          affiliate_id: Type.Optional(idText('Of this affiliate')),
          endpoint_id: Type.Optional(idText('To this endpoint')),
          offer_id: Type.Optional(idText('Of this offer')),
          click_id: Type.Optional(uuidText('Of this click')),
          conversion_id: Type.Optional(uuidText('Of this conversion')),
          state: Type.Optional(oneWord(deliveryStates, 'In this state')),
          ...timeQuery,
          ...pageQuery,
        }),
        response: answers(pageOf(Type.Object(deliveryProperties))),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, ...filter } = request.query
      const after = decodeCursor(cursor)
      const tenant = principalOf(request)
      const wanted = { ...ownIds(tenant), ...filter }
      const rows = await asTenant(api.pool, tenant, (tx) => listDeliveries(tx, wanted, after, limit))
      return toPage(
        rows,
        limit,
        (row) => ({ atMs: row.created_at.getTime(), id: String(row.delivery_id) }),
        deliveryJson,
      ) as never
    },
  )

  server.get(
    '/v1/deliveries/:delivery_id',
    {
      config: everybody,
      schema: {
        tags: ['postbacks'],
        summary: 'One outbound postback with every try',
        params: parameters,
        response: answers(Type.Object({ ...deliveryProperties, tries: Type.Array(openObject('An HTTP try')) })),
      },
    },
    async (request) =>
      asTenant(api.pool, principalOf(request), async (tx) => {
        const row = await findDelivery(tx, BigInt(request.params.delivery_id))
        if (row === undefined) throw new WaypostError('not_found')
        const tries = await listAttempts(tx, [row.delivery_id])
        return { ...deliveryJson(row), tries: tries.map(attemptJson) } as never
      }),
  )

  server.post(
    '/v1/deliveries/:delivery_id/replay',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary: 'Send an outbound postback once more, whatever became of it',
        params: parameters,
        response: answers(Type.Object({ delivery_id: Type.String({ description: 'The new delivery' }) }), 201),
      },
    },
    async (request, reply) => {
      const deliveryId = BigInt(request.params.delivery_id)
      const own = await asTenant(api.pool, principalOf(request), (tx) => findDelivery(tx, deliveryId))
      const replay = own && (await replayDelivery(api.pool, deliveryId))
      if (replay?.kind === 'refused')
        throw new RequestError('conflict', `it is not replayed: ${replay.reason}`, 'delivery_id')
      if (replay?.kind !== 'replayed') throw new WaypostError('not_found')
      return reply.code(201).send({ delivery_id: String(replay.deliveryId) })
    },
  )

  server.post(
    '/v1/endpoints/:endpoint_id/test',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary: 'Send a made-up sale to an endpoint; it books nothing',
        params: Type.Object({ endpoint_id: idText('Endpoint') }),
        response: answers(testAnswer, 201),
      },
    },
    async (request, reply) => {
      const snapshot = api.snapshots.current()
      if (snapshot === undefined) throw new WaypostError('not_ready')
      const { endpoint_id } = request.params
      if (!(await ownsEndpoint(api, principalOf(request), endpoint_id))) throw new WaypostError('not_found')
      const test = await sendTest(api.pool, endpoint_id, snapshot, api.clock.now())
      if (test.kind === 'refused' && test.reason === 'endpoint_unknown') throw new WaypostError('not_found')
      if (test.kind === 'refused') throw new RequestError('conflict', `it is not sent: ${test.reason}`, 'endpoint_id')
      const { deliveryId, method, url, body = null } = test
      return reply.code(201).send({ delivery_id: String(deliveryId), method, url, body })
    },
  )
}

const testAnswer = Type.Object({
  delivery_id: Type.String({ description: 'GET /v1/deliveries/:delivery_id then shows what the receiver answered' }),
  method: Type.String(),
  url: Type.String({ description: 'With its macros filled' }),
  body: nullable(Type.String()),
})

const OWN_ENDPOINT = 'SELECT endpoint_id FROM postback_endpoints WHERE endpoint_id = $1'

const ownsEndpoint = async (api: Api, tenant: Tenant, endpointId: string): Promise<boolean> =>
  asTenant(api.pool, tenant, async (tx) => (await tx.query(OWN_ENDPOINT, [endpointId])).rows.length > 0)
