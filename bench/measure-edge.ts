import { join } from 'node:path'
import { openFileLog } from '#log'
import { createLogLines } from '#platform/log-lines'
import { findFreePort } from '#platform/ports'
import { startInstallation } from '../test/e2e/installation.ts'
import { clickRequests, eventRequests, largeClickRequests, shortClickRequests, type BenchSite } from './bench-site.ts'
import { runProcess, startServerProcess } from './child-processes.ts'
import { compareWithBare, type Comparison } from './compare.ts'
import type { ConstantRateInput, ConstantRateResult } from './constant-rate.ts'
import { httpText, loadTool, runLoad, type LoadRequest } from './load.ts'
import type { Figure, RowName } from './rows.ts'
import type { BenchSettings } from './run.ts'

const SEED = 20_260_901

/** The rows of one edge process: it runs alone, as `serve --role edge`, with the configuration that the installation left on the disk. */
export async function measureEdge(
  site: BenchSite,
  settings: BenchSettings,
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  const edge = await startEdgeAlone(site, settings)
  const bare = await startServerProcess(new URL('./bare-server.ts', import.meta.url))
  try {
    const clicks = await clickRequests(SEED)
    const clickIds = await makeClicks(edge.port, clicks)
    const compare = (requests: readonly LoadRequest[]): Promise<Comparison> =>
      compareWithBare({
        bare,
        ours: edge,
        requests,
        rounds: settings.rounds,
        secondsPerRound: settings.seconds,
        connections: settings.connections,
      })
    let clicksPerSecondMax: number | undefined
    if (isWanted('redirect')) {
      const before = await edge.recordCount()
      const comparison = await compare(clicks)
      clicksPerSecondMax = comparison.our_requests_per_second
      keep('redirect', figureOf(comparison, settings, { records_in_the_log: (await edge.recordCount()) - before }))
    }
    if (isWanted('redirect_short')) {
      const before = await edge.recordCount()
      const comparison = await compare(await shortClickRequests(SEED))
      keep(
        'redirect_short',
        figureOf(comparison, settings, { records_in_the_log: (await edge.recordCount()) - before }),
      )
    }
    if (isWanted('latency')) {
      clicksPerSecondMax ??= await maximumRate(edge.port, clicks, settings)
      keep('latency', await measureLatency(edge.port, clicks, clicksPerSecondMax))
    }
    if (isWanted('event')) {
      const events = await eventRequests(SEED, clickIds)
      const before = await edge.recordCount()
      const comparison = await compare(events)
      keep('event', figureOf(comparison, settings, { records_in_the_log: (await edge.recordCount()) - before }))
    }
  } finally {
    await bare.stop()
    await edge.stop()
  }
}

/** The rows of the large configuration, over an edge of its own. */
export async function measureLargeEdge(
  site: BenchSite,
  settings: BenchSettings,
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  const edge = await startEdgeAlone(site, settings)
  const bare = await startServerProcess(new URL('./bare-server.ts', import.meta.url))
  try {
    const { rounds, seconds: secondsPerRound, connections } = settings
    const requestsOf = {
      redirect_loaded: () => clickRequests(SEED),
      redirect_large: () => largeClickRequests(SEED, 'zipf'),
      redirect_spread: () => largeClickRequests(SEED, 'even'),
    }
    for (const name of ['redirect_loaded', 'redirect_large', 'redirect_spread'] as const) {
      if (!isWanted(name)) continue
      const requests = await requestsOf[name]()
      await makeClicks(edge.port, requests)
      const before = await edge.recordCount()
      const comparison = await compareWithBare({ bare, ours: edge, requests, rounds, secondsPerRound, connections })
      keep(name, figureOf(comparison, settings, { records_in_the_log: (await edge.recordCount()) - before }))
    }
  } finally {
    await bare.stop()
    await edge.stop()
  }
}

type EdgeAlone = {
  readonly port: number
  readonly pid: number
  /** Records that the log holds, to see that what was answered was written. */
  readonly recordCount: () => Promise<number>
  readonly stop: () => Promise<void>
}

