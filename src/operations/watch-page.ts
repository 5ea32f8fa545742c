/** What a supervisor and Prometheus ask of a process without the API. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { SnapshotFollower } from '#snapshots'

import type { Role } from './roles.ts'

export type WatchPageOptions = {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Of the process. */
  readonly roles: readonly Role[]
  readonly pool: Pool
  readonly snapshots: Pick<SnapshotFollower, 'current' | 'isFresh'>
  /** Parts of GET /metrics, in the text format of Prometheus. */
  readonly metrics: readonly (() => string | Promise<string>)[]
  readonly logLines: LogLines
}

export type WatchPage = {
  readonly port: number
  readonly stop: () => Promise<void>
}

const CHECK_TIMEOUT_MS = 2_000
/** Two supervisors and a Prometheus need a handful; nobody may take the process's sockets. */
const CONNECTIONS_MAX = 64
/** A scrape that has not asked by then never will. */
const REQUEST_TIMEOUT_MS = 10_000
const JSON_TYPE = 'application/json; charset=utf-8'
const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Serves `/healthz`, `/readyz` and `/metrics`, without a key as elsewhere, and nothing else.
 * @throws {Error} EADDRINUSE and the like
 */
export async function startWatchPage(options: WatchPageOptions): Promise<WatchPage> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      options.logLines.error({ err: error, path: request.url }, 'a page for operators failed')
      send(response, { status: 500, type: JSON_TYPE, text: '{"status":"failed"}' })
    })
  })
  server.maxConnections = CONNECTIONS_MAX
  server.listen({ host: options.host, port: options.port })
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

type Page = { readonly status: number; readonly type: string; readonly text: string }

async function answer(options: WatchPageOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const isReading = request.method === 'GET' || request.method === 'HEAD'
  const path = (request.url ?? '').split('?', 1)[0]
  if (!isReading) return send(response, json(405, { status: 'method_not_allowed' }))
  if (path === '/healthz') return send(response, json(200, { status: 'ok' }))
  if (path === '/readyz') return send(response, await readiness(options))
  if (path === '/metrics') return send(response, await metricsPage(options))
  send(response, json(404, { status: 'not_found' }))
}

function send(response: ServerResponse, { status, type, text }: Page): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  response.end(response.req.method === 'HEAD' ? undefined : text)
}

const json = (status: number, value: object): Page => ({ status, type: JSON_TYPE, text: JSON.stringify(value) })

async function readiness({ roles, pool, snapshots }: WatchPageOptions): Promise<Page> {
  const isDatabaseUp = await answersInTime(pool)
  const configVersion = snapshots.current()?.version ?? null
  const isReady = isDatabaseUp && configVersion !== null
  return json(isReady ? 200 : 503, {
    status: isReady ? 'ready' : 'not_ready',
    roles,
    config_version: configVersion,
    is_config_fresh: snapshots.isFresh(),
    is_database_up: isDatabaseUp,
  })
}

async function metricsPage({ metrics }: WatchPageOptions): Promise<Page> {
  const parts = await Promise.all(metrics.map(async (render) => render()))
  return { status: 200, type: PROMETHEUS_TYPE, text: `${parts.map((part) => part.trimEnd()).join('\n')}\n` }
}

async function answersInTime(pool: Pool): Promise<boolean> {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(false), CHECK_TIMEOUT_MS)
  const asked = pool.query('SELECT 1').then(
    () => true,
    () => false,
  )
  const isUp = await Promise.race([asked, late.promise])
  clearTimeout(timer)
  return isUp
}
