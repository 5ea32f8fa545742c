import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, type Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import {
  attemptErrors,
  cancelReplay,
  countReplay,
  createReplay,
  endedStates,
  listReplays,
  replayLimits,
  type ReplayRow,
} from '#postbacks'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
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
  uuidText,
} from '../schemas.ts'

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
  },
  { additionalProperties: false, description: 'Every part that is given must fit; tests of endpoints never do' },
)

const skipped = Type.Record(Type.String(), Type.Integer(), {
  description: 'Not sent, by reason; see docs/states/delivery.md',
})

const replayShape = Type.Object({
  replay_id: Type.String(),
  created_at: instantText('When it was asked for'),
  created_by: Type.String({ description: 'Name of the API key' }),
  filter: openObject('As it was asked for'),
  per_minute: Type.Integer(),
  state: oneWord(['running', 'done', 'cancelled'], 'What it is doing'),
  replayed: Type.Integer({ description: 'New deliveries made' }),
  skipped,
  progress: Type.Number({ description: '0 to 1: how far it is in the time that it covers' }),
  finished_at: nullable(instantText('When it ended')),
})

const counted = Type.Object({
  dry_run: Type.Literal(true),
  replayed: Type.Integer({ description: 'Would be sent' }),
  skipped,
  is_cut: Type.Boolean({ description: `More than ${replayLimits.countMax} fit; no more are counted` }),
})

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
          dry_run: Type.Optional(Type.Boolean({ description: 'Only count', default: true })),
        }),
        body: Type.Object(
          {
            filter,
            per_minute: Type.Optional(
              Type.Integer({
                description: 'New deliveries in a minute at most',
                minimum: 1,
                maximum: replayLimits.perMinuteMax,
                default: replayLimits.perMinuteDefault,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { ...answers(counted), ...answers(replayShape, 201) },
      },
    },
    async (request, reply) => {
      const { filter: wanted, per_minute: perMinute = replayLimits.perMinuteDefault } = request.body
      const tenant = principalOf(request)
      if (request.query.dry_run !== false) {
        const { isCut, ...counts } = await asTenant(api.pool, tenant, (tx) => countReplay(tx, wanted as never, tenant))
        return reply.send({ dry_run: true, ...counts, is_cut: isCut } as never)
      }
      const replay = await createReplay(api.pool, {
        filter: wanted as never,
        perMinute,
        by: tenant.name,
        tenant,
        nowMs: api.clock.now(),
      })
      if (replay === undefined)
        throw new RequestError('conflict', `${replayLimits.runningMax} replays are running; wait for one to end`)
      return reply.code(201).send(replayJson(replay) as never)
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
      const after = decodeCursor(cursor)
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

function replayJson({ created_at, replayed, finished_at, cursor_at, to_at, ...rest }: ReplayRow): object {
  const fromMs = Date.parse(rest.filter.from)
  const span = to_at.getTime() - fromMs
  const done = span <= 0 || rest.state === 'done' ? 1 : (cursor_at.getTime() - fromMs) / span
  return {
    ...rest,
    created_at: created_at.toISOString(),
    replayed: Number(replayed),
    progress: Math.min(1, Math.max(0, done)),
    finished_at: finished_at?.toISOString() ?? null,
  }
}
