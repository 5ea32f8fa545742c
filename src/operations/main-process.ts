/** Everything of an installation that is not the edge, in one process: engines, pipeline, delivery and API. */
import { existsSync } from 'node:fs'

import { setTimeout as delay } from 'node:timers/promises'

import { ensureOwnerKey } from '#accounts'
import { openListedLog, readReport, reportDefaults, savedReportWriter, startApi } from '#api'
import { openSqliteCapState, type CapState } from '#caps'
import type { Config } from '#config'
import { ensureConfiguration, ensureSealed } from '#configuration'
import { keepCosts } from '#costs'
import { fetchRatesDaily } from '#currencies'
import { openEnricher, prepareGeoFiles } from '#enrichment'
import { exportJob } from '#exports'
import { openLmdbHotState, type HotState } from '#hot-state'
import { startJobs, type AnyJobKind } from '#jobs'
import { openFileLog, type EventLog } from '#log'
import { startOptimization } from '#optimization'
import { startPipeline, type Pipeline } from '#pipeline'
import { migrateClickHouse } from '#platform/clickhouse'
import { systemClock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import { findFreePort } from '#platform/ports'
import {
  createPool,
  embeddedPostgresUrl,
  findRunningPostgres,
  isConnectionFailure,
  migratePostgres,
  startEmbeddedPostgres,
  type Pool,
} from '#platform/postgres'
import {
  createGateMetrics,
  keepHistory,
  printWaitingSeries,
  runReplays,
  startDeliveryThreads,
  tellNotices,
  watchQueueLengths,
} from '#postbacks'
import {
  policiesOf,
  retiredFacts,
  retentionJobKinds,
  retentionMetrics,
  retireNightly,
  type RetentionTools,
} from '#retention'
import { knowRetired } from '#reports'
import { runSchedules, scheduledReportJob } from '#saved-reports'
import { followSnapshots, type SnapshotFollower } from '#snapshots'

import { dataPaths, readOrMakeSecrets, type DataPaths, type Secrets } from './data-directory.ts'
import { startEdgeProcess, type EdgeProcess } from './edge/edge-process.ts'
import { openFacts, type Facts } from './engines.ts'
import { examine } from './examine.ts'
import { openSecretKeys } from './open-secret-keys.ts'
import { Parts } from './parts.ts'
import { withFreePort } from './ports.ts'
import { RECONCILE_WAIT_MS } from './reconcile-installation.ts'
import { reconcile } from './reconcile/index.ts'
import type { Role } from './roles.ts'
import { startWatchPage } from './watch-page.ts'

/** The running installation, as far as this process runs it. */
export type Main = {
  readonly edge: EdgeProcess | undefined
  readonly apiPort: number | undefined
  /** Of health and metrics, in a process without the API. */
  readonly metricsPort: number | undefined
  /** Undefined where PostgreSQL is the operator's own. */
  readonly postgresPid: number | undefined
  readonly configVersion: number
  /** Stops everything in order. Safe to call twice. */
  stop(): Promise<void>
}

export type MainOptions = {
  readonly config: Config
  readonly roles: readonly Role[]
  /** File and arguments that start the edge's own process. */
  readonly program: readonly [file: string, ...args: string[]]
  readonly logLines: LogLines
  /** Ends a wait for a server that is away. */
  readonly stopSignal: AbortSignal
  /** Told after each step, for the person who waits. */
  readonly onProgress: (step: string) => void
}

/** Starts the roles with everything that they need; what did start is stopped again when something does not.
 * @throws {Error} with one clear sentence
 */
export async function startMain(options: MainOptions): Promise<Main> {
  const parts = new Parts(options.logLines)
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= parts.stop())
  try {
    return { ...(await startParts(options, parts)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startParts(options: MainOptions, parts: Parts): Promise<Omit<Main, 'stop'>> {
  const { config, roles } = options
  const paths = dataPaths(config.dataDir)
  const secrets = readOrMakeSecrets(paths.secrets)
  openSecretKeys(config, paths)
  refuseSecondStart(config, paths, secrets)
  const port = config.databaseUrl === undefined ? await findFreePort() : 0
  const databaseUrl = config.databaseUrl ?? embeddedPostgresUrl(port, secrets.postgresPassword)
  const start: Start = { ...options, parts, paths, secrets, databaseUrl, port }

  const stores = await timed(start, 'Event log and click index open', () => openStores(start))
  // The edge and the engines start beside each other.
  const [edge, database, facts] = await allOrFirstFailure([
    roles.includes('edge') ? timed(start, 'Edge listens', () => startEdge(start)) : undefined,
    timed(start, 'PostgreSQL ready', () => openDatabase(start)),
    needsFacts(roles) ? timed(start, 'ClickHouse ready', () => openMigratedFacts(start)) : undefined,
  ] as const)
  const snapshots = await followConfiguration(start)
  const { apiPort, metricsPort } = await timed(start, 'Pipeline, delivery and API ready', () =>
    startRoles(start, {
      ...{ ...stores, snapshots, facts },
      pool: database.pool,
      caps: openCaps(start),
      edgePort: edge?.port ?? config.edgePort,
    }),
  )
  return { edge, apiPort, metricsPort, postgresPid: database.serverPid, configVersion: database.configVersion }
}

/** What every step of the start needs. */
type Start = MainOptions & {
  readonly parts: Parts
  readonly paths: DataPaths
  readonly secrets: Secrets
  readonly databaseUrl: string
  /** Of the embedded PostgreSQL. */
  readonly port: number
}

async function timed<T>({ onProgress }: Start, step: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await work()
  onProgress(`${step} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)`)
  return result
}

/** Waits for all, also when one fails: what the others have started is known and can be stopped by then. */
async function allOrFirstFailure<T extends readonly unknown[]>(
  work: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work)
  return Promise.all(work)
}

const needsFacts = (roles: readonly Role[]): boolean => roles.includes('pipeline') || roles.includes('api')

function refuseSecondStart(config: Config, paths: DataPaths, secrets: Secrets): void {
  const running =
    config.databaseUrl === undefined ? findRunningPostgres(paths.postgres, secrets.postgresPassword) : undefined
  if (running === undefined) return
  throw new Error(`Waypost already runs on ${paths.directory} (process ${running.owner}). Stop it, or set another WAYPOST_DATA_DIR.`) // prettier-ignore
}

async function openStores({ paths, parts, roles, logLines }: Start): Promise<{ log: EventLog; hotState: HotState }> {
  const log = await openFileLog({ directory: paths.log, logLines })
  parts.add('event log', () => log.close())
  const hotState = openLmdbHotState({ directory: paths.hotState, readOnly: !roles.includes('pipeline') })
  parts.add('hot state', () => hotState.close())
  return { log, hotState }
}

async function startEdge({ config, paths, parts, program, databaseUrl, logLines }: Start): Promise<EdgeProcess> {
  const edge = await startEdgeProcess({
    program,
    environment: {
      WAYPOST_DATA_DIR: paths.directory,
      WAYPOST_EDGE_PORT: String(config.edgePort),
      DATABASE_URL: databaseUrl,
    },
    logLines,
  })
  parts.add('edge', () => edge.stop())
  return edge
}

/** Connections of the main process: with those of the edge and of short commands below the 60 of the embedded server. */
const CONNECTIONS_MAX = 24

type Database = { readonly pool: Pool; readonly serverPid: number | undefined; readonly configVersion: number }

async function openDatabase(start: Start): Promise<Database> {
  const { config, paths, parts, secrets, logLines } = start
  let serverPid: number | undefined
  if (config.databaseUrl === undefined) {
    const server = await startEmbeddedPostgres({
      dataDir: paths.postgres,
      password: secrets.postgresPassword,
      port: start.port,
      logLines,
    })
    parts.add('postgres', () => server.stop())
    // Last resort when this process ends in any other way than by the orderly stop.
    process.on('exit', () => server.pid > 0 && process.kill(server.pid, 'SIGINT'))
    serverPid = server.pid
  }
  const pool = createPool(start.databaseUrl, { max: CONNECTIONS_MAX, applicationName: 'waypost main' })
  parts.add('connections', () => pool.end())
  await onceReachable(start, 'PostgreSQL', isConnectionFailure, () => migratePostgres(pool))
  const configVersion = await ensureConfiguration(pool)
  await ensureSealed(pool)
  await ensureOwnerKey(pool, secrets.ownerApiKey, { name: 'secrets.json', clock: systemClock })
  if (config.apiKey !== undefined)
    await ensureOwnerKey(pool, config.apiKey, { name: 'WAYPOST_API_KEY', clock: systemClock })
  return { pool, serverPid, configVersion }
}

async function openMigratedFacts(start: Start): Promise<Facts> {
  const { config, paths, parts } = start
  return onceReachable(
    start,
    'ClickHouse',
    () => config.clickhouseUrl !== undefined,
    async () => {
      const facts = await openFacts(config, paths)
      parts.add('facts', facts.close)
      await migrateClickHouse(facts.value.writer)
      return facts.value
    },
  )
}

const RETRY_DELAY_MS = 2_000

/** An installation that has worked before waits for a server that is away: its edge redirects meanwhile. One that has never
 * worked fails at once: the address is probably wrong.
 */
async function onceReachable<T>(
  { paths, logLines, onProgress, stopSignal }: Start,
  name: string,
  isAway: (error: unknown) => boolean,
  work: () => Promise<T>,
): Promise<T> {
  const hasWorkedBefore = existsSync(paths.snapshot)
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isAway(error)) throw error
      if (!hasWorkedBefore) throw new Error(`${name} cannot be reached: ${(error as Error).message}`, { cause: error })
      if (attempt === 1) onProgress(`${name} does not answer; trying until it does`)
      logLines.warn({ err: error, attempt }, `${name} does not answer`)
      await delay(RETRY_DELAY_MS, undefined, { signal: stopSignal })
    }
  }
}

