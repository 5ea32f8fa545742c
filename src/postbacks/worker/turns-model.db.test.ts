import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createLogLines } from '#platform/log-lines'
import type { ClickId } from '#platform/ids'
import { createRandom } from '#platform/random'
import { enterWorker } from '../queue/ownership.ts'
import { FROM_THE_BEGINNING, readDue, type Claimed } from '../queue/queue.ts'
import { OrderTable } from '../scheduler/test-order-table.ts'
import { localEndpoint, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { Turns } from './turns.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const DEAD = '00000000-0000-4000-8000-000000000002'
const CLICKS = 3
const STEPS = 60

const clickOf = (number: number): ClickId => `01890a5d-ac96-774b-bcce-1${String(number).padStart(11, '0')}` as ClickId
const clickNumber = (clickId: string): number => Number(clickId.slice(-11))

type Row = { readonly id: number; readonly clickId: number; readonly place: string; isParked: boolean }

async function openTurns(t: TestContext): Promise<{ bench: Bench; turnsOf: (workerId: string) => Turns }> {
  const bench = await openBench(t, [localEndpoint({ url: 'http://127.0.0.1:9', ordered: true })])
  await enterWorker(bench.pool, WORKER, 600_000)
  const logLines = createLogLines('test', 'silent')
  const turnsOf = (workerId: string): Turns =>
    new Turns({ pool: bench.pool, workerId, logLines, onReleased: () => undefined })
  return { bench, turnsOf }
}

let messages = 0
async function enqueueOf(bench: Bench, click: number): Promise<void> {
  messages += 1
  const conversionId = `01890a5d-ac96-774b-acce-${String(messages).padStart(12, '0')}`
  await bench.enqueue([sampleCause({ clickId: clickOf(click), conversionId }, { click_id: clickOf(click) })])
}

const readAll = async (bench: Bench): Promise<readonly Claimed[]> =>
  readDue(bench.pool, [{ endpointId: 'tracker', count: 1_000, after: FROM_THE_BEGINNING, againSeconds: 0 }])

/** As the completion of a try does, or as expiry does. */
const remove = (bench: Bench, deliveryId: number) =>
  bench.pool.query('DELETE FROM delivery_ready WHERE delivery_id = $1', [deliveryId])

const clicksById = async (bench: Bench): Promise<ReadonlyMap<number, number>> => {
  const rows = await bench.rows('SELECT delivery_id, click_id FROM deliveries')
  return new Map(rows.map((row) => [Number(row['delivery_id']), clickNumber(row['click_id'] as string)]))
}

const newRow = (deliveryId: number, clicks: ReadonlyMap<number, number>): Row => ({
  ...{ id: deliveryId, clickId: clicks.get(deliveryId)!, place: '', isParked: false },
})

const isParkedOf = async (bench: Bench): Promise<ReadonlyMap<number, boolean>> => {
  const rows = await bench.rows(`SELECT delivery_id, run_at = 'infinity' AS parked FROM delivery_ready`)
  return new Map(rows.map((row) => [Number(row['delivery_id']), row['parked'] as boolean]))
}

/** The queue of one endpoint as the simulation of the scheduler has it: its order, and what stands behind another. */
class Model {
  readonly order = new OrderTable<Row>()
  readonly rows = new Map<number, Row>()

  admit(read: readonly Row[]): ReadonlySet<number> {
    for (const row of read) this.rows.set(row.id, row)
    this.order.rank(read)
    const behind = new Set(this.order.behind(read))
    for (const row of behind) row.isParked = true
    return new Set(read.filter((row) => !behind.has(row)).map(({ id }) => id))
  }

  /** Together, as one record of several ends: the next of each click is found when all of them have gone. */
  end(ids: readonly number[]): void {
    const ended = ids.map((id) => this.lose(id)!)
    for (const row of ended) this.order.remove(row)
    for (const { clickId } of ended) this.#release(this.order.firstOf(clickId))
  }

  /** Ended without its owner. */
  lose(id: number): Row | undefined {
    const row = this.rows.get(id)
    this.rows.delete(id)
    return row
  }

  sweep(): void {
    for (const row of this.order.rows.slice()) if (!this.rows.has(row.id)) this.order.remove(row)
    for (const row of this.order.first()) this.#release(row)
  }

  #release(row: Row | undefined): void {
    if (row !== undefined) row.isParked = false
  }
}

