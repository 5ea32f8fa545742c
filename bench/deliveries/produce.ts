/** Conversions at a constant rate as a process of its own: it commits what has become due since the last commit, as the pipeline does,
 * and notes when each commit was asked for.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createPool, inTransaction, type Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { answerParent, startAnswering, type AnsweringProcess } from './answering-process.ts'
import { bookConversions, queueDeliveries, requestsOf, type Wanted } from './conversions.ts'
import { readSnapshot } from './delivery-database.ts'
import { monotonicMs } from './monotonic-clock.ts'

/** Rows of a transaction at most, after the producer was held up. */
const BATCH_MAX = 500
/** Between two looks at the clock. */
const TICK_MS = 2

export type ProductionInput = {
  readonly perSecond: number
  readonly seconds: number
  /** Number of the first; the others follow. */
  readonly from: number
  /** Whole conversions with their bookings, or only what is queued for them. */
  readonly kind: 'conversions' | 'deliveries'
  /** Whose they are, in turns. */
  readonly affiliateIds: readonly string[]
}

export type FillInput = Pick<ProductionInput, 'from' | 'affiliateIds'> & { readonly count: number }

export type Production = {
  /** For each number from `from`: the machine's monotonic clock just before its COMMIT, in milliseconds. */
  readonly committedAt: Float64Array
  /** How far behind its clock the producer was at most: with much of it the rate was not constant. */
  readonly late_ms_max: number
}

let pool: Pool
let snapshot: Snapshot

async function produce({ perSecond, seconds, from, kind, affiliateIds }: ProductionInput): Promise<Production> {
  const total = Math.floor(perSecond * seconds)
  const committedAt = new Float64Array(total)
  const startedAt = monotonicMs()
  let lateMsMax = 0
  for (let made = 0; made < total;) {
    const elapsedMs = monotonicMs() - startedAt
    const due = Math.min(total, Math.floor((elapsedMs * perSecond) / 1000) + 1, made + BATCH_MAX)
    if (due === made) {
      await delay(TICK_MS)
      continue
    }
    lateMsMax = Math.max(lateMsMax, elapsedMs - (made * 1000) / perSecond)
    committedAt.fill(await commit(wantedOf(from + made, from + due, affiliateIds), kind), made, due)
    made = due
  }
  return { committedAt, late_ms_max: lateMsMax }
}

const wantedOf = (from: number, to: number, affiliateIds: readonly string[]): readonly Wanted[] =>
  Array.from({ length: to - from }, (_, index) => {
    const number = from + index
    return { number, affiliateId: affiliateIds[number % affiliateIds.length]! }
  })

/** @returns when COMMIT was about to be sent */
function commit(wanted: readonly Wanted[], kind: ProductionInput['kind']): Promise<number> {
  const enter = kind === 'conversions' ? bookConversions : queueDeliveries
  return inTransaction(pool, async (tx) => {
    await enter(tx, requestsOf(wanted, snapshot), snapshot)
    return monotonicMs()
  })
}

/** Queues so many deliveries as fast as it goes. */
async function fill({ from, count, affiliateIds }: FillInput): Promise<void> {
  for (let made = 0; made < count; made += BATCH_MAX)
    await commit(wantedOf(from + made, from + Math.min(made + BATCH_MAX, count), affiliateIds), 'deliveries')
}

const answers = {
  open: async (databaseUrl: string) => {
    pool = createPool(databaseUrl, { max: 2 })
    snapshot = await readSnapshot(pool)
  },
  produce,
  fill,
  close: () => pool.end(),
}

if (process.send !== undefined && import.meta.main) answerParent(answers)

export type Producer = AnsweringProcess<typeof answers>

/** Starts a producer on a database. */
export async function startProducer(databaseUrl: string): Promise<Producer> {
  const producer: Producer = startAnswering<typeof answers>(new URL(import.meta.url))
  await producer.ask('open', databaseUrl)
  return producer
}
