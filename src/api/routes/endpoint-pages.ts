import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, type Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import { parseClickId } from '#platform/ids'
import type { Tx } from '#platform/postgres'
import {
  attemptErrors,
  awaitTest,
  maskRequest,
  maskUrl,
  readEndpointRecords,
  listFailing,
  readQueueLengths,
  readWaiting,
  sendTest,
  waitReasons,
  type FailingEndpoint,
  type EndpointRecord,
  type TestSubject,
  type Waiting,
  type QueueLengths,
} from '#postbacks'
import type { PostbackEndpoint } from '#routing'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { isOwn } from '../click-page.ts'
import { attemptJson } from '../deliveries-json.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
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
import { maskedRequest } from './deliveries.ts'
import { findClickRecord } from './inbound-postbacks.ts'
import { findConversionOfTest } from '../test-subject-store.ts'

const trySummary = (description: string) =>
  Type.Object(
    {
      attempts: Type.Integer(),
      delivered: Type.Integer(),
      retried: Type.Integer(),
      gave_up: Type.Integer(),
      success_rate: nullable(Type.Number({ description: 'Delivered of all tries; null: there were none' })),
      p50_ms: nullable(Type.Number({ description: 'Milliseconds of a try, right to a quarter' })),
      p90_ms: nullable(Type.Number()),
      p99_ms: nullable(Type.Number()),
    },
    { description },
  )

const endpointProperties = {
  endpoint_id: Type.String(),
  advertiser_id: nullable(Type.String()),
  name: Type.String(),
  state: oneWord(['active', 'paused'], 'As it is configured'),
  method: Type.String(),
  url: Type.Optional(Type.String({ description: 'The template, secrets masked; for the owner only' })),
  scope: openObject('Whose conversions it hears of'),
  triggers: Type.Array(Type.String()),
  waits_for: nullable(oneWord(Object.keys(waitReasons), 'Why what is due waits all the same')),
  waits_until: nullable(instantText('When that ends by itself')),
  failing_since: nullable(instantText('First failure after the last success')),
  disabled_at: nullable(instantText('Since when it is disabled')),
  disabled_reason: nullable(oneWord(['failing', 'gone'], 'Why')),
  waiting: Type.Object({
    ready: Type.Integer({ description: 'For their first try, or one that is due' }),
    deferred: Type.Integer({ description: 'For their next try' }),
    held: Type.Integer({ description: 'Due, and about an affiliate or advertiser that is paused by hand' }),
    oldest_at: nullable(instantText('When the oldest of them was made')),
    oldest_age_seconds: nullable(Type.Number()),
    counted_at: instantText('What waits is counted every ten seconds or more'),
  }),
  last_hour: trySummary('Tries of the last hour, by spans of five minutes'),
  last_day: trySummary('Tries of the last day, by hours'),
  last_success_at: nullable(instantText('When it last took a delivery')),
  last_error: nullable(
    Type.Object({
      at: instantText('When'),
      delivery_id: Type.String(),
      http_status: nullable(Type.Integer()),
      error: nullable(Type.String()),
      error_detail: nullable(Type.String()),
      meaning: nullable(Type.String({ description: 'The error in words' })),
    }),
  ),
}

type EndpointRow = Pick<PostbackEndpoint, 'endpoint_id' | 'name' | 'scope' | 'triggers' | 'method'> & {
  readonly advertiser_id: string | null
  readonly status: 'active' | 'paused'
}

/** A tenant sees its own; the columns are those that every tenant may see. */
const LIST = `
  SELECT endpoint_id, advertiser_id, name, status, scope, triggers, method FROM postback_endpoints
  WHERE ($1::text IS NULL OR endpoint_id = $1) AND ($2::text IS NULL OR endpoint_id > $2) AND ($3::text IS NULL OR status = $3)
  ORDER BY endpoint_id LIMIT $4`

const listEndpoints = async (tx: Tx, ...[endpointId, after, status, limit]: readonly [string | undefined, string | undefined, string | undefined, number]) =>
  (await tx.query<EndpointRow>(LIST, [endpointId, after, status, limit])).rows // prettier-ignore

const TEST_WAIT_MS_MAX = 60_000
/** A worker takes what is queued at once; its own time is on top of the endpoint's. */
const TEST_MARGIN_MS = 2_000

