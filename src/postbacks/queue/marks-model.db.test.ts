import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { createRandom } from '#platform/random'
import { MarkTable } from '../scheduler/test-mark-table.ts'
import { localEndpoint, manyCauses, openBench } from '../test-bench.ts'
import { buryDeadWorkers, enterWorker, leave, markUnderWay, setAsideMarked } from './ownership.ts'
import { FROM_THE_BEGINNING, readDue } from './queue.ts'

const ROWS = 12
const STEPS = 200
const CRASHES_MAX = 2
const LEASE_MS = 600_000

test('marks, crashes and what is set aside in PostgreSQL are those of the simulation, whatever workers do', async (t) => {
  const seed = process.pid
  t.diagnostic(`seed ${seed}`)
  const random = createRandom(seed)
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  await using bench = await openBench(t, [localEndpoint({ url: 'http://127.0.0.1:9' })])
  const { pool } = bench
  await bench.enqueue(manyCauses(ROWS))
  const rows = await readDue(pool, [{ endpointId: 'tracker', count: ROWS, after: FROM_THE_BEGINNING, againSeconds: 0 }])
  const marks = new MarkTable<number, string>()
  const waiting = new Set(rows.map(({ deliveryId }) => deliveryId))
  const onceOnly = new Set([...waiting].filter(() => random() < 0.5))
  const workers: string[] = []
  const ended = { quarantined: 0, unknown: 0 }

  const enter = async (): Promise<void> => {
    workers.push(randomUUID())
    await enterWorker(pool, workers.at(-1)!, LEASE_MS)
  }
  const steps = {
    enter,
    mark: async () => {
      const worker = pick(workers)
      const asked = rows.filter(({ deliveryId }) => waiting.has(deliveryId) && random() < 0.4)
      const repeated = new Set(asked.filter(() => random() < 0.5).map(({ deliveryId }) => deliveryId))
      const found = await markUnderWay(
        pool,
        worker,
        asked.map(({ deliveryId, endpointId, runAtMicros }) => ({
          ...{
            deliveryId,
            endpointId,
            runAtMicros,
            isOnce: onceOnly.has(deliveryId),
            isRepeat: repeated.has(deliveryId),
          },
        })),
      )
      const expected = new Map<number, number>()
      for (const { deliveryId } of asked) {
        const as = { isOnce: onceOnly.has(deliveryId), isRepeat: repeated.has(deliveryId) }
        const crashes = marks.mark(deliveryId, worker, as)
        if (crashes !== undefined) expected.set(deliveryId, crashes)
      }
      assert.deepEqual(found, expected)
    },
    die: async () => {
      const worker = pick(workers)
      await pool.query("UPDATE delivery_workers SET lease_until = now() - interval '1 s' WHERE worker_id = $1", [
        worker,
      ])
      assert.equal(await buryDeadWorkers(pool, 0), 1)
      marks.accuse(worker)
      workers.splice(workers.indexOf(worker), 1)
      assert.deepEqual(await markUnderWay(pool, worker, rows.map(({ deliveryId, endpointId, runAtMicros }) => ({ deliveryId, endpointId, runAtMicros, isOnce: false, isRepeat: true }))), new Map()) // prettier-ignore
    },
    leave: async () => {
      const worker = pick(workers)
      await leave(pool, worker)
      marks.leave(worker)
      workers.splice(workers.indexOf(worker), 1)
    },
    setAside: async () => {
      const expected = marks.setAside(CRASHES_MAX, (deliveryId) => waiting.has(deliveryId))
      const { quarantined, unknown } = await setAsideMarked(pool, CRASHES_MAX)
      assert.deepEqual({ quarantined, unknown }, { quarantined: expected.quarantined.length, unknown: expected.unknown.length }) // prettier-ignore
      for (const deliveryId of [...expected.quarantined, ...expected.unknown]) waiting.delete(deliveryId)
      ended.quarantined += quarantined
      ended.unknown += unknown
    },
    vanish: async () => {
      const deliveryId = pick([...waiting])
      if (random() < 0.9 || deliveryId === undefined) return
      await pool.query('DELETE FROM delivery_ready WHERE delivery_id = $1', [deliveryId])
      waiting.delete(deliveryId)
    },
  }
  const marked = async () =>
    new Set((await bench.rows('SELECT delivery_id FROM delivery_marks')).map((row) => Number(row['delivery_id'])))
  for (let step = 0; step < STEPS; step += 1) {
    if (workers.length === 0) await enter()
    const name = pick(['enter', 'mark', 'mark', 'mark', 'die', 'die', 'leave', 'setAside', 'vanish'] as const)
    await steps[name]()
    assert.deepEqual(await marked(), new Set(rows.map(({ deliveryId }) => deliveryId).filter((id) => marks.has(id))), name) // prettier-ignore
    const left = await bench.rows('SELECT delivery_id FROM delivery_ready ORDER BY delivery_id')
    assert.deepEqual(left.map((row) => Number(row['delivery_id'])), [...waiting].toSorted((a, b) => a - b), name) // prettier-ignore
  }
  t.diagnostic(`${ended.quarantined} quarantined, ${ended.unknown} of unknown outcome`)
})
