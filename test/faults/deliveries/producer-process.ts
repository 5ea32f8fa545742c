/** Conversions at a steady rate as a process of its own, booked as the pipeline books them. What it is about to commit and what was
 * acknowledged stands in its journal, so that it goes on where it was after a kill; a batch whose end is unknown is done again.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { decideConversions, lockByClick, recordRevisions, storeConversions, type ConversionRequest } from '#conversions'
import type { ClickId } from '#platform/ids'
import { createPool, inTransaction, isConnectionFailure } from '#platform/postgres'
import { enqueueDeliveries, enqueueDeliveriesUnsafely, type DeliveryCause } from '#postbacks'
import type { Snapshot } from '#routing'
import { openProductionJournal, readProduction } from './production-journal.ts'

export type ProducerInput = {
  readonly databaseUrl: string
  readonly journalFile: string
  /** The configuration, opened; read for each batch, since it may change. */
  readonly snapshotFile: string
  readonly seed: number
  readonly perSecond: number
  /** Whose the conversions are, in turns. */
  readonly affiliateIds: readonly string[]
  /** Number of the first. */
  readonly first: number
  /** At this number it stops by itself, without making it; undefined: it goes on until told. */
  readonly end?: number | undefined
  /** Every so many batches the same is queued once more, as after a batch of the log whose commit was not answered. */
  readonly repeatEvery: number
  /** False: deliveries are queued in a transaction of their own, some time after that of their conversions. */
  readonly hasOutbox: boolean
}

const BATCH_MAX = 200
const TICK_MS = 10
/** So long that a kill falls into it soon. */
const UNBOXED_PAUSE_MS = 150

const input = JSON.parse(process.argv[2]!) as ProducerInput
let isStopping = false
process.on('message', () => void (isStopping = true))
process.on('disconnect', () => process.exit(1))

const pool = createPool(input.databaseUrl, { max: 2, applicationName: 'fault producer' })
const journal = openProductionJournal(input.journalFile)
const { unknown, next } = readProduction(input.journalFile)
for (const { from, to } of unknown) await commitUntilDone(from, to)
await produce(Math.max(next, input.first))
await pool.end()
await journal.close()
process.exit(0)

async function produce(first: number): Promise<void> {
  const startedAt = performance.now()
  const end = input.end ?? Infinity
  for (let made = first, batches = 0; !isStopping && made < end; batches += 1) {
    const elapsedMs = performance.now() - startedAt
    const due = Math.min(end, first + Math.floor((elapsedMs * input.perSecond) / 1000) + 1, made + BATCH_MAX)
    if (due === made) {
      await delay(TICK_MS)
      continue
    }
    await journal.write({ kind: 'asked', from: made, to: due })
    const causes = await commitUntilDone(made, due)
    if (input.repeatEvery > 0 && batches % input.repeatEvery === 0) await queueAgain(causes)
    made = due
  }
}

/** The pipeline tries a batch until it is through; so does this. */
async function commitUntilDone(from: number, to: number): Promise<readonly DeliveryCause[]> {
  for (;;) {
    try {
      const { causes, committedAt } = await commit(from, to)
      await journal.write({ kind: 'acknowledged', from, to, committedAt })
      if (!input.hasOutbox) await queueLater(causes)
      return causes
    } catch (error) {
      if (!isDatabaseFailure(error)) throw error
      await journal.write({ kind: 'failed', from, to, why: error instanceof Error ? error.message : String(error) })
      await delay(100)
    }
  }
}

/** Also a statement that PostgreSQL refused while it was hurt; a mistake of this program is none. */
function isDatabaseFailure(error: unknown): boolean {
  return isConnectionFailure(error) || (error instanceof Error && 'code' in error)
}

type Committed = { readonly causes: readonly DeliveryCause[]; readonly committedAt: number }

async function commit(from: number, to: number): Promise<Committed> {
  const snapshot = currentSnapshot()
  const requests = Array.from({ length: to - from }, (_, index) => requestOf(from + index, snapshot))
  const causes: DeliveryCause[] = []
  let committedAt = 0
  await inTransaction(pool, async (tx) => {
    const existing = await lockByClick(
      tx,
      requests.map(({ click }) => click.click_id),
    )
    const { revisions } = decideConversions(existing, requests)
    await storeConversions(tx, revisions)
    await recordRevisions(tx, revisions, snapshot, async (sameTx, theirs, configuration) => {
      causes.push(...theirs)
      if (input.hasOutbox) await enqueueDeliveries(sameTx, theirs, configuration)
    })
    committedAt = performance.timeOrigin + performance.now()
  })
  return { causes, committedAt }
}

async function queueLater(causes: readonly DeliveryCause[]): Promise<void> {
  await delay(UNBOXED_PAUSE_MS)
  await enqueueDeliveriesUnsafely(pool, causes, currentSnapshot())
}

async function queueAgain(causes: readonly DeliveryCause[]): Promise<void> {
  try {
    const snapshot = currentSnapshot()
    await inTransaction(pool, (tx) => enqueueDeliveries(tx, causes, snapshot))
  } catch (error) {
    // Everything is queued already; the repeat only tries to make it twice.
    await journal.write({ kind: 'failed', from: 0, to: 0, why: error instanceof Error ? error.message : String(error) })
  }
}

function currentSnapshot(): Snapshot {
  return JSON.parse(readFileSync(input.snapshotFile, 'utf8')) as Snapshot
}

/** The same for the same number and seed, so that doing a batch again does not make other conversions. */
function requestOf(number: number, snapshot: Snapshot): ConversionRequest {
  const offer = snapshot.offers[0]!
  const at = Date.now()
  return {
    cause: 'event',
    click: {
      kind: 'click',
      click_id: clickIdOf(number),
      at,
      class: 'click',
      outcome: 'redirected',
      ip: '203.0.113.7',
      user_agent: 'Mozilla/5.0 (X11; Linux x86_64)',
      advertiser_id: offer.advertiser_id,
      offer_id: offer.offer_id,
      affiliate_id: input.affiliateIds[number % input.affiliateIds.length]!,
      config_version: snapshot.version,
      trace: '',
    },
    offer,
    type: 'lead',
    goal: 'lead',
    txid: String(number),
    status: undefined,
    rawStatus: undefined,
    amountMicros: undefined,
    saleAmountMicros: undefined,
    currency: undefined,
    at,
  }
}

function clickIdOf(number: number): ClickId {
  const hex = createHash('sha256').update(`${input.seed} ${number}`).digest('hex')
  return `01890a5d-${hex.slice(0, 4)}-7${hex.slice(4, 7)}-8${hex.slice(7, 10)}-${hex.slice(10, 22)}` as ClickId
}
