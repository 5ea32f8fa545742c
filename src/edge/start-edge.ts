import { fastify, type FastifyInstance, type FastifyListenOptions } from 'fastify'
import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'

import type { CapCounters } from '#caps'
import type { Enricher } from '#enrichment'
import { createRateBoard, openRateCounters, type RateBoard } from '#fraud'
import type { HotState } from '#hot-state'
import type { EventLog, LogWriter } from '#log'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { SnapshotFollower } from '#snapshots'
import { LINK_CODE_CHARACTERS_MAX } from './addresses.ts'
import { edgeCaps } from './caps.ts'
import { takeClicksFirst } from './click-shortcut.ts'
import { makeClientOrigin } from './client-address.ts'
import type { Edge } from './edge.ts'
import { edgeLimits, type EdgeLimits } from './limits.ts'
import { holdLiveConfig } from './live-config.ts'
import { createMetrics, type MetricsBoard } from './metrics.ts'
import { createRecorder } from './recorder.ts'
import { addErrorAnswers, addRoutes, noteState } from './routes.ts'
import { createSignatureMemory, type SignatureMemory } from './signature.ts'
import { loadSnippet } from './snippet.ts'
import { prepareStopListening } from './stop-listening.ts'

/** The part of the configuration that the edge uses. */
export type EdgeConfig = {
  readonly edgeHost: string
  /** 0 takes any free port. */
  readonly edgePort: number
  readonly sub2AllowedKeys: readonly string[]
  readonly trustedProxies: readonly string[]
}

export type EdgeOptions = {
  readonly config: EdgeConfig
  readonly log: EventLog
  readonly hotState: Pick<HotState, 'getClick' | 'indexPosition' | 'isClaimed'>
  readonly caps: CapCounters
  readonly snapshots: SnapshotFollower
  readonly enricher: Enricher
  readonly clock: Clock
  readonly logLines: LogLines
  /** Whether others may listen on the port as well, and get a part of the connections (SO_REUSEPORT); default false. */
  readonly isPortShared?: boolean
  /** Left out: this edge has one thread. */
  readonly team?: EdgeTeam
  /** For tests; production uses edgeLimits. */
  readonly limits?: Partial<EdgeLimits>
}

/** What the threads of one edge process share. */
export type EdgeTeam = {
  /** Which one this is, from 0. */
  readonly thread: number
  readonly threads: number
  readonly board: MetricsBoard
  readonly rates: RateBoard
  readonly signatures: SignatureMemory
}

export type RunningEdge = {
  readonly port: number
  /** Takes no more connections, answers what is under way, closes its partition of the log. */
  readonly stop: () => Promise<void>
}

const SNIPPET_FILE = new URL('../../sdk/web/t.js', import.meta.url)

/** Edges write the partitions `edge-0`, `edge-1`, …, each one of them. */
const PARTITIONS = 'edge'

/** Starts the public HTTP of the installation: clicks, events, postbacks, the snippet. Answers a click, event or postback
 * only after its record is durable. Needs no database: the configuration comes from the follower, clicks of postbacks from
 * the hot state. Takes the first partition of the log that no other edge writes, of this process or another.
 * @throws {Error} EADDRINUSE and the like
 */
export async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  const limits = shareOfLimits({ ...edgeLimits, ...options.limits }, options.team?.threads ?? 1)
  const snippet = loadSnippet(SNIPPET_FILE)
  const writer = await options.log.openFreeWriter(PARTITIONS)
  const edge = assemble(options, limits, writer)
  const server = createServer(limits)
  addErrorAnswers(server, edge)
  addRoutes(server, edge, options.snapshots, snippet)
  takeClicksFirst(server, edge)
  const stopListening = prepareStopListening(server.server)
  try {
    const { edgeHost: host, edgePort: port } = options.config
    // Fastify hands on what its types do not name.
    const address: FastifyListenOptions & { readonly reusePort: boolean } = {
      host,
      port,
      reusePort: options.isPortShared ?? false,
    }
    await server.listen(address)
  } catch (error) {
    edge.live.stop()
    await writer.close()
    throw error
  }
  const notingState = options.team && setInterval(() => noteState(edge), STATE_EVERY_MS).unref()
  return {
    port: (server.server.address() as AddressInfo).port,
    stop: () => {
      clearInterval(notingState)
      return stop(server, stopListening, edge, writer)
    },
  }
}

/** How old the word of another thread may be. */
const STATE_EVERY_MS = 250

/** Connections are a limit of the process. */
const shareOfLimits = (limits: EdgeLimits, threads: number): EdgeLimits => ({
  ...limits,
  connectionsMax: Math.ceil(limits.connectionsMax / threads),
})

function assemble(options: EdgeOptions, limits: EdgeLimits, writer: LogWriter): Edge {
  const { config, log, hotState, caps, snapshots, enricher, clock, logLines, team } = options
  const metrics = team === undefined ? createMetrics() : createMetrics(team.board, team.thread)
  return {
    limits,
    sub2AllowedKeys: new Set(config.sub2AllowedKeys),
    live: holdLiveConfig(snapshots, logLines),
    recorder: createRecorder(writer, logLines),
    enricher,
    hotState,
    caps: edgeCaps(caps, clock, logLines, metrics.countCapAnswer),
    rates: openRateCounters(team?.rates ?? newRateBoard()),
    log,
    clock,
    logLines,
    metrics,
    signatures: team?.signatures ?? createSignatureMemory(),
    originOf: makeClientOrigin(config.trustedProxies),
  }
}

/** Counts of clicks for all threads of an edge. Nobody outside of it can choose keys that are counted as one. */
export const newRateBoard = (): RateBoard => createRateBoard(randomInt(2 ** 31))

function createServer(limits: EdgeLimits): FastifyInstance {
  const server = fastify({
    // A log line for each request would cost more than the request.
    logger: false,
    exposeHeadRoutes: false,
    bodyLimit: limits.bodyBytesMax,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    forceCloseConnections: 'idle',
    http: {
      maxHeaderSize: limits.headerBytesMax,
      connectionsCheckingInterval: limits.slowClientCheckMs,
      // A click has no body: no stream is set up and torn down for it.
      optimizeEmptyRequests: true,
    },
    // The query is decoded by the routes, once, from the raw URL.
    routerOptions: { querystringParser: () => ({}), maxParamLength: LINK_CODE_CHARACTERS_MAX },
  })
  server.server.headersTimeout = limits.headersTimeoutMs
  server.server.maxConnections = limits.connectionsMax
  // The schemas say what the routes understand; see schemas.ts for who checks it.
  server.setValidatorCompiler(() => () => true)
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(
    ['application/json', 'text/plain', 'application/x-www-form-urlencoded'],
    { parseAs: 'string' },
    (_request, body, done) => done(null, body),
  )
  return server
}

async function stop(
  server: FastifyInstance,
  stopListening: () => Promise<void>,
  edge: Edge,
  writer: LogWriter,
): Promise<void> {
  const cutOff = setTimeout(() => server.server.closeAllConnections(), edge.limits.drainTimeoutMs)
  await stopListening()
  await server.close()
  clearTimeout(cutOff)
  edge.live.stop()
  await writer.close()
}