for (let number = 0; number < 3; number += 1)
  test(`the turns in PostgreSQL are those of the simulation, whatever is read, ends, vanishes and is swept (${number})`, async (t) => {
    const seed = process.pid * 10 + number
    t.diagnostic(`seed ${seed}`)
    const random = createRandom(seed)
    const pick = (count: number): number => Math.floor(random() * count)
    const { bench, turnsOf } = await openTurns(t)
    await using _closed = bench
    const turns = turnsOf(WORKER)
    const model = new Model()
    const underWay = new Map<number, Claimed>()

    const some = <T>(all: readonly T[]): readonly T[] => all.filter(() => random() < 0.5)
    const steps = {
      enqueue: async () => {
        for (let left = 1 + pick(4); left > 0; left -= 1) await enqueueOf(bench, pick(CLICKS))
      },
      admit: async () => {
        const due = (await readAll(bench)).filter(({ deliveryId }) => !underWay.has(deliveryId))
        const read = some(due)
        const clicks = await clicksById(bench)
        const known = read.map(({ deliveryId }) => model.rows.get(deliveryId) ?? newRow(deliveryId, clicks))
        const expected = model.admit(known)
        const admitted = await turns.admit(read, [])
        assert.deepEqual(admitted, expected)
        for (const row of read) if (admitted.has(row.deliveryId)) underWay.set(row.deliveryId, row)
      },
      end: async () => {
        const ended = some([...underWay.values()])
        for (const row of ended) {
          await remove(bench, row.deliveryId)
          underWay.delete(row.deliveryId)
        }
        model.end(ended.map(({ deliveryId }) => deliveryId))
        turns.end(ended)
        await turns.idle()
      },
      vanish: async () => {
        const lost = some([...model.rows.keys()].filter((id) => !underWay.has(id))).slice(0, 1)
        for (const id of lost) {
          await remove(bench, id)
          model.lose(id)
        }
      },
      sweep: async () => {
        model.sweep()
        await turns.sweep(() => true)
      },
    }
    await turns.open(['tracker'])
    for (let step = 0; step < STEPS; step += 1) {
      const names = Object.keys(steps) as (keyof typeof steps)[]
      const name = names[pick(names.length)]!
      await steps[name]()
      const order = await bench.rows('SELECT delivery_id FROM delivery_order ORDER BY place')
      assert.deepEqual(order.map((row) => Number(row['delivery_id'])), model.order.rows.map(({ id }) => id), name) // prettier-ignore
      const parked = await isParkedOf(bench)
      for (const { id, isParked } of model.rows.values()) assert.equal(parked.get(id), isParked, `${name}: ${id}`)
    }
  })

test('in order: what was said to have ended and still waits keeps its turn', async (t) => {
  const { bench, turnsOf } = await openTurns(t)
  await using _closed = bench
  const turns = turnsOf(WORKER)
  for (let count = 0; count < 2; count += 1) await enqueueOf(bench, 0)
  const rows = await readAll(bench)
  assert.deepEqual(await turns.admit(rows, []), new Set([rows[0]!.deliveryId]))
  // Its record was refused: the row stands where it stood.
  turns.end([rows[0]!])
  await turns.idle()
  assert.deepEqual([...(await isParkedOf(bench)).values()], [false, true])
  assert.equal((await bench.rows('SELECT FROM delivery_order')).length, 2)
})

test('in order: who was taken for dead gives nobody a turn', async (t) => {
  const { bench, turnsOf } = await openTurns(t)
  await using _closed = bench
  for (let count = 0; count < 2; count += 1) await enqueueOf(bench, 0)
  const rows = await readAll(bench)
  await turnsOf(WORKER).admit(rows, [])
  await remove(bench, rows[0]!.deliveryId)
  const dead = turnsOf(DEAD)
  dead.end([rows[0]!])
  await dead.idle()
  assert.deepEqual([...(await isParkedOf(bench)).values()], [true])
  assert.equal((await bench.rows('SELECT FROM delivery_order')).length, 2)
})
