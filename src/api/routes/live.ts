import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'

import { findActiveKeys, type Tenant } from '#accounts'
import { createLiveHub, liveLimits, liveTables, liveWindows, parseLive, type LiveQuestion, type LiveSink } from '#live'
import { WaypostError } from '#platform/errors'
import { askFacts, FILTER_RULE_LENGTH_MAX } from '#reports'
import { RuleLists } from '#rules'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { errorSchema, RequestError } from '../errors.ts'
import { queryOf } from '../schemas.ts'

const names = (description: string) =>
  Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { description, maxItems: 10 }))

const liveQuery = queryOf({
  counts: names(`Windows to count, comma-separated or repeated: ${liveWindows.join(', ')}. Default: second`),
  rows: names(`Rows to show one by one: ${liveTables.join(', ')}. Default: none`),
  of: names(`What is counted: ${liveTables.join(', ')}. Default: all`),
  filter: Type.Optional(
    Type.String({
      description: 'Only what meets a rule in its text form, as in reports',
      maxLength: FILTER_RULE_LENGTH_MAX,
    }),
  ),
  group_by: Type.Optional(
    Type.String({ description: 'A dimension of reports: its largest values in each window', maxLength: 80 }),
  ),
  top: Type.Optional(Type.Integer({ description: 'Values of the dimension', minimum: 1, maximum: liveLimits.topMax })),
  rate: Type.Optional(
    Type.Integer({
      description: 'Rows of each kind a second; of more a sample with its share',
      minimum: 1,
      maximum: liveLimits.rowsPerSecondMax,
    }),
  ),
})

const LAST_EVENT_ID = /^\d{12,14}$/

/** Server-sent events. The streams of a process end with it. */
export function addLiveRoute(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const hub = createLiveHub({
    ask: (query) => askFacts<Record<string, unknown>>(api.facts, query),
    now: () => api.clock.now(),
    findActiveKeys: (apiKeyIds) => findActiveKeys(api.pool, apiKeyIds),
    logLines: api.logLines,
  })
  server.addHook('preClose', async () => hub.stop())
  const listsOf = rememberLists(api)

  server.get(
    '/v1/live',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['reports'],
        summary: 'What happens at the moment, as server-sent events',
        querystring: liveQuery,
        headers: Type.Object({
          'last-event-id': Type.Optional(Type.String({ description: 'Id of the last message before the connection broke' })),
        }), // prettier-ignore
        response: {
          200: Type.String({ description: 'text/event-stream, see docs/live.md' }),
          '4xx': errorSchema,
          '5xx': errorSchema,
        },
      },
    },
    (request, reply) => {
      const principal = principalOf(request)
      const { counts, rows, of, ...rest } = request.query
      const asked = { ...rest, counts: splitNames(counts), rows: splitNames(rows), of: splitNames(of) }
      const parsed = parseLive(asked, principal, listsOf(principal))
      if (parsed.kind !== 'asked')
        throw new RequestError(
          parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid',
          parsed.detail,
          parsed.path,
        )
      const refusal = hub.refusal(principal.apiKeyId)
      if (refusal !== undefined) throw new WaypostError('rate_limited', refusal)
      const lastId = request.headers['last-event-id'] ?? ''
      const resumeMs = LAST_EVENT_ID.test(lastId) ? Number(lastId) : undefined
      const { question } = parsed
      const close = hub.open({
        ...{ question, resumeMs, apiKeyId: principal.apiKeyId },
        sink: beginStream(reply),
        hello: helloOf(question),
      })
      reply.raw.once('close', close)
    },
  )
}

/** The answer from here on: nothing between us and the reader may hold it back. */
function beginStream(reply: FastifyReply): LiveSink {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store, no-transform',
    'X-Accel-Buffering': 'no',
    'X-Content-Type-Options': 'nosniff',
  })
  // A reader that went away in the middle of a message is no mistake.
  raw.on('error', () => raw.destroy())
  return {
    write: (text) => raw.write(text),
    onDrain: (drained) => void raw.on('drain', drained),
    end: () => void raw.end(),
  }
}

const helloOf = ({ counts, rows, of, dimension, top, rate }: LiveQuestion): object => ({
  counts,
  ...(counts.length > 0 && { of }),
  ...(dimension !== undefined && { group_by: dimension.name, top }),
  ...(rows.length > 0 && { rows, rate }),
  watched_seconds: liveLimits.watchedSeconds,
  watched_minutes: liveLimits.watchedMinutes,
})

const splitNames = (lists: readonly string[] | undefined): readonly string[] | undefined =>
  lists?.flatMap((list) => list.split(',')).map((name) => name.trim()).filter((name) => name !== '') // prettier-ignore

/** Named lists are the installation's own: another tenant could find out what is in them. */
function rememberLists({ snapshots }: Api): (tenant: Tenant) => RuleLists | undefined {
  let version: number | undefined
  let lists: RuleLists | undefined
  return ({ role }) => {
    const snapshot = snapshots.current()
    if (role !== 'owner' || snapshot === undefined) return undefined
    if (snapshot.version !== version) lists = snapshot.lists && new RuleLists(snapshot.lists)
    version = snapshot.version
    return lists
  }
}
