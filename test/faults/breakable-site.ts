import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLogLines } from '#platform/log-lines'
import { findFreePort } from '#platform/ports'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '#platform/postgres'
import {
  installationEnvironment,
  mainModule,
  repositoryDir,
  runWaypost,
  type CommandResult,
} from '../e2e/installation.ts'
import { superviseProcess, type SupervisedProcess } from './supervised-process.ts'
import { startTcpProxy } from './tcp-proxy.ts'

/** One installation with every part in a process of its own, so that each can die alone. All share one data directory.
 *
 *   load client ──▶ edge ──▶ log ◀── main (pipeline, delivery, API)    delivery (a second one) ──▶ receiver
 *                                          └──────── proxy ──▶ PostgreSQL ◀──┘
 */
export type BreakableSite = {
  readonly dataDir: string
  readonly edgeUrl: string
  readonly apiUrl: string
  readonly databaseUrl: string
  readonly edge: SupervisedProcess
  readonly main: SupervisedProcess
  readonly delivery: SupervisedProcess
  /** SIGKILL to the server; it is started again at once. */
  readonly killPostgres: () => boolean
  readonly postgresIsAway: () => Promise<void>
  readonly postgresIsBack: () => Promise<void>
  /** Breaks every connection to the database once. */
  readonly cutConnections: () => void
  readonly waypost: (...args: readonly string[]) => Promise<CommandResult>
  /** Stops the roles and keeps PostgreSQL, so that the numbers can be compared. @returns those that had to be killed */
  readonly stopRoles: () => Promise<readonly string[]>
  readonly stopPostgres: () => Promise<void>
}

export type SiteOptions = {
  readonly dataDir: string
  /** Value of WAYPOST_FAULT_GUARDS_OFF. */
  readonly guardsOff: string
  readonly logDir: string
}

const PASSWORD = 'fault-run'
const RESTART_DELAY_MS = 150

export async function startBreakableSite({ dataDir, guardsOff, logDir }: SiteOptions): Promise<BreakableSite> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  mkdirSync(logDir, { recursive: true })
  const logLines = createLogLines('postgres of the fault run', 'fatal')
  const startPostgres = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), password: PASSWORD, logLines })
  let postgres = await startPostgres()
  const proxy = await startTcpProxy(portOf(postgres.url))
  const databaseUrl = withPort(postgres.url, proxy.port)
  const edgePort = await findFreePort()
  const apiPort = await findFreePort()
  const env = installationEnvironment({
    dataDir,
    edgePort,
    apiPort,
    DATABASE_URL: databaseUrl,
    WAYPOST_LOG_LEVEL: 'info',
    ...(guardsOff === '' ? {} : { WAYPOST_FAULT_GUARDS_OFF: guardsOff }),
  })
  const supervise = (name: string, role: string): SupervisedProcess =>
    superviseProcess({
      name,
      command: process.execPath,
      args: [mainModule, 'serve', '--role', role],
      env,
      cwd: repositoryDir,
      logFile: join(logDir, `${name}.log`),
      restartDelayMs: RESTART_DELAY_MS,
    })
  const started: SupervisedProcess[] = []
  const supervised = (name: string, role: string): SupervisedProcess => {
    const one = supervise(name, role)
    started.push(one)
    return one
  }
  const stopPostgres = async (): Promise<void> => {
    await proxy.stop()
    await postgres.stop()
  }
  try {
    // The main process migrates; the others need what it makes.
    const main = supervised('main', 'pipeline,delivery,api')
    await untilAnswers(`http://127.0.0.1:${apiPort}/readyz`)
    const edge = supervised('edge', 'edge')
    const delivery = supervised('delivery', 'delivery')
    await untilAnswers(`http://127.0.0.1:${edgePort}/healthz`)
    return siteOf(main, edge, delivery)
  } catch (error) {
    await Promise.all(started.map((one) => one.stop()))
    await stopPostgres()
    throw error
  }

  function siteOf(main: SupervisedProcess, edge: SupervisedProcess, delivery: SupervisedProcess): BreakableSite {
    return {
      dataDir,
      edgeUrl: `http://127.0.0.1:${edgePort}`,
      apiUrl: `http://127.0.0.1:${apiPort}`,
      databaseUrl,
      edge,
      main,
      delivery,
      killPostgres: () => {
        if (postgres.pid === 0) return false
        process.kill(postgres.pid, 'SIGKILL')
        return true
      },
      postgresIsAway: async () => {
        proxy.cut()
        await postgres.stop()
      },
      postgresIsBack: async () => {
        postgres = await startPostgres()
        proxy.setTarget(portOf(postgres.url))
        proxy.restore()
      },
      cutConnections: () => {
        proxy.cut()
        proxy.restore()
      },
      waypost: (...args) => runWaypost(args, env),
      stopRoles: async () => {
        const processes = [edge, delivery, main]
        const codes = await Promise.all(processes.map((one) => one.stop()))
        return processes.filter((_, index) => codes[index] !== 0).map(({ name }) => name)
      },
      stopPostgres,
    }
  }
}

