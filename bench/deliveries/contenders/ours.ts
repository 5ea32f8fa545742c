/** The delivery engine as an installation runs it: in threads, fair claims, signatures, one row per attempt. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '#config'
import { inTransaction, createPool, type Pool } from '#platform/postgres'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { startDelivery, startDeliveryThreads, workerSettings } from '#postbacks'
import type { Snapshot } from '#routing'
import { relayedSnapshots, type RelayedSnapshots } from '#snapshots'
import { answerParent } from '../answering-process.ts'
import { timeClaims, type ClaimTimes } from '../claim-times.ts'
import { affiliateOf } from '../configuration.ts'
import { queueDeliveries, requestsOf } from '../conversions.ts'
import { readSnapshot } from '../delivery-database.ts'
import { startProfile } from './profile.ts'
import { chunksOf, timed, type Contender, type ContenderInput, type Range } from './contender.ts'

const { deliveryThreads, postbackHostConcurrency } = readConfig({})

const logLines = createLogLines('bench', 'warn')

type OurInput = Pick<ContenderInput, 'databaseUrl' | 'profileDir'> & {
  /** Whether claims are to be timed: that, like a profile, is taken in this thread, and the engine is in it too. */
  readonly timesClaims?: boolean
}

let pool: Pool
/** As configured, and with endpoints paused. */
let configured: Snapshot
let snapshot: Snapshot
let takeClaimTimes: () => ClaimTimes
let engine: Engine
/** Deliveries that are waiting for their end, and who wants to know when there is none any more. */
let waiting = 0
let onEmpty: () => void = () => undefined

function noteEnds(count: number): void {
  waiting -= count
  if (waiting === 0) onEmpty()
}

type Engine = {
  /** Delivers by the present configuration from now on. */
  readonly begin: () => Promise<void>
  /** What waits goes on waiting. */
  readonly pause: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** The threads stay: an installation starts them once. */
function engineInThreads(databaseUrl: string): Engine {
  const snapshots: RelayedSnapshots = relayedSnapshots(undefined)
  const threads = startDeliveryThreads({
    ...{ databaseUrl, snapshots, logLines, proxy: undefined, isLeaseFenced: true, logLevel: 'warn' },
    ...{ threads: deliveryThreads, perHostMax: postbackHostConcurrency },
    secretKeys: { file: join(tmpdir(), `waypost-bench-keys-${process.pid}.json`) },
    onRecorded: ({ delivered, gave_up }) => noteEnds(delivered + gave_up),
  })
  return {
    begin: async () => Promise.resolve(snapshots.take({ ...snapshot })),
    pause: async () => Promise.resolve(snapshots.take(withPaused(() => true))),
    stop: () => threads.stop(),
  }
}

function engineHere(profileDir: string | undefined): Engine {
  let delivery: ReturnType<typeof startDelivery> | undefined
  let endProfile: () => Promise<void> = () => Promise.resolve()
  const stop = async (): Promise<void> => {
    await delivery?.stop()
    delivery = undefined
    await endProfile()
    endProfile = () => Promise.resolve()
  }
  return {
    begin: async () => {
      if (profileDir !== undefined) endProfile = await startProfile(profileDir)
      delivery = startDelivery({
        pool,
        logLines,
        snapshots: { current: () => snapshot },
        clock: systemClock,
        onRecorded: (completions) => noteEnds(completions.filter(({ outcome }) => outcome !== 'retry').length),
      })
    },
    pause: stop,
    stop,
  }
}

function withPaused(isPaused: (affiliateId: string) => boolean): Snapshot {
  const endpoints = configured.endpoints.map((endpoint) =>
    isPaused(endpoint.scope.affiliate_id ?? '') ? { ...endpoint, status: 'paused' as const } : endpoint,
  )
  return { ...configured, endpoints }
}

const answers = {
  open: async ({ databaseUrl, profileDir, timesClaims = false }: OurInput) => {
    pool = createPool(databaseUrl, { settings: workerSettings })
    takeClaimTimes = timeClaims(pool)
    configured = await readSnapshot(pool)
    snapshot = configured
    engine = timesClaims || profileDir !== undefined ? engineHere(profileDir) : engineInThreads(databaseUrl)
  },
  /** Pauses the endpoints of these affiliates: what waits for them goes on waiting. */
  pause: (affiliateIds: readonly string[]) => {
    const paused = new Set(affiliateIds)
    snapshot = withPaused((affiliateId) => paused.has(affiliateId))
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
      await engine.begin()
      await empty.promise
    })
    await engine.pause()
    return drained
  },
  /** Delivers what comes, until stopped. */
  start: () => engine.begin(),
  takeClaimTimes: () => takeClaimTimes(),
  /** Ends what is under way; what waits goes on waiting. */
  stop: () => engine.pause(),
  close: async () => {
    await engine.stop()
    await pool.end()
  },
} satisfies Contender & Record<string, unknown>

export type OurAnswers = typeof answers

answerParent(answers)