export function addEndpointPageRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const everybody = readableBy('owner', 'advertiser', 'affiliate')
  const parameters = Type.Object({ endpoint_id: idText('Endpoint') })

  server.get(
    '/v1/endpoints',
    {
      config: everybody,
      schema: {
        tags: ['postbacks'],
        summary: 'Endpoints with what waits for them and how their tries went, by id',
        querystring: queryOf({
          state: Type.Optional(oneWord(['active', 'paused'], 'In this state')),
          ...pageQuery,
        }),
        response: answers(pageOf(Type.Object(endpointProperties))),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, state } = request.query
      const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('utf8')
      if (after?.includes('\0') === true)
        throw new RequestError('request_invalid', 'it is no cursor of this list', 'cursor')
      const tenant = principalOf(request)
      const { rows, records } = await asTenant(api.pool, tenant, async (tx) => {
        const rows = await listEndpoints(tx, undefined, after, state, limit + 1)
        return { rows, records: await readEndpointRecords(tx, rows.slice(0, limit).map(({ endpoint_id }) => endpoint_id)) } // prettier-ignore
      })
      const lengths = await lengthsNow(api)
      const gates = await gatesNow(api)
      const shown = rows.slice(0, limit)
      const last = shown.at(-1)
      return {
        items: shown.map((row) =>
          endpointJson(api, tenant, row, records.get(row.endpoint_id)!, lengths, gates),
        ) as never,
        next_cursor:
          rows.length > limit && last !== undefined ? Buffer.from(last.endpoint_id).toString('base64url') : null,
      }
    },
  )

  server.get(
    '/v1/endpoints/:endpoint_id',
    {
      config: everybody,
      schema: {
        tags: ['postbacks'],
        summary: 'One endpoint with what waits for it and how its tries went',
        params: parameters,
        response: answers(Type.Object(endpointProperties)),
      },
    },
    async (request) => {
      const { endpoint_id } = request.params
      const tenant = principalOf(request)
      const { row, records } = await asTenant(api.pool, tenant, async (tx) => ({
        row: (await listEndpoints(tx, endpoint_id, undefined, undefined, 1))[0],
        records: await readEndpointRecords(tx, [endpoint_id]),
      }))
      if (row === undefined) throw new WaypostError('not_found')
      return endpointJson(
        api,
        tenant,
        row,
        records.get(endpoint_id)!,
        await lengthsNow(api),
        await gatesNow(api),
      ) as never
    },
  )

  server.post(
    '/v1/endpoints/:endpoint_id/test',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary:
          'Send a sale to an endpoint, made up or of a click or conversion, and see what it answers; it books nothing',
        params: parameters,
        querystring: queryOf({
          click_id: Type.Optional(uuidText('With the facts of this click')),
          conversion_id: Type.Optional(uuidText('With the facts of this conversion and its click')),
          wait_ms: Type.Optional(
            Type.Integer({
              description: "Longest wait for the answer; left out: the endpoint's own time and two seconds",
              minimum: 0,
              maximum: TEST_WAIT_MS_MAX,
            }),
          ),
        }),
        response: answers(testAnswer, 201),
      },
    },
    async (request, reply) => {
      const snapshot = api.snapshots.current()
      if (snapshot === undefined) throw new WaypostError('not_ready')
      const { endpoint_id } = request.params
      const tenant = principalOf(request)
      const [own] = await asTenant(api.pool, tenant, (tx) => listEndpoints(tx, endpoint_id, undefined, undefined, 1))
      if (own === undefined) throw new WaypostError('not_found')
      const about = await findSubject(api, tenant, request.query)
      const endpoint = snapshot.endpoints.find((one) => one.endpoint_id === endpoint_id)
      if (endpoint === undefined) throw new WaypostError('not_found')
      refuseOthersFacts(endpoint, about)
      const test = await sendTest(api.pool, endpoint_id, snapshot, api.clock.now(), about)
      if (test.kind === 'refused') throw new RequestError('conflict', `it is not sent: ${test.reason}`, 'endpoint_id')
      const waitMs = request.query.wait_ms ?? Math.min(TEST_WAIT_MS_MAX, endpoint.timeout_ms + TEST_MARGIN_MS)
      const attempt = await awaitTest(api.pool, test.deliveryId, waitMs)
      const { eventId, method, url, contentType = null, body = null, headers = null } = test
      return reply.code(201).send({
        delivery_id: String(test.deliveryId),
        request: maskRequest({ event_id: eventId, method, url, content_type: contentType, body, headers }, endpoint),
        attempt: attempt === undefined ? null : attemptJson(attempt),
      } as never)
    },
  )
}