async function startEdgeAlone(site: BenchSite, { threads }: BenchSettings): Promise<EdgeAlone> {
  const logLines = createLogLines('bench', 'error')
  const edge = await startInstallation({
    dataDir: site.dataDir,
    args: ['--role', 'edge'],
    waitFor: ['edge'],
    // Nobody listens there: the configuration comes from the disk, as it does while PostgreSQL is away.
    env: {
      WAYPOST_EDGE_THREADS: String(threads),
      DATABASE_URL: `postgres://nobody:none@127.0.0.1:${await findFreePort()}/none`,
      WAYPOST_LOG_LEVEL: 'error',
    },
  })
  const log = await openFileLog({ directory: join(site.dataDir, 'log'), logLines })
  return {
    port: Number(new URL(edge.edgeUrl).port),
    pid: edge.pid,
    recordCount: async () => {
      const partitions = await log.partitions()
      const bounds = await Promise.all(partitions.map((partition) => log.bounds(partition)))
      return bounds.reduce((sum, { nextOffset }) => sum + nextOffset, 0)
    },
    stop: async () => {
      await log.close()
      await edge.stop()
    },
  }
}

const CLICKS_FOR_EVENTS = 2_000

/** Sends clicks one by one and checks what nobody checks under load: status, click id, filled macros.
 * @returns their click ids
 */
async function makeClicks(port: number, requests: readonly LoadRequest[]): Promise<readonly string[]> {
  const clickIds: string[] = []
  for (const { path, headers } of requests.slice(0, CLICKS_FOR_EVENTS)) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers, redirect: 'manual' })
    await response.arrayBuffer()
    const location = URL.parse(response.headers.get('location') ?? '')
    const clickId = location?.searchParams.get('cid')
    if (response.status !== 302 || clickId === null || clickId === undefined || location?.search.includes('{') === true)
      throw new Error(`a click was answered ${response.status} with ${location?.href}`)
    clickIds.push(clickId)
  }
  return clickIds
}

const figureOf = (
  comparison: Comparison,
  { threads }: BenchSettings,
  more: Readonly<Record<string, unknown>>,
): Figure => ({
  value: comparison.ratio,
  note:
    `${Math.round(comparison.our_requests_per_second).toLocaleString('en-US')} ÷ ` +
    `${Math.round(comparison.bare_requests_per_second).toLocaleString('en-US')} requests/s, ` +
    `median of ${comparison.rounds.length} pairs, ${loadTool}, ${comparison.connections} connections, edge of ${threads} threads`,
  details: { ...comparison, edge_threads: threads, ...more },
})

async function maximumRate(port: number, requests: readonly LoadRequest[], settings: BenchSettings): Promise<number> {
  await runLoad({ port, requests, connections: settings.connections, seconds: settings.seconds })
  const { requests_per_second } = await runLoad({
    port,
    requests,
    connections: settings.connections,
    seconds: settings.seconds,
  })
  return requests_per_second
}

const LATENCY_SECONDS = 20
/** As many as are busy at this rate: the edge closes what stays idle for long, and the client would take that for an error. */
const LATENCY_CONNECTIONS = 64

async function measureLatency(
  port: number,
  requests: readonly LoadRequest[],
  clicksPerSecondMax: number,
): Promise<Figure> {
  const requestsPerSecond = Math.round(clicksPerSecondMax / 2)
  const input: ConstantRateInput = {
    port,
    requests: requests.map((request) => httpText(request, port)),
    requestsPerSecond,
    seconds: LATENCY_SECONDS,
    warmUpSeconds: 3,
    connections: LATENCY_CONNECTIONS,
    status: 302,
  }
  const result = await runProcess<ConstantRateResult>(new URL('./constant-rate.ts', import.meta.url), input)
  if (result.errors > 0) throw new Error(`${result.errors} of the clicks at a constant rate failed`)
  return {
    value: result.p99_ms,
    note:
      `open loop, ${requestsPerSecond.toLocaleString('en-US')} clicks/s for ${LATENCY_SECONDS} s, ` +
      `p50 ${result.p50_ms.toFixed(1)} ms, p99.9 ${result.p999_ms.toFixed(1)} ms`,
    details: { ...result },
  }
}
