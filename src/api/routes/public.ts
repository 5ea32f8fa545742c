import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Api } from '../api.ts'
import { landingHtml } from '../landing-html.ts'
import { nullable } from '../schemas.ts'

/** Where the API usually listens; for a request that came over no socket. */
const DEFAULT_PORT = 8081
const CHECK_TIMEOUT_MS = 2_000

const readiness = Type.Object({
  status: Type.Unsafe<'ready' | 'not_ready'>({ type: 'string', enum: ['ready', 'not_ready'] }),
  config_version: nullable(Type.Integer()),
  is_config_fresh: Type.Boolean({ description: 'The database confirmed the configuration within five seconds' }),
  is_database_up: Type.Boolean(),
  are_facts_up: Type.Boolean(),
})

/** What needs no key: the page for people, the checks for supervisors. */
export function addPublicRoutes(server: FastifyInstance, api: Api): void {
  server.get(
    '/',
    { schema: { hide: true, summary: 'Page for people', response: { 200: Type.String() } } },
    (request, reply) => {
      const apiPort = request.socket.localPort ?? DEFAULT_PORT
      const page = landingHtml({ version: api.snapshots.current()?.version, edgePort: api.edgePort, apiPort })
      return reply.type('text/html; charset=utf-8').send(page)
    },
  )

  server.get(
    '/healthz',
    {
      schema: {
        tags: ['operations'],
        summary: 'The process lives',
        response: { 200: Type.Object({ status: Type.Literal('ok') }) },
      },
    },
    () => ({ status: 'ok' }),
  )

  server.get(
    '/readyz',
    {
      schema: {
        tags: ['operations'],
        summary: 'The process can answer: its engines do',
        response: { 200: readiness, 503: readiness },
      },
    },
    async (_request, reply) => {
      const [isDatabaseUp, areFactsUp] = await Promise.all([
        answers(api.pool.query('SELECT 1')),
        answers(api.facts.ping().then(refuseFailure)),
      ])
      const configVersion = api.snapshots.current()?.version ?? null
      const isReady = isDatabaseUp && areFactsUp && configVersion !== null
      return reply.code(isReady ? 200 : 503).send({
        status: isReady ? 'ready' : 'not_ready',
        config_version: configVersion,
        is_config_fresh: api.snapshots.isFresh(),
        is_database_up: isDatabaseUp,
        are_facts_up: areFactsUp,
      })
    },
  )

  server.get(
    '/metrics',
    {
      schema: {
        tags: ['operations'],
        summary: 'Metrics in the text format of Prometheus',
        response: { 200: Type.String() },
      },
    },
    async (_request, reply) => {
      const parts = await Promise.all([api.registry.metrics(), ...api.metrics.map((render) => render())])
      return reply
        .type('text/plain; version=0.0.4; charset=utf-8')
        .send(parts.map((part) => part.trimEnd()).join('\n') + '\n')
    },
  )
}

function refuseFailure(result: { readonly success: boolean }): void {
  if (!result.success) throw new Error('ClickHouse does not answer.')
}

/** Whether a check ends well and soon. */
async function answers(check: Promise<unknown>): Promise<boolean> {
  const timeout = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => timeout.resolve(false), CHECK_TIMEOUT_MS)
  const outcome = check.then(
    () => true,
    () => false,
  )
  const isUp = await Promise.race([outcome, timeout.promise])
  clearTimeout(timer)
  return isUp
}
