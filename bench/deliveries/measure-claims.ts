import { setTimeout as delay } from 'node:timers/promises'
import { createPool, type Tx } from '#platform/postgres'
import type { Figure } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { percentile, roundTo } from '../statistics.ts'
import type { ClaimTimes } from './claim-times.ts'
import { allAffiliates, ENDPOINTS } from './configuration.ts'
import type { Production } from './produce.ts'
import type { DeliverySite, ReceivingSite } from './site.ts'
import { openWorkerSite, type WorkerSite } from './worker-site.ts'

const DELIVERIES_PER_SECOND = 2_000
const WARM_UP_SECONDS = 3

/** Claims within a while. */
type Claims = {
  readonly claims: number
  readonly rows_per_claim: number
  readonly p50_ms: number
  readonly p99_ms: number
}

function summarize({ times, rows }: ClaimTimes): Claims {
  if (times.length === 0) throw new Error('no claim was seen: has its statement another form?')
  return {
    claims: times.length,
    rows_per_claim: roundTo(rows / times.length, 3),
    p50_ms: roundTo(percentile(times, 0.5), 3),
    p99_ms: roundTo(percentile(times, 0.99), 3),
  }
}

const describe = ({ p50_ms, p99_ms, rows_per_claim }: Claims): string =>
  `p99 ${p99_ms} ms (p50 ${p50_ms}, ${rows_per_claim} rows)`

/** Claims at a steady rate before, and after so many minutes with, a transaction that stays open: dead rows cannot be removed
 * meanwhile.
 */
export async function measureXmin(site: DeliverySite, settings: BenchSettings): Promise<Figure> {
  await using receiving = await site.openReceiver({ origins: settings.origins, hasTls: false })
  await using work = await openWorkerSite(receiving, { ...settings, timesClaims: true })
  const { worker, database } = work
  await worker.ask('start')
  const heldSeconds = settings.minutes * 60
  const total = WARM_UP_SECONDS + settings.seconds + heldSeconds + 1
  const produced = produceSteadily(work, 0, total, allAffiliates)
  await delay(WARM_UP_SECONDS * 1000)
  const before = await claimsWithin(work, settings.seconds)
  await using _held = await holdSnapshot(database.url)
  const windows: Claims[] = []
  for (let held = 0; held < heldSeconds; held += settings.seconds) {
    windows.push(await claimsWithin(work, Math.min(settings.seconds, heldSeconds - held)))
    if (windows.length % 6 === 0) console.error(`  ${held + settings.seconds} s held: ${describe(windows.at(-1)!)}`)
  }
  const { late_ms_max } = await produced
  const endedAt = performance.now()
  await work.arrived(total * DELIVERIES_PER_SECOND)
  // How far the worker was behind when the last conversion was committed.
  const behindSeconds = roundTo((performance.now() - endedAt) / 1000, 3)
  const after = middleOf(windows.slice(-Math.ceil(60 / settings.seconds)))
  return {
    value: after.p99_ms / before.p99_ms,
    note:
      `claim ${describe(after)} ÷ ${describe(before)} at ${DELIVERIES_PER_SECOND.toLocaleString('en-US')}/s, ` +
      `a REPEATABLE READ transaction open for ${settings.minutes} min; worker ${behindSeconds} s behind at its end`,
    details: { before, windows, seconds_of_a_window: settings.seconds, late_ms_max, behind_seconds: behindSeconds },
  }
}

/** Of the windows of the last minute the one with the median p99: that of a few seconds is decided by two dozen claims. */
const middleOf = (windows: readonly Claims[]): Claims =>
  windows.toSorted((a, b) => a.p99_ms - b.p99_ms)[Math.floor((windows.length - 1) / 2)]!

/** Claims beside, and out of, so many waiting deliveries, compared with the same work on a table that holds nothing else. The
 * figure is the worse of both.
 */
export async function measureBacklog(site: DeliverySite, settings: BenchSettings): Promise<Figure> {
  await using receiving = await site.openReceiver({ origins: settings.origins, hasTls: false })
  const small = await claimBesideAndOutOf(receiving, settings, { beside: 0, outOf: settings.deliveries })
  const large = await claimBesideAndOutOf(receiving, settings, { beside: settings.records, outOf: settings.records })
  const ratios = {
    beside: large.beside.p99_ms / small.beside.p99_ms,
    out_of: large.outOf.p99_ms / small.outOf.p99_ms,
  }
  return {
    value: Math.max(ratios.beside, ratios.out_of),
    note:
      `with ${settings.records.toLocaleString('en-US')} waiting: beside them at ${DELIVERIES_PER_SECOND.toLocaleString('en-US')}/s ` +
      `${describe(large.beside)} ÷ ${describe(small.beside)}; draining them ${describe(large.outOf)} ÷ ${describe(small.outOf)}`,
    details: { ratios, small, large },
  }
}

/** Half of the endpoints have what waits, the other half get what comes. */
const waitingAffiliates = allAffiliates.slice(0, ENDPOINTS / 2)
const servedAffiliates = allAffiliates.slice(ENDPOINTS / 2)

/** First the endpoints with the backlog are paused and others are served at a steady rate; then the backlog itself is worked off at
 * full speed. Where nothing waits beside, the backlog is queued in between.
 */
async function claimBesideAndOutOf(
  receiving: ReceivingSite,
  settings: BenchSettings,
  { beside, outOf }: { readonly beside: number; readonly outOf: number },
): Promise<{ readonly beside: Claims; readonly outOf: Claims }> {
  const { seconds } = settings
  const arrivedBefore = (WARM_UP_SECONDS + seconds) * DELIVERIES_PER_SECOND
  const fill = (work: WorkerSite, count: number): Promise<void> =>
    work.producer.ask('fill', { from: arrivedBefore, count, affiliateIds: waitingAffiliates })
  await using work = await openWorkerSite(receiving, { ...settings, timesClaims: true })
  const { worker, database } = work
  if (beside > 0) await fill(work, beside)
  await database.settle()
  await worker.ask('pause', waitingAffiliates)
  await worker.ask('start')
  const produced = produceSteadily(work, 0, WARM_UP_SECONDS + seconds, servedAffiliates)
  await delay(WARM_UP_SECONDS * 1000)
  const claimsBeside = await claimsWithin(work, seconds)
  await produced
  await work.arrived(arrivedBefore)
  await worker.ask('stop')
  if (beside === 0) await fill(work, outOf)
  await database.settle()
  await worker.ask('resume')
  await worker.ask('start')
  return { beside: claimsBeside, outOf: await claimsWithin(work, seconds) }
}

const produceSteadily = (
  { producer }: WorkerSite,
  from: number,
  seconds: number,
  affiliateIds: readonly string[],
): Promise<Production> =>
  producer.ask('produce', { perSecond: DELIVERIES_PER_SECOND, seconds, from, kind: 'deliveries', affiliateIds })

async function claimsWithin({ worker }: WorkerSite, seconds: number): Promise<Claims> {
  await worker.ask('takeClaimTimes')
  await delay(seconds * 1000)
  return summarize(await worker.ask('takeClaimTimes'))
}

/** A transaction that has taken its snapshot and keeps it. */
async function holdSnapshot(databaseUrl: string): Promise<AsyncDisposable> {
  const pool = createPool(databaseUrl, { max: 1 })
  const tx: Tx = await pool.connect()
  await tx.query('SET idle_in_transaction_session_timeout = 0')
  await tx.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await tx.query('SELECT count(*) FROM config_versions')
  return {
    [Symbol.asyncDispose]: async () => {
      tx.release(true)
      await pool.end()
    },
  }
}