const portOf = (url: string): number => Number(new URL(url).port)

function withPort(url: string, port: number): string {
  const changed = new URL(url)
  changed.port = String(port)
  return changed.href
}

const START_MS_MAX = 120_000
const POLL_MS = 50

/** @throws {Error} nothing answered within two minutes */
export async function untilAnswers(url: string): Promise<number> {
  const started = performance.now()
  while (performance.now() - started < START_MS_MAX) {
    if (await isOk(url)) return performance.now() - started
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`${url} did not answer within ${START_MS_MAX} ms`)
}

async function isOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(2_000) })
    await response.arrayBuffer()
    return response.status < 400
  } catch {
    // Not there yet, or not there any more.
    return false
  }
}

/** The configuration that the fault run works with, written to a file of the data directory.
 * @param receiverUrl where every lead and sale is told
 */
export function writeFaultConfiguration(file: string, receiverUrl: string, webhookSecret: string): void {
  writeFileSync(
    file,
    `advertisers:
  acme: { name: Acme, currency: USD, domains: [127.0.0.1] }
affiliates:
  pat: { name: Pat, advertiser_ids: [acme] }
offers:
  ${FAULT_OFFER}:
${OFFER_TERMS}
    caps: [{ cap_id: clicks, metric: clicks, period: total, limit: 100000000 }, ${CONVERSION_CAP}]
  ${CAPPED_OFFER}:
${OFFER_TERMS}
    caps: [{ cap_id: clicks, metric: clicks, period: total, limit: ${CAPPED_OFFER_CLICKS} }, ${CONVERSION_CAP}]
    cap_fallbacks: [${FAULT_OFFER}]
  ${PLAIN_LINK}:
${OFFER_TERMS}
campaigns:
  storm: { advertiser_id: acme, affiliate_id: pat, offer_id: ${CAPPED_OFFER} }
links:
  ${FAULT_LINK}: { campaign_id: storm }
  ${PLAIN_LINK}: { offer_id: ${PLAIN_LINK} }
endpoints:
${ENDPOINTS.map(
  ({ trigger, rule }, number) => `  partner-${number}:
    advertiser_id: acme
    rule: ${rule}
    method: POST
    url: ${receiverUrl}/hook
    triggers: [${trigger}]
    secret: ${webhookSecret}
    allow_private_address: true
    timeout_ms: 1000
    max_concurrency: 8
    max_attempts: 50
`,
).join('')}`,
  )
}

/** Each lead and each sale is told to one of them. Several, so that every delivery process owns some whatever it is that breaks. */
const ENDPOINTS = ['lead', 'sale'].flatMap((trigger) =>
  ['os is Android', 'not os is Android'].flatMap((system) =>
    ['country in (US, BR, MX, DE, GB, NG)', 'not country in (US, BR, MX, DE, GB, NG)'].map((place) => ({
      trigger,
      rule: `${system} and ${place}`,
    })),
  ),
)

export const FAULT_POSTBACK_SECRET = 'secret-of-the-fault-run'
const FAULT_OFFER = 'umbrella'
/** Takes the first clicks; FAULT_OFFER takes all that come after. */
export const CAPPED_OFFER = 'parasol'
/** Reached after some kills, and long before the end. */
export const CAPPED_OFFER_CLICKS = 800
const CONVERSION_CAP = '{ cap_id: conversions, metric: conversions, period: total, limit: 100000000 }'
const OFFER_TERMS = `    advertiser_id: acme
    model: cpa
    hold_days: 3
    prices:
      - { type: lead, payout: '2.50', revenue: '4.00', status: approved }
      - { type: sale, payout: '30.00', revenue: '45.00', status: approved }
    landing_url: 'http://127.0.0.1:9/landing?clickid={clickid}'
    postback: { secrets: [${FAULT_POSTBACK_SECRET}] }`
export const FAULT_LINK = 'storm'
/** To an offer without caps: on a full disk the others take no clicks, and answer 404. */
export const PLAIN_LINK = 'plain'
