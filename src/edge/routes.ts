import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { SnapshotFollower } from '#snapshots'
import { answerEmpty, answerError, answerJson, answerNotFoundPage, answerText } from './answers.ts'
import { answerClick } from './click-route.ts'
import type { Edge } from './edge.ts'
import { answerEvent, answerPreflight } from './event-route.ts'
import type { Gauge, ThreadState } from './metrics.ts'
import { answerPostback } from './postback-route.ts'
import { answerHop, HOP_PATH } from './redirects.ts'
import { answerFailure } from './refuse-request.ts'
import {
  clickSchema,
  eventSchema,
  faviconSchema,
  healthSchema,
  hopSchema,
  linkSchema,
  metricsSchema,
  pathSecretSchema,
  pixelSchema,
  postbackSchema,
  preflightSchema,
  readySchema,
  robotsSchema,
  snippetSchema,
} from './schemas.ts'
import type { Snippet } from './snippet.ts'

type Answer = (request: IncomingMessage, response: ServerResponse, fastifyRequest: FastifyRequest) => void
type Handler = (request: FastifyRequest, reply: FastifyReply) => void

/** Lets a function answer on the raw response; what it throws is answered 500. */
const direct =
  (edge: Edge, answer: Answer): Handler =>
  (request, reply) => {
    reply.hijack()
    try {
      answer(request.raw, reply.raw, request)
    } catch (error) {
      answerFailure(edge, reply.raw, error)
    }
  }

/** Every address of the edge. The fixed ones win over `/:code`; the configuration refuses them as link codes. */
export function addRoutes(server: FastifyInstance, edge: Edge, snapshots: SnapshotFollower, snippet: Snippet): void {
  addTrafficRoutes(server, edge)
  addPostbackRoutes(server, edge)
  addOperatorRoutes(server, edge, snapshots)
  server.get('/t.js', { schema: snippetSchema }, direct(edge, snippet.answer))
  server.get(
    HOP_PATH,
    { schema: hopSchema },
    direct(edge, (request, response) => answerHop(edge, request, response)),
  )
  server.get('/robots.txt', { schema: robotsSchema }, direct(edge, answerRobots))
  // Browsers ask for it on their own: it must not become a click on an unknown link.
  server.get(
    '/favicon.ico',
    { schema: faviconSchema },
    direct(edge, (_request, response) => answerEmpty(response, 204)),
  )
}

const answerRobots: Answer = (_request, response) =>
  answerText(response, 200, 'User-agent: *\nDisallow: /\n', 'text/plain; charset=utf-8')

function addTrafficRoutes(server: FastifyInstance, edge: Edge): void {
  const method = ['GET', 'HEAD']
  server.route({
    method,
    url: '/click',
    schema: clickSchema,
    handler: direct(edge, (request, response) => answerClick(edge, request, response, undefined)),
  })
  server.route({
    method,
    url: '/:code',
    schema: linkSchema,
    handler: direct(edge, (request, response, { params }) => {
      const { code } = params as { readonly code: string }
      // The host alone is no link: crawlers that come to it are no clicks.
      if (code === '') return answerNotFoundPage(response)
      answerClick(edge, request, response, code)
    }),
  })
  server.post(
    '/event',
    { schema: eventSchema },
    direct(edge, (request, response, { body }) => answerEvent(edge, request, body, response)),
  )
  server.options(
    '/event',
    { schema: preflightSchema },
    direct(edge, (request, response) => answerPreflight(edge, request, response)),
  )
}

function addPostbackRoutes(server: FastifyInstance, edge: Edge): void {
  const method = ['GET', 'POST']
  server.route({
    method,
    url: '/postback',
    schema: postbackSchema,
    handler: direct(edge, (request, response, { body }) => {
      void answerPostback(edge, request, body, response, { via: 'postback' })
    }),
  })
  server.route({
    method,
    url: '/postback/:secret',
    schema: pathSecretSchema,
    handler: direct(edge, (request, response, { body, params }) => {
      const { secret: pathSecret } = params as { readonly secret: string }
      void answerPostback(edge, request, body, response, { via: 'postback', pathSecret })
    }),
  })
  server.route({
    method,
    url: '/pixel.gif',
    schema: pixelSchema,
    handler: direct(edge, (request, response, { body }) => {
      void answerPostback(edge, request, body, response, { via: 'pixel' })
    }),
  })
}

