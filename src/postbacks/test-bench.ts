import type { TestContext } from 'node:test'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { inTransaction, type Pool } from '#platform/postgres'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { withDatabase } from '#test-kit'
import type { CausingConversion, DeliveryCause } from './messages/delivery-causes.ts'
import { enqueueDeliveries } from './queue/enqueue-deliveries.ts'
import type { Completion } from './queue/queue.ts'
import { startDelivery, type Delivery, type DeliveryOptions } from './worker/start-delivery.ts'
import { sampleCause, sampleEndpoint, sampleSnapshot } from './test-causes.ts'

/** `whsec_` of 24 equal bytes. */
export const TEST_SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

export type Bench = AsyncDisposable & {
  readonly pool: Pool
  readonly url: string
  readonly snapshot: () => Snapshot
  readonly setEndpoints: (endpoints: readonly PostbackEndpoint[], version: number) => void
  readonly enqueue: (causes: readonly DeliveryCause[]) => Promise<void>
  /** Resolves when so many tries are on record, late ones included. */
  readonly recorded: (count: number) => Promise<readonly Completion[]>
  readonly lateCount: () => number
  /** A worker, stopped at the end of the test if it was not before. */
  readonly start: (over?: Partial<DeliveryOptions>) => Promise<Delivery>
  readonly rows: (sql: string) => Promise<Record<string, unknown>[]>
}

/** A database of its own with workers on it. Use with `await using`: the workers stop before the database is dropped. */
export async function openBench(t: TestContext, endpoints: readonly PostbackEndpoint[]): Promise<Bench> {
  const { pool, url } = await withDatabase(t)
  let snapshot = sampleSnapshot(endpoints)
  let lateCount = 0
  const completions: Completion[] = []
  const waiting: { readonly count: number; readonly resolve: (all: readonly Completion[]) => void }[] = []
  const running: Delivery[] = []
  const onRecorded = (batch: readonly Completion[], late: number): void => {
    completions.push(...batch)
    lateCount += late
    waiting.filter((item) => item.count <= completions.length).forEach((item) => item.resolve(completions))
  }
  return {
    pool,
    url,
    snapshot: () => snapshot,
    setEndpoints: (next, version) => void (snapshot = sampleSnapshot(next, version)),
    enqueue: (causes) => inTransaction(pool, (tx) => enqueueDeliveries(tx, causes, snapshot)),
    recorded: (count) =>
      completions.length >= count
        ? Promise.resolve(completions)
        : new Promise((resolve) => waiting.push({ count, resolve })),
    lateCount: () => lateCount,
    start: async (over = {}) => {
      const delivery = startDelivery({
        pool,
        snapshots: { current: () => snapshot },
        clock: systemClock,
        logLines: createLogLines('test', 'silent'),
        drainMs: 500,
        onRecorded,
        ...over,
      })
      running.push(delivery)
      return delivery
    },
    rows: async (sql) => (await pool.query(sql)).rows,
    [Symbol.asyncDispose]: async () => void (await Promise.all(running.map((delivery) => delivery.stop()))),
  }
}

/** An endpoint that may be on loopback and signs. */
export const localEndpoint = (over: Partial<PostbackEndpoint>): PostbackEndpoint =>
  sampleEndpoint({ allow_private_address: true, secret: TEST_SECRET, ...over })

/** Causes of so many different conversions. */
export const manyCauses = (count: number, over: Partial<CausingConversion> = {}): readonly DeliveryCause[] =>
  Array.from({ length: count }, (_, index) =>
    sampleCause({ ...over, conversionId: `01890a5d-ac96-774b-bcce-${String(index).padStart(12, '0')}` }),
  )
