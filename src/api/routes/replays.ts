import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, type Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import { attemptErrors, cancelReplay, endedStates, listReplays, type ReplayFilter, type ReplayRow } from '#postbacks'

import type { Api } from '../api.ts'
import { askReplay, dryRun, perMinute, replayAnswers, replayJson, replayShape } from '../ask-replay.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import { answers, idText, instantText, oneWord, pageOf, pageQuery, queryOf, uuidText } from '../schemas.ts'

const filter = Type.Object(
  {
    from: instantText('Deliveries made at or after'),
    to: Type.Optional(instantText('Deliveries made before; left out: until now')),
    endpoint_id: Type.Optional(idText('To this endpoint')),
    advertiser_id: Type.Optional(idText('Of this advertiser')),
    affiliate_id: Type.Optional(idText('Of this affiliate')),
    campaign_id: Type.Optional(idText('Of this campaign')),
    offer_id: Type.Optional(idText('Of this offer')),
    cause: Type.Optional(Type.String({ description: 'Fired by this trigger', maxLength: 40 })),
    state: Type.Optional(oneWord(endedStates, 'That ended so')),
    http_status: Type.Optional(Type.Integer({ description: 'Answer to the last try', minimum: 100, maximum: 599 })),
    error: Type.Optional(oneWord(Object.keys(attemptErrors), 'What went wrong in the last try')),
    ended_from: Type.Optional(instantText('That ended at or after')),
    missed: Type.Optional(Type.Boolean({ description: 'That ended without success: given up or quarantined' })),
  },
  { additionalProperties: false, description: 'Every part that is given must fit; tests of endpoints never do' },
)

export function addReplayRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const parameters = Type.Object({ replay_id: uuidText('Replay') })
  const readers = readableBy('owner', 'advertiser', 'affiliate')
  const writers = writableBy('owner', 'advertiser', 'affiliate')

  server.post(
    '/v1/replays',
    {
      config: writers,
      schema: {
        tags: ['postbacks'],
        summary: 'Send deliveries that fit a filter once more, under the same event ids; at first only count them',
        querystring: queryOf({
          dry_run: Type.Optional(dryRun),
        }),
        body: Type.Object(
          {
            filter,
            per_minute: Type.Optional(perMinute),
          },
          { additionalProperties: false },
        ),
        response: replayAnswers,
      },
    },
    async (request, reply) => {
      const { filter: wanted, per_minute: perMinute } = request.body
      const asked = { filter: wanted as ReplayFilter, perMinute, isDryRun: request.query.dry_run !== false }
      const { status, body } = await askReplay(api, principalOf(request), asked)
      return reply.code(status).send(body as never)
    },
  )

  server.get(
    '/v1/replays',
    {
      config: readers,
      schema: {
        tags: ['postbacks'],
        summary: 'Replays, newest first',
        querystring: queryOf({
          state: Type.Optional(oneWord(['running', 'done', 'cancelled'], 'In this state')),
          ...pageQuery,
        }),
        response: answers(pageOf(replayShape)),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, state } = request.query
      const after = decodeCursor(cursor, 'uuid')
      const rows = await asTenant(api.pool, principalOf(request), (tx) => listReplays(tx, { state }, after, limit))
      return toPage(rows, limit, (row) => ({ atMs: row.created_at.getTime(), id: row.replay_id }), replayJson) as never
    },
  )

  server.get(
    '/v1/replays/:replay_id',
    {
      config: readers,
      schema: {
        tags: ['postbacks'],
        summary: 'One replay and how far it is',
        params: parameters,
        response: answers(replayShape),
      },
    },
    async (request) => replayJson(await findReplay(api, principalOf(request), request.params.replay_id)) as never,
  )

  server.post(
    '/v1/replays/:replay_id/cancel',
    {
      config: writers,
      schema: {
        tags: ['postbacks'],
        summary: 'End a replay where it stands; what it has made is sent',
        params: parameters,
        response: answers(replayShape),
      },
    },
    async (request) => {
      const { replay_id } = request.params
      await findReplay(api, principalOf(request), replay_id)
      await cancelReplay(api.pool, replay_id)
      return replayJson(await findReplay(api, principalOf(request), replay_id)) as never
    },
  )
}

async function findReplay(api: Api, tenant: Tenant, replayId: string): Promise<ReplayRow> {
  const [row] = await asTenant(api.pool, tenant, (tx) => listReplays(tx, { replay_id: replayId }, undefined, 1))
  if (row === undefined) throw new WaypostError('not_found')
  return row
}