async function followConfiguration({ databaseUrl, paths, parts, logLines }: Start): Promise<SnapshotFollower> {
  const snapshots = followSnapshots({ databaseUrl, cacheFile: paths.snapshot, logLines, clock: systemClock })
  parts.add('configuration', () => snapshots.stop())
  await snapshots.firstLook()
  return snapshots
}

/** Opened after the edge has its own: to put a saved copy back after a power cut takes a moment. */
function openCaps({ paths, parts }: Start): CapState {
  const caps = openSqliteCapState({ directory: paths.caps })
  parts.add('caps', () => caps.close())
  return caps
}

const DAY_MS = 86_400_000

type Shared = {
  readonly log: EventLog
  readonly hotState: HotState
  readonly snapshots: SnapshotFollower
  readonly pool: Pool
  readonly facts: Facts | undefined
  readonly caps: CapState
  readonly edgePort: number
}

/** Starts the roles of this process, each after what it feeds.
 * @returns where the API listens, or else the pages for operators
 */
async function startRoles(start: Start, shared: Shared): Promise<Pick<Main, 'apiPort' | 'metricsPort'>> {
  const { roles } = start
  const metrics: MetricsText[] = []
  const jobKinds: AnyJobKind[] = []
  if (shared.facts !== undefined) {
    const { reader } = shared.facts
    const { places } = retentionOf(start.config, start.paths)
    knowRetired(reader, retiredFacts({ pool: shared.pool, facts: reader, places }))
  }
  if (roles.includes('delivery')) metrics.push(startDeliveryRole(start, shared))
  const pipeline = roles.includes('pipeline') ? await startPipelineRole(start, shared) : undefined
  if (pipeline !== undefined) metrics.push(() => pipeline.readMetrics())
  if (shared.facts !== undefined) jobKinds.push(startScheduledReports(start, shared, shared.facts))
  if (roles.includes('pipeline')) {
    const tools = retentionTools(start, shared)
    jobKinds.push(...retentionJobKinds(tools))
    const nightly = retireNightly(tools, start.logLines)
    start.parts.add('retention', () => nightly.stop())
    metrics.push(() => retentionMetrics(shared.pool, systemClock.now()))
  }
  if (roles.includes('api')) jobKinds.push(exportsOf(start, shared))
  if (jobKinds.length > 0) {
    const jobs = startJobs({ pool: shared.pool, kinds: jobKinds, logLines: start.logLines })
    start.parts.add('jobs', () => jobs.stop())
  }
  if (roles.includes('api'))
    return { apiPort: await startApiRole(start, shared, pipeline, metrics), metricsPort: undefined }
  return { apiPort: undefined, metricsPort: await startWatching(start, shared, metrics) }
}

