import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createSeededRandom, type SeededRandom } from '#demo'
import {
  fillDisk,
  mountSmallDisk,
  slowCommits,
  stopImmediately,
  takeAllConnections,
  terminateSessions,
  unmountDisk,
  untilBack,
} from './break-postgres.ts'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultReport, FaultSettings, FaultTest } from './fault-test.ts'
import { openFaultSite, type FaultSite } from './site.ts'

const DISK_MEGABYTES = 400
const REST_SECONDS_MAX = 120
const ENDPOINTS = { one: { timeout_ms: 1_000, max_attempts: 50 }, two: { timeout_ms: 1_000, max_attempts: 50 } }
const BREATH_MS = 1_000

export const postgresFaults: FaultTest = {
  shows:
    'PostgreSQL stopped at once, sessions ended, connections used up, commits slow, disk full: nothing is lost or ends twice',
  run: async (settings) => {
    const disk = join(settings.directory, 'disk')
    const refusal = mountSmallDisk(disk, DISK_MEGABYTES)
    try {
      return await hurt(settings, refusal === undefined ? disk : undefined, refusal)
    } finally {
      if (refusal === undefined) unmountDisk(disk)
    }
  },
}

/** @param disk small, and holds the database; undefined: none could be made */
async function hurt(
  settings: FaultSettings,
  disk: string | undefined,
  refusal: string | undefined,
): Promise<FaultReport> {
  const seconds = settings.seconds ?? (settings.isShort ? 3 : 15)
  const random = createSeededRandom(settings.seed)
  await using site = await openFaultSite({
    ...settings,
    ...(disk === undefined ? {} : { postgresDir: join(disk, 'postgres') }),
    settings: { max_connections: '30', max_wal_size: '64MB' },
    affiliateIds: ['ada'],
    endpoints: ENDPOINTS,
    answer: () => ({ status: 204, delayMs: random.integer(0, 60) }),
  })
  const workers = await Promise.all([site.startWorker(), site.startWorker({ poolMax: 2 })])
  await Promise.all(workers.map(({ ready }) => ready))
  const producer = site.startProducer({ perSecond: 60 })
  await delay(BREATH_MS)
  const seen = await hurtInTurn(site, seconds, random, disk, settings.tell)
  settings.tell('no more faults')
  const production = await producer.stop()
  await untilBack(site)
  const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
  await site.stopWorkers()
  const { findings, counts } = await checkDeliveries({
    ...site,
    arrivals: site.receiver.arrivals,
    acknowledged: production.committedAt.keys(),
    endpointsOf: () => Object.keys(ENDPOINTS),
  })
  return {
    did: [`each fault for about ${seconds} s under load, two workers, one of them with two connections`],
    seen: { ...seen, 'transactions of the producer that failed': production.failures },
    figures: { ...counts },
    skipped: refusal === undefined ? [] : [`full disk: ${refusal}`],
    findings: [...notAtRest(unended), ...findings],
  }
}

async function hurtInTurn(
  site: FaultSite,
  seconds: number,
  random: SeededRandom,
  disk: string | undefined,
  tell: (phase: string) => void,
): Promise<Record<string, number>> {
  const faults: Readonly<Record<string, () => Promise<number>>> = {
    'immediate stops': async () =>
      (await stopImmediately(site)) + (await delay(BREATH_MS), await stopImmediately(site)),
    'sessions ended': () => terminateSessions(site, seconds, random),
    'connections refused for want of any': () => takeAllConnections(site, seconds),
    'commits that took a tenth of a second': () => slowCommits(site, seconds),
    ...(disk === undefined ? {} : { 'writes refused on a full disk': () => fillDisk(site, disk, seconds) }),
  }
  const seen: Record<string, number> = {}
  for (const [name, strike] of Object.entries(faults)) {
    tell(name)
    seen[name] = await strike()
    await untilBack(site)
    await delay(BREATH_MS)
  }
  return seen
}
