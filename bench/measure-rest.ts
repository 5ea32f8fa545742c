import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { findFreePort } from '#platform/ports'
import { eventually, installationEnvironment, repositoryDir, type Installation } from '../test/e2e/installation.ts'
import { createBenchVisits, type BenchSite } from './bench-site.ts'
import { httpText, type LoadRequest } from './load.ts'
import { measureProcessTree } from './process-figures.ts'
import type { ConstantRateInput, ConstantRateResult } from './constant-rate.ts'
import { runProcess } from './child-processes.ts'
import type { Figure, RowName } from './rows.ts'
import { median, percentile } from './statistics.ts'

/** The rows of a whole installation: edge, pipeline, delivery, API and both engines on this machine. */
export async function measureRest(
  site: BenchSite,
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  if (isWanted('start')) keep('start', await measureStart(site))
  if (!isWanted('visible') && !isWanted('memory')) return
  const installation = await site.start()
  try {
    if (isWanted('memory')) keep('memory', await measureIdleMemory(installation))
    if (isWanted('visible')) keep('visible', await measureVisible(installation))
  } finally {
    await installation.stop()
  }
}

const STARTS = 3
const START_MS_MAX = 60_000

/** `npm start` on a data directory that has been used, until a link is answered with a redirect. */
async function measureStart(site: BenchSite): Promise<Figure> {
  const seconds: number[] = []
  for (let round = 0; round < STARTS; round++) seconds.push(await timeOneStart(site))
  return {
    value: median(seconds),
    note: `\`npm start\` to a 302, median of ${STARTS} (${seconds.map((one) => one.toFixed(1)).join(', ')} s)`,
    details: { seconds },
  }
}

async function timeOneStart(site: BenchSite): Promise<number> {
  const edgePort = await findFreePort()
  const env = installationEnvironment({ dataDir: site.dataDir, edgePort, apiPort: await findFreePort() })
  const startedAt = performance.now()
  const npm = spawn('npm', ['start'], { cwd: repositoryDir, env, stdio: 'ignore', detached: true })
  const exited = once(npm, 'exit')
  await eventually(
    () => statusOf(`http://127.0.0.1:${edgePort}/world`),
    (status) => status === 302,
    START_MS_MAX,
  )
  const tookSeconds = (performance.now() - startedAt) / 1000
  // Stopped only when it runs whole: a start that is cut short is another case.
  await eventually(
    () => statusOf(`http://127.0.0.1:${env['WAYPOST_API_PORT']}/readyz`),
    (status) => status === 200,
    START_MS_MAX,
  )
  process.kill(-npm.pid!, 'SIGTERM')
  await exited
  return tookSeconds
}

async function statusOf(url: string): Promise<number> {
  try {
    const response = await fetch(url, { redirect: 'manual' })
    await response.arrayBuffer()
    return response.status
  } catch {
    // Not there yet.
    return 0
  }
}

const IDLE_SECONDS = 30

async function measureIdleMemory({ pid }: Installation): Promise<Figure> {
  await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1000))
  const processes = measureProcessTree(pid)
  const bytes = processes.reduce((sum, { pss_bytes }) => sum + pss_bytes, 0)
  const parts = processes
    .toSorted((a, b) => b.pss_bytes - a.pss_bytes)
    .map(({ pss_bytes, command }) => ({ megabytes: Math.round(pss_bytes / 1e6), command }))
  return {
    value: bytes / 1e6,
    note: `sum of PSS over ${processes.length} processes, idle for ${IDLE_SECONDS} s after a start`,
    details: { processes: parts },
  }
}

const EVENTS_PER_SECOND = 1_000
const VISIBLE_SECONDS = 30
const WARM_UP_SECONDS = 5
const PROBE_EVERY_MS = 80
const LOOK_EVERY_MS = 20
const LATE_MS_MAX = 20_000

/** Beside a steady load of 1,000 clicks and events a second, clicks with a number of their own in sub30: how long after the
 * redirect does a report grouped by sub30 show it? The time between two looks and the report itself are in the figure.
 */
async function measureVisible(installation: Installation): Promise<Figure> {
  const port = Number(new URL(installation.edgeUrl).port)
  const load = runProcess<ConstantRateResult>(new URL('./constant-rate.ts', import.meta.url), {
    port,
    requests: (await mixedRequests(installation)).map((request) => httpText(request, port)),
    requestsPerSecond: EVENTS_PER_SECOND,
    seconds: VISIBLE_SECONDS,
    warmUpSeconds: WARM_UP_SECONDS,
    connections: 32,
    status: 204,
  } satisfies ConstantRateInput)
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_SECONDS * 1000))
  const answeredAt = new Map<string, number>()
  const seenAt = new Map<string, number>()
  const end = performance.now() + (VISIBLE_SECONDS - 2) * 1000
  await Promise.all([sendProbes(installation, answeredAt, end), watchReport(installation, answeredAt, seenAt, end)])
  const result = await load
  const delays = [...answeredAt].map(([probe, at]) => (seenAt.get(probe) ?? Number.POSITIVE_INFINITY) - at)
  return {
    value: percentile(delays, 0.99),
    note:
      `${delays.length} clicks watched through /v1/reports beside ${EVENTS_PER_SECOND.toLocaleString('en-US')} events/s ` +
      `for ${VISIBLE_SECONDS} s, p50 ${Math.round(percentile(delays, 0.5))} ms`,
    details: { delays_ms: delays.map(Math.round), load: result },
  }
}

/** Events for clicks made just before: opens, registrations (conversions and bookings with them), departures. */
async function mixedRequests(installation: Installation): Promise<readonly LoadRequest[]> {
  const nextVisit = await createBenchVisits(3)
  const requests: LoadRequest[] = []
  for (let click = 0; click < 360; click++) {
    const { path, headers } = nextVisit()
    const response = await fetch(`${installation.edgeUrl}${path}`, { headers, redirect: 'manual' })
    await response.arrayBuffer()
    const clickid = new URL(response.headers.get('location') ?? '').searchParams.get('cid')
    for (let event = 0; event < 100; event++) {
      const type = event % 20 === 0 ? 'reg' : event % 2 === 0 ? 'open' : 'lp_leave'
      const body = JSON.stringify({
        type,
        clickid,
        txid: `t${event}`,
        event_id: crypto.randomUUID(),
        screen: '390x844',
      })
      requests.push({
        method: 'POST',
        path: '/event',
        headers: { ...headers, 'content-type': 'application/json' },
        body,
      })
    }
  }
  return requests
}

async function sendProbes(installation: Installation, answeredAt: Map<string, number>, end: number): Promise<void> {
  for (let probe = 0; performance.now() < end; probe++) {
    const response = await fetch(`${installation.edgeUrl}/world?sub30=probe-${probe}`, { redirect: 'manual' })
    await response.arrayBuffer()
    answeredAt.set(`probe-${probe}`, performance.now())
    await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS))
  }
}

type ReportRows = { readonly rows: readonly { readonly sub30: string }[] }

async function watchReport(
  installation: Installation,
  answeredAt: ReadonlyMap<string, number>,
  seenAt: Map<string, number>,
  end: number,
): Promise<void> {
  while (performance.now() < end || (seenAt.size < answeredAt.size && performance.now() < end + LATE_MS_MAX)) {
    const report = await installation.api<ReportRows>('/v1/reports?group_by=sub30&metrics=clicks&limit=10000')
    const now = performance.now()
    for (const { sub30 } of report.rows) if (answeredAt.has(sub30) && !seenAt.has(sub30)) seenAt.set(sub30, now)
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}