/** Reports fall due wherever there are facts to answer them from.
 * @returns the job that makes one
 */
function startScheduledReports({ parts, logLines }: Start, { pool, snapshots }: Shared, { reader }: Facts): AnyJobKind {
  const clock = systemClock
  const schedules = runSchedules({ pool, clock, logLines })
  parts.add('schedules', () => schedules.stop())
  return scheduledReportJob({ pool, clock, write: savedReportWriter({ pool, snapshots, clock, facts: reader }) })
}

/** Raw facts past their age are retired where they are written. */
function retentionTools({ config, paths }: Start, { pool, facts, snapshots }: Shared): RetentionTools {
  const { byDefault, places } = retentionOf(config, paths)
  return {
    ...{ pool, places, clock: systemClock, facts: facts!.archivist },
    policies: () => policiesOf(byDefault, snapshots.current()?.advertisers),
  }
}

const retentionOf = (config: Config, paths: DataPaths) => ({
  byDefault: { rawDays: config.rawDays, archive: config.rawArchive },
  // A server has a disk of its own.
  places: { directory: config.clickhouseUrl === undefined ? paths.archive : undefined, s3: config.s3 },
})
/** Where the API is, because it hands out the files. */
const exportsOf = ({ paths }: Start, { facts, snapshots, pool }: Shared): AnyJobKind =>
  exportJob({
    facts: facts!.reader,
    directory: paths.exports,
    defaultsFor: (tenant, only) => reportDefaults(tenant, only, { snapshots, clock: systemClock }),
    readReport: (tenant, query) => readReport({ snapshots, pool, clock: systemClock }, tenant, query),
    openList: (tenant, input) =>
      openListedLog({ snapshots, pool, clock: systemClock, facts: facts!.reader }, tenant, input),
  })

