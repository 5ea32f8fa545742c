/** The delivery engine as the main process runs it: fair claims, signatures, one row per attempt. */
import { inTransaction, createPool, type Pool } from '#platform/postgres'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { startDelivery, workerSettings, type Delivery } from '#postbacks'
import type { Snapshot } from '#routing'
import { answerParent } from '../answering-process.ts'
import { timeClaims, type ClaimTimes } from '../claim-times.ts'
import { affiliateOf } from '../configuration.ts'
import { queueDeliveries, requestsOf } from '../conversions.ts'
import { readSnapshot } from '../delivery-database.ts'
import { startProfile } from './profile.ts'
import { chunksOf, timed, type Contender, type ContenderInput, type Range } from './contender.ts'

const logLines = createLogLines('bench', 'warn')

let pool: Pool
/** As configured, and with endpoints paused. */
let configured: Snapshot
let snapshot: Snapshot
let takeClaimTimes: () => ClaimTimes
let delivery: Delivery | undefined
let profileDir: string | undefined
let endProfile: () => Promise<void> = () => Promise.resolve()
/** Deliveries that are waiting for their end, and who wants to know when there is none any more. */
let waiting = 0
let onEmpty: () => void = () => undefined

async function stop(): Promise<void> {
  await delivery?.stop()
  await endProfile()
}

async function start(): Promise<void> {
  if (profileDir !== undefined) endProfile = await startProfile(profileDir)
  delivery = await startDelivery({
    pool,
    logLines,
    snapshots: { current: () => snapshot },
    clock: systemClock,
    onRecorded: (completions) => {
      waiting -= completions.filter(({ outcome }) => outcome !== 'retry').length
      if (waiting === 0) onEmpty()
    },
  })
}

const answers = {
  open: async ({ databaseUrl, profileDir: dir }: Pick<ContenderInput, 'databaseUrl' | 'profileDir'>) => {
    profileDir = dir
    pool = createPool(databaseUrl, { settings: workerSettings })
    takeClaimTimes = timeClaims(pool)
    configured = await readSnapshot(pool)
    snapshot = configured
  },
  /** Pauses the endpoints of these affiliates: what waits for them goes on waiting. */
  pause: (affiliateIds: readonly string[]) => {
    const paused = new Set(affiliateIds)
    const endpoints = configured.endpoints.map((endpoint) =>
      paused.has(endpoint.scope.affiliate_id ?? '') ? { ...endpoint, status: 'paused' as const } : endpoint,
    )
    snapshot = { ...configured, endpoints }
  },
  resume: () => {
    snapshot = configured
  },
  enqueue: async (range: Range) => {
    for (const numbers of chunksOf(range)) {
      const wanted = numbers.map((number) => ({ number, affiliateId: affiliateOf(number) }))
      await inTransaction(pool, (tx) => queueDeliveries(tx, requestsOf(wanted, snapshot), snapshot))
    }
    waiting += range.to - range.from
  },
  drain: async () => {
    const drained = await timed(async () => {
      const empty = Promise.withResolvers<void>()
      onEmpty = () => empty.resolve()
      await start()
      await empty.promise
    })
    await stop()
    return drained
  },
  /** Delivers what comes, until closed. */
  start,
  takeClaimTimes: () => takeClaimTimes(),
  /** Ends what is under way; what waits goes on waiting. */
  stop,
  close: async () => {
    await pool.end()
  },
} satisfies Contender & Record<string, unknown>

export type OurAnswers = typeof answers

answerParent(answers)
