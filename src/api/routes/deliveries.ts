import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, ownIds, type Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import {
  attemptErrors,
  deliveryStates,
  findDelivery,
  listAllAttempts,
  listDeliveries,
  maskRequest,
  replayDelivery,
  searchWhyNot,
  waitReasons,
  whyNotReasons,
  type DeliveryFilter,
} from '#postbacks'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { archiveOf } from '../archive-of.ts'
import { attemptJson, deliveryJson, whyNotJson } from '../deliveries-json.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage, type PageAsked } from '../paging.ts'
import { waitingJson, waitingOf } from '../waiting-json.ts'
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

export const maskedRequest = Type.Object(
  {
    method: Type.String(),
    url: Type.String(),
    headers: Type.Record(Type.String(), Type.String()),
    body_head: nullable(Type.String({ description: 'First 2048 characters' })),
    is_body_cut: Type.Boolean(),
  },
  {
    description:
      'The request with its macros filled; secrets are masked, the signature and its time are those of a try',
  },
)

export const deliveryProperties = {
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
  url: Type.String({ description: 'As it is sent, before the signature is added; secrets are masked' }),
  content_type: nullable(Type.String()),
  headers: nullable(
    Type.Record(Type.String(), Type.String(), { description: 'Those of the endpoint, secrets masked' }),
  ),
  body: nullable(Type.String()),
  state: oneWord(deliveryStates, 'Where it stands, see docs/states/delivery.md'),
  reason: nullable(Type.String({ description: 'Why it was given up' })),
  meaning: nullable(Type.String({ description: 'The reason in words' })),
  attempts: Type.Integer({ description: 'Tries already made' }),
  last_http_status: nullable(Type.Integer({ description: 'Answer to the last try' })),
  last_error: nullable(Type.String({ description: 'What went wrong in the last try, see docs/reasons.md' })),
  next_at: nullable(instantText('Next try')),
  waits_for: nullable(
    oneWord(Object.keys(waitReasons), 'What it waits for besides its time, see docs/states/delivery.md'),
  ),
  waits_until: nullable(instantText('When that ends by itself')),
  finished_at: nullable(instantText('When it ended')),
}

/** What narrows the list. */
export const deliveryFilters = {
  advertiser_id: Type.Optional(idText('Of this advertiser')),
  affiliate_id: Type.Optional(idText('Of this affiliate')),
  endpoint_id: Type.Optional(idText('To this endpoint')),
  offer_id: Type.Optional(idText('Of this offer')),
  click_id: Type.Optional(uuidText('Of this click')),
  conversion_id: Type.Optional(uuidText('Of this conversion')),
  campaign_id: Type.Optional(idText('Of this campaign')),
  state: Type.Optional(oneWord(deliveryStates, 'In this state')),
  cause: Type.Optional(Type.String({ description: 'Fired by this trigger, or `test`', maxLength: 40 })),
  http_status: Type.Optional(Type.Integer({ description: 'Answer to the last try', minimum: 100, maximum: 599 })),
  error: Type.Optional(oneWord(Object.keys(attemptErrors), 'What went wrong in the last try')),
  ...timeQuery,
}

/** A page of deliveries, as the tenant sees them. */
export async function listDeliveryPage(
  api: Pick<Api, 'pool' | 'snapshots' | 'clock'>,
  tenant: Tenant,
  query: DeliveryFilter & PageAsked,
) {
  const { cursor, limit = apiLimits.pageRowsDefault, order, ...filter } = query
  const after = decodeCursor(cursor, 'number')
  const wanted = { ...ownIds(tenant), ...filter }
  const rows = await asTenant(api.pool, tenant, (tx) => listDeliveries(tx, wanted, after, limit, order))
  const waiting = await waitingOf(api, rows)
  return toPage(
    rows,
    limit,
    (row) => ({ atMs: row.created_at.getTime(), id: String(row.delivery_id) }),
    (row) => ({ ...deliveryJson(row), ...waitingJson(row, waiting) }),
  )
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
        querystring: queryOf({ ...deliveryFilters, ...pageQuery }),
        response: answers(pageOf(Type.Object(deliveryProperties))),
      },
    },
    async (request) => (await listDeliveryPage(api, principalOf(request), request.query)) as never,
  )

  server.get(
    '/v1/deliveries/:delivery_id',
    {
      config: everybody,
      schema: {
        tags: ['postbacks'],
        summary: 'One outbound postback with every try',
        params: parameters,
        response: answers(
          Type.Object({
            ...deliveryProperties,
            request: maskedRequest,
            tries: Type.Array(openObject('An HTTP try'), { description: 'Oldest first, wherever they are kept' }),
          }),
        ),
      },
    },
    async (request) => {
      const { row, tries } = await asTenant(api.pool, principalOf(request), async (tx) => {
        const row = await findDelivery(tx, BigInt(request.params.delivery_id))
        if (row === undefined) throw new WaypostError('not_found')
        return { row, tries: await listAllAttempts(tx, archiveOf(api), [row]) }
      })
      const waits = waitingJson(row, await waitingOf(api, [row]))
      const endpoint = api.snapshots.current()?.endpoints.find((one) => one.endpoint_id === row.endpoint_id)
      return {
        ...deliveryJson(row),
        ...waits,
        request: maskRequest(row, endpoint),
        tries: tries.map(attemptJson),
      } as never
    },
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

  server.get(
    '/v1/why-not',
    {
      config: everybody,
      schema: {
        tags: ['postbacks'],
        summary: 'What was not sent although an endpoint fits, and why, newest first',
        querystring: queryOf({
          advertiser_id: Type.Optional(idText('Of this advertiser')),
          affiliate_id: Type.Optional(idText('Of this affiliate')),
          endpoint_id: Type.Optional(idText('Not to this endpoint')),
          click_id: Type.Optional(uuidText('Of this click')),
          conversion_id: Type.Optional(uuidText('Of this conversion')),
          cause: Type.Optional(Type.String({ description: 'Fired by this trigger', maxLength: 40 })),
          reason: Type.Optional(oneWord(Object.keys(whyNotReasons), 'For this reason')),
          ...timeQuery,
          ...pageQuery,
        }),
        response: answers(pageOf(openObject('What was not sent, and why'))),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, ...filter } = request.query
      const after = whyNotPlace(cursor)
      const tenant = principalOf(request)
      const wanted = { ...ownIds(tenant), ...filter }
      const rows = await asTenant(api.pool, tenant, (tx) => searchWhyNot(tx, wanted, after, limit))
      return toPage(
        rows,
        limit,
        (row) => ({ atMs: row.at.getTime(), id: `${row.event_id}~${row.endpoint_id}` }),
        whyNotJson,
      ) as never
    },
  )
}

/** @throws {RequestError} a cursor of another list */
function whyNotPlace(cursor: string | undefined) {
  const place = decodeCursor(cursor, 'pair')
  return place && { atMs: place.atMs, eventId: place.id.slice(0, 36), endpointId: place.id.slice(37) }
}