/** A process without the API has no other page that tells how it is. */
async function startWatching(
  { config, roles, parts, logLines }: Start,
  { pool, snapshots }: Shared,
  metrics: readonly MetricsText[],
): Promise<number> {
  const { metricsHost: host, metricsPort } = config
  const page = await withFreePort('WAYPOST_METRICS_PORT', metricsPort, () =>
    startWatchPage({ host, port: metricsPort, roles, pool, snapshots, metrics, logLines }),
  )
  parts.add('watch page', () => page.stop())
  return page.port
}

/** Text for GET /metrics. */
type MetricsText = () => string | Promise<string>

function startDeliveryRole(
  { config, paths, parts, logLines, databaseUrl }: Start,
  { pool, snapshots }: Shared,
): MetricsText {
  const delivery = startDeliveryThreads({
    ...{ databaseUrl, snapshots, logLines },
    secretKeys: config.secretKeys.length > 0 ? { keys: config.secretKeys } : { file: paths.secretKeys },
    proxy: config.postbackProxy,
    isLeaseFenced: !config.faultGuardsOff.has('fence'),
    logLevel: config.logLevel,
    threads: config.deliveryThreads,
    perHostMax: config.postbackHostConcurrency,
  })
  parts.add('delivery', () => delivery.stop())
  const replays = runReplays({ pool, logLines })
  parts.add('replays', () => replays.stop())
  const notices = tellNotices({ pool, snapshots, logLines })
  parts.add('notices', () => notices.stop())
  return delivery.metrics
}

async function startPipelineRole({ config, parts, logLines }: Start, shared: Shared): Promise<Pipeline> {
  const { log, hotState, pool, facts, caps, snapshots } = shared
  const retention = { ...config.deliveryRetention, clickDays: config.clickIndexDays }
  const history = keepHistory({ pool, logLines, retention, facts: facts!.writer, clock: systemClock })
  parts.add('history', () => history.stop())
  const pipeline = await startPipeline({
    ...{ log, hotState, pool, caps, snapshots, logLines, facts: facts!.writer, clock: systemClock },
    clickIndexMs: config.clickIndexDays * DAY_MS,
    logRetention: config.logRetention,
    guardsOff: config.faultGuardsOff,
  })
  parts.add('pipeline', () => pipeline.stop())
  const optimization = startOptimization({ pool, caps, snapshots, logLines, facts: facts!.reader, clock: systemClock })
  parts.add('optimization', () => optimization.stop())
  const costs = keepCosts({ pool, logLines, facts: facts!.reader, clock: systemClock })
  parts.add('costs', () => costs.stop())
  if (config.ratesUrl !== undefined) {
    const rates = fetchRatesDaily({ pool, logLines, url: config.ratesUrl, clock: systemClock })
    parts.add('rates', () => rates.stop())
  }
  return pipeline
}

async function startApiRole(
  { config, paths, parts, logLines }: Start,
  { log, hotState, pool, facts, caps, snapshots, edgePort }: Shared,
  /** Undefined: it runs in another process. */
  pipeline: Pipeline | undefined,
  /** Of the other roles of this process. */
  otherMetrics: readonly MetricsText[],
): Promise<number> {
  const reader = facts!.reader
  const lengths = watchQueueLengths({ pool, logLines })
  parts.add('queue lengths', () => lengths.stop())
  const waitingMetrics = (): string => {
    const sample = lengths.current()
    return sample === undefined ? '' : printWaitingSeries(sample, systemClock.now())
  }
  const metrics = [...otherMetrics, createGateMetrics(pool), waitingMetrics]
  const capPlace = pipeline && (() => pipeline.capPlace())
  const operations = {
    doctor: async () => ({
      findings: await examine({ config, pool, facts: reader, log, clock: systemClock, ...(capPlace && { capPlace }) }),
    }),
    reconcile: () =>
      reconcile({
        ...{ log, pool, facts: reader, waitMsMax: RECONCILE_WAIT_MS },
        caps: { directory: paths.caps, ...(capPlace && { place: capPlace }) },
      }),
  }
  const api = await withFreePort('WAYPOST_API_PORT', config.apiPort, () =>
    startApi({
      ...{ log, hotState, pool, caps, snapshots, logLines, metrics, facts: reader, clock: systemClock },
      config: { ...config, edgePort },
      openEnricher: () => openEnricher(prepareGeoFiles(paths.geo)),
      exportsDirectory: paths.exports,
      operations,
      retention: retentionOf(config, paths),
      queueLengths: lengths.current,
    }),
  )
  parts.add('api', () => api.stop())
  return api.port
}
