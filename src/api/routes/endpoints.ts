import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { KEEP_HOURS_DEFAULT, KEEP_HOURS_MAX, rotateSecret } from '#configuration'
import { WaypostError } from '#platform/errors'
import { enableEndpoint, listFailing, readHeld, readQuotaUse, readWaiting, missedFilter, waitReasons } from '#postbacks'
import type { PostbackEndpoint } from '#routing'

import type { Api } from '../api.ts'
import { askReplay, dryRun, perMinute, replayAnswers } from '../ask-replay.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { ownsEndpoint } from '../own-endpoint.ts'
import { answers, idText, instantText, nullable, oneWord, queryOf } from '../schemas.ts'

const stateAnswer = Type.Object({
  endpoint_id: Type.String(),
  status: oneWord(['active', 'paused'], 'In the configuration'),
  waits_for: nullable(oneWord(Object.keys(waitReasons), 'Why its deliveries wait, see docs/states/delivery.md')),
  waits_until: nullable(instantText('When that ends by itself')),
  meaning: nullable(Type.String({ description: 'The reason in words' })),
  held: Type.Array(
    Type.Object({
      reason: oneWord(['paused_affiliate', 'paused_advertiser'], 'Why'),
      object_id: Type.String({ description: 'Who is paused' }),
      count: Type.Integer({ description: 'Due deliveries about it' }),
    }),
  ),
  failing_since: nullable(instantText('First failure after the last success')),
  last_failure_at: nullable(instantText('Last failure')),
  disabled_at: nullable(instantText('Since when it is disabled')),
  probe_at: nullable(instantText('When one delivery asks whether the receiver is back')),
  quota: nullable(
    Type.Object({
      count: Type.Integer({ description: 'Attempts in a period' }),
      per: oneWord(['hour', 'day', 'month'], 'Period'),
      zone: Type.String(),
      taken: Type.Integer({ description: 'Attempts made in this period, or set aside for the next seconds' }),
      period_end: instantText('End of this period'),
    }),
  ),
})

/** The state of endpoints beside their configuration, and what is done about it. */
export function addEndpointRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const params = Type.Object({ endpoint_id: idText('Endpoint') })

  server.get(
    '/v1/endpoints/:endpoint_id/state',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary: 'Whether an endpoint is sent to, and why not',
        params,
        querystring: queryOf({}),
        response: answers(stateAnswer),
      },
    },
    async (request) => {
      const { endpoint_id } = request.params
      if (!(await ownsEndpoint(api, principalOf(request), endpoint_id))) throw new WaypostError('not_found')
      return (await readState(api, endpointOf(api, endpoint_id))) as never
    },
  )

  server.post(
    '/v1/endpoints/:endpoint_id/enable',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['postbacks'],
        summary: 'Put a disabled endpoint into service again, and learn what it missed',
        params,
        response: answers(
          Type.Object({
            endpoint_id: Type.String(),
            failing_since: instantText('Since when it failed: `since` of /recover'),
            missed: Type.Integer({ description: 'Deliveries given up since then; /recover sends them once more' }),
          }),
        ),
      },
    },
    async (request) => {
      const { endpoint_id } = request.params
      const enabling = await enableEndpoint(api.pool, endpoint_id)
      if (enabling.kind === 'not_disabled') {
        if (!(await ownsEndpoint(api, principalOf(request), endpoint_id))) throw new WaypostError('not_found')
        throw new RequestError('conflict', 'the endpoint is not disabled', 'endpoint_id')
      }
      return { endpoint_id, failing_since: enabling.since.toISOString(), missed: enabling.missed }
    },
  )

  server.post(
    '/v1/endpoints/:endpoint_id/recover',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary: 'Send once more what was given up since a time, as a replay; at first only count it',
        params,
        querystring: queryOf({ dry_run: Type.Optional(dryRun) }),
        body: Type.Object(
          { since: instantText('Given up at or after'), per_minute: Type.Optional(perMinute) },
          { additionalProperties: false },
        ),
        response: replayAnswers,
      },
    },
    async (request, reply) => {
      const { endpoint_id } = request.params
      const principal = principalOf(request)
      if (!(await ownsEndpoint(api, principal, endpoint_id))) throw new WaypostError('not_found')
      const { since, per_minute } = request.body
      const filter = missedFilter(endpoint_id, new Date(since))
      const isDryRun = request.query.dry_run !== false
      const { status, body } = await askReplay(api, principal, { filter, perMinute: per_minute, isDryRun })
      return reply.code(status).send(body as never)
    },
  )

  server.post(
    '/v1/endpoints/:endpoint_id/rotate-secret',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['postbacks'],
        summary: 'Give an endpoint a new signing secret; the answer is the only time that it can be read',
        params,
        body: Type.Object(
          {
            keep_hours: Type.Optional(
              Type.Integer({
                description: 'How long the old secret signs too',
                minimum: 0,
                maximum: KEEP_HOURS_MAX,
                default: KEEP_HOURS_DEFAULT,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            endpoint_id: Type.String(),
            secret: Type.String({ description: '`whsec_…`' }),
            previous_secret_until: nullable(instantText('Until when the old one signs too')),
            config_version: Type.Integer({ description: 'Version of the configuration that has it' }),
          }),
          201,
        ),
      },
    },
    async (request, reply) => {
      const { endpoint_id } = request.params
      const by = `API key ${principalOf(request).name}`
      const { keep_hours: keepHours = KEEP_HOURS_DEFAULT } = request.body
      const rotation = await rotateSecret(api.pool, endpoint_id, { by, keepHours, clock: api.clock })
      if (rotation.kind === 'endpoint_unknown') throw new WaypostError('not_found')
      const { secret, previousUntil, version } = rotation
      const until = previousUntil?.toISOString() ?? null
      return reply.code(201).send({ endpoint_id, secret, previous_secret_until: until, config_version: version })
    },
  )
}

function endpointOf(api: Api, endpointId: string): PostbackEndpoint {
  const found = api.snapshots.current()?.endpoints.find((one) => one.endpoint_id === endpointId)
  if (found === undefined) throw new WaypostError('not_ready', 'The endpoint was applied a moment ago.')
  return found
}

async function readState(api: Api, endpoint: PostbackEndpoint): Promise<object> {
  const { endpoint_id, status, quota } = endpoint
  const nowMs = api.clock.now()
  const waiting = (await readWaiting(api.pool, [endpoint], nowMs)).get(endpoint_id)
  const [failing] = await listFailing(api.pool, endpoint_id)
  const use = (await readQuotaUse(api.pool, [endpoint], nowMs)).get(endpoint_id)
  const held = await readHeld(api.pool, endpoint_id)
  return {
    endpoint_id,
    status,
    waits_for: waiting?.reason ?? null,
    waits_until: waiting?.until?.toISOString() ?? null,
    meaning: waiting === undefined ? null : waitReasons[waiting.reason],
    held: held.map(({ object, object_id, count }) => ({ reason: `paused_${object}`, object_id, count })),
    failing_since: failing?.failing_since.toISOString() ?? null,
    last_failure_at: failing?.last_failure_at.toISOString() ?? null,
    disabled_at: failing?.disabled_at?.toISOString() ?? null,
    probe_at: failing?.probe_at?.toISOString() ?? null,
    quota: quota && use ? { ...quota, taken: use.taken, period_end: use.periodEnd.toISOString() } : null,
  }
}