const testAnswer = Type.Object({
  delivery_id: Type.String({ description: 'GET /v1/deliveries/:delivery_id shows it later' }),
  request: maskedRequest,
  attempt: nullable(
    openObject('What came of it: status, first bytes of the answer, times; null: it was not tried in the time'),
  ),
})

const lengthsNow = async (api: Api): Promise<QueueLengths> => api.queueLengths() ?? (await readQueueLengths(api.pool))

/** What stands between endpoints and their deliveries. */
type Gates = { readonly waiting: ReadonlyMap<string, Waiting>; readonly failing: ReadonlyMap<string, FailingEndpoint> }

/** Rows of endpoints that fail and of pauses: a handful, whatever is sent. */
async function gatesNow(api: Api): Promise<Gates> {
  const waiting = await readWaiting(api.pool, api.snapshots.current()?.endpoints ?? [], api.clock.now())
  const failing = await listFailing(api.pool)
  return { waiting, failing: new Map(failing.map((one) => [one.endpoint_id, one])) }
}

function gateJson(endpointId: string, { waiting, failing }: Gates): object {
  const wait = waiting.get(endpointId)
  const state = failing.get(endpointId)
  return {
    waits_for: wait?.reason ?? null,
    waits_until: wait?.until?.toISOString() ?? null,
    failing_since: state?.failing_since.toISOString() ?? null,
    disabled_at: state?.disabled_at?.toISOString() ?? null,
    disabled_reason: state?.disabled_reason ?? null,
  }
}

/** What a test tells of. @throws {WaypostError} not_found: there is no such click or conversion, or it is another's */
async function findSubject(
  api: Api,
  tenant: Tenant,
  { click_id, conversion_id }: { readonly click_id?: string; readonly conversion_id?: string },
): Promise<TestSubject | undefined> {
  if (conversion_id !== undefined) {
    const subject = await asTenant(api.pool, tenant, (tx) => findConversionOfTest(tx, conversion_id))
    if (subject === undefined) throw new RequestError('not_found', 'there is no such conversion', 'conversion_id')
    return subject
  }
  if (click_id === undefined) return undefined
  const clickId = parseClickId(click_id)
  const click = clickId && findClickRecord(api, clickId)
  if (click === undefined || !isOwn(click, tenant))
    throw new RequestError('not_found', 'there is no such click', 'click_id')
  return { click }
}

/** Whoever an endpoint belongs to reads what it is told: a test tells it of nobody else's traffic.
 * @throws {RequestError} conflict: the click is of another affiliate or advertiser than the scope names
 */
function refuseOthersFacts({ scope }: PostbackEndpoint, about: TestSubject | undefined): void {
  if (about === undefined) return
  for (const name of ['affiliate_id', 'advertiser_id'] as const)
    if (scope[name] !== undefined && scope[name] !== about.click[name])
      throw new RequestError('conflict', `the endpoint belongs to ${scope[name]}, and the click does not`)
}

function endpointJson(
  api: Api,
  tenant: Tenant,
  row: EndpointRow,
  record: EndpointRecord,
  lengths: QueueLengths,
  gates: Gates,
): object {
  const { status, ...rest } = row
  const known = api.snapshots.current()?.endpoints.find((one) => one.endpoint_id === row.endpoint_id)
  const { lastHour, lastDay, succeededAt, lastError } = record
  return {
    ...rest,
    state: status,
    ...(tenant.role === 'owner' && known !== undefined && { url: maskUrl(known.url) }),
    waiting: lengthJson(row.endpoint_id, lengths),
    ...gateJson(row.endpoint_id, gates),
    last_hour: lastHour,
    last_day: lastDay,
    last_success_at: succeededAt?.toISOString() ?? null,
    last_error: lastError === undefined ? null : errorJson(lastError),
  }
}

function lengthJson(endpointId: string, { at, endpoints }: QueueLengths): object {
  const { ready = 0, deferred = 0, held = 0, oldest_at } = endpoints.get(endpointId) ?? {}
  return {
    ready,
    deferred,
    held,
    oldest_at: oldest_at?.toISOString() ?? null,
    oldest_age_seconds: oldest_at === undefined ? null : Math.max(0, (at.getTime() - oldest_at.getTime()) / 1_000),
    counted_at: at.toISOString(),
  }
}

const errorJson = ({ at, delivery_id, ...rest }: NonNullable<EndpointRecord['lastError']>): object => ({
  ...rest,
  at: at.toISOString(),
  delivery_id: String(delivery_id),
  meaning: (attemptErrors as Readonly<Record<string, string>>)[rest.error ?? ''] ?? null,
})