function addOperatorRoutes(server: FastifyInstance, edge: Edge, snapshots: SnapshotFollower): void {
  server.get(
    '/healthz',
    { schema: healthSchema },
    direct(edge, (_request, response) => answerJson(response, 200, { status: 'ok' })),
  )
  server.get(
    '/readyz',
    { schema: readySchema },
    direct(edge, (_request, response) => answerReadiness(edge, snapshots, response)),
  )
  server.get(
    '/metrics',
    { schema: metricsSchema },
    direct(edge, (_request, response) => {
      noteState(edge)
      const text = edge.metrics.render(gaugesOf(edge, snapshots))
      answerText(response, 200, text, 'text/plain; version=0.0.4; charset=utf-8')
    }),
  )
}

function answerReadiness(edge: Edge, snapshots: SnapshotFollower, response: ServerResponse): void {
  noteState(edge)
  const { configVersion, isLogWritable } = summarize(edge.metrics.states())
  const isReady = configVersion > 0 && isLogWritable
  answerJson(response, isReady ? 200 : 503, {
    status: isReady ? 'ready' : 'not_ready',
    config_version: configVersion > 0 ? configVersion : null,
    is_config_fresh: snapshots.isFresh(),
    is_log_writable: isLogWritable,
  })
}

/** Tells the other threads how this one is. */
export function noteState({ metrics, live, recorder }: Edge): void {
  metrics.setState({
    configVersion: live.current()?.routing.version ?? 0,
    pendingCount: recorder.pendingCount(),
    isLogWritable: recorder.isWritable() ? 1 : 0,
  })
}

/** An edge is as well as its worst thread: the next request may come to any of them. */
const summarize = (states: readonly ThreadState[]): { configVersion: number; isLogWritable: boolean } => ({
  configVersion: Math.min(...states.map(({ configVersion }) => configVersion)),
  isLogWritable: states.every(({ isLogWritable }) => isLogWritable === 1),
})

function gaugesOf(edge: Edge, snapshots: SnapshotFollower): readonly Gauge[] {
  const states = edge.metrics.states()
  const { configVersion, isLogWritable } = summarize(states)
  return [
    {
      name: 'waypost_edge_config_version',
      help: 'Version of the configuration in use, of the thread that is behind the others; 0: none.',
      value: configVersion,
    },
    {
      name: 'waypost_edge_config_fresh',
      help: '1 when the database confirmed the configuration within five seconds.',
      value: snapshots.isFresh() ? 1 : 0,
    },
    {
      name: 'waypost_edge_log_writable',
      help: '0 for five seconds after a record could not be made durable.',
      value: isLogWritable ? 1 : 0,
    },
    {
      name: 'waypost_edge_log_pending',
      help: 'Records handed to the log and not durable yet.',
      value: states.reduce((sum, { pendingCount }) => sum + pendingCount, 0),
    },
    {
      name: 'waypost_edge_resident_bytes',
      help: 'Resident memory of the process.',
      value: process.memoryUsage.rss(),
    },
    {
      name: 'waypost_edge_threads',
      help: 'Threads that take requests.',
      value: states.length,
    },
  ]
}

/** What Fastify itself refuses, in our words; its own messages name its internals. */
export function addErrorAnswers(server: FastifyInstance, edge: Edge): void {
  server.setNotFoundHandler((_request, reply) => {
    reply.hijack()
    answerNotFoundPage(reply.raw)
  })
  server.setErrorHandler((error: Error & { readonly code?: string }, _request, reply) => {
    reply.hijack()
    if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return answerError(reply.raw, 'body_too_large')
    if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return answerError(reply.raw, 'content_type_unsupported')
    if (error.code?.startsWith('FST_ERR_CTP') === true) return answerError(reply.raw, 'body_unreadable')
    edge.logLines.error({ err: error }, 'A request failed.')
    return answerError(reply.raw, 'internal')
  })
}
