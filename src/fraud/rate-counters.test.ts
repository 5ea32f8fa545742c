import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'

import { createRandom } from '#platform/random'
import { createRateBoard, emptyRateCounters, openDryRateCounters, openRateCounters } from './rate-counters.ts'
import { HITS_MAX } from './rate-sketch.ts'

const small = { cells: 256, visits: 256 }
const START = Date.UTC(2026, 10, 20)
const WINDOW_SECONDS = 60

type Hit = { readonly key: string; readonly at: number }
const hitsWithin = (hits: readonly Hit[], key: string, at: number, seconds: number): number =>
  hits.filter((hit) => hit.key === key && hit.at > at - seconds * 1000 && hit.at <= at).length

test('a count is never below the hits of the window, whatever comes in whatever order of keys', () => {
  const gaps = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 30_000 }))
  fc.assert(
    fc.property(fc.array(gaps, { maxLength: 200 }), (steps) => {
      // Eight cells for 40 keys, so that they meet all the time.
      const counters = openRateCounters(createRateBoard(1, { cells: 8, visits: 8 }))
      const hits: Hit[] = []
      let at = START
      for (const [key, gap] of steps) {
        at += gap
        hits.push({ key: `k${key}`, at })
        const counted = counters.count('visitor', `k${key}`, WINDOW_SECONDS, at)
        assert.ok(counted >= hitsWithin(hits, `k${key}`, at, WINDOW_SECONDS))
      }
    }),
    { numRuns: 100 },
  )
})

test('a key alone is counted exactly, over a window of at most 4/3', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 100 })
  fc.assert(
    fc.property(gaps, (steps) => {
      const counters = openRateCounters(createRateBoard(1, small))
      const hits: Hit[] = []
      let at = START
      for (const gap of steps) {
        at += gap
        hits.push({ key: 'k', at })
        const counted = counters.count('visitor', 'k', WINDOW_SECONDS, at)
        assert.ok(counted >= hitsWithin(hits, 'k', at, WINDOW_SECONDS))
        assert.ok(counted <= hitsWithin(hits, 'k', at, (WINDOW_SECONDS * 4) / 3))
      }
    }),
  )
})

test('hits of the window before are forgotten', () => {
  const counters = openRateCounters(createRateBoard(1, small))
  for (let hit = 0; hit < 50; hit += 1) counters.count('ip', '192.0.2.1', 60, START)
  assert.equal(counters.count('ip', '192.0.2.1', 60, START + 59_000), 51)
  assert.equal(counters.count('ip', '192.0.2.1', 60, START + 80_001), 2)
  assert.equal(counters.count('ip', '192.0.2.1', 60, START + 86_400_000), 1)
})

test('too many are counted by more than e·N/w in at most 1.8 of 100 keys, and by nothing in a board of the usual size', (t) => {
  const random = createRandom(20_261_121)
  const overCounts = (cells: number, clicks: number): number[] => {
    const counters = openRateCounters(createRateBoard(7, { cells, visits: 8 }))
    const truth = new Map<string, number>()
    // Few keys come often, most come once: as addresses do.
    for (let click = 0; click < clicks; click += 1) {
      const key = `v${Math.floor(clicks * random() ** 3)}`
      truth.set(key, (truth.get(key) ?? 0) + 1)
      counters.count('visitor', key, WINDOW_SECONDS, START)
    }
    return [...truth].map(([key, hits]) => counters.count('visitor', key, WINDOW_SECONDS, START) - 1 - hits)
  }
  const clicks = 20_000
  const cells = 4_096
  const over = overCounts(cells, clicks)
  assert.ok(over.every((count) => count >= 0))
  // Counting each key once more to read it adds at most as many hits again.
  const bound = (Math.E * 2 * clicks) / cells
  const beyond = over.filter((count) => count > bound).length / over.length
  t.diagnostic(`seed 20261121: beyond the bound of ${bound.toFixed(1)}: ${(100 * beyond).toFixed(3)} of 100 keys`)
  assert.ok(beyond <= Math.exp(-4))
  assert.ok(overCounts(2 ** 17, clicks).filter((count) => count > 0).length <= 1)
})

test('a flood fills a third of a window to its end and does not begin anew', () => {
  const counters = openRateCounters(createRateBoard(1, { cells: 8, visits: 8 }))
  let counted = 0
  for (let hit = 0; hit < HITS_MAX + 10; hit += 1) counted = counters.count('affiliate', 'a1', 86_400, START)
  assert.equal(counted, HITS_MAX)
})

test('a clock that is a third of a window behind another loses no hit', () => {
  const counters = openRateCounters(createRateBoard(1, small))
  counters.count('visitor', 'v', 60, START + 20_000)
  counters.count('visitor', 'v', 60, START)
  assert.equal(counters.count('visitor', 'v', 60, START + 20_000), 3)
  assert.equal(counters.count('visitor', 'v', 60, START), 4)
})

test('addresses of one /64 count as one, those of one /24 or /48 as one network', () => {
  const counters = openRateCounters(createRateBoard(1, small))
  const count = (kind: 'ip' | 'subnet', ip: string): number => counters.count(kind, ip, 60, START)
  assert.equal(count('ip', '2001:db8:1:2::1'), 1)
  assert.equal(count('ip', '2001:db8:1:2:ffff:1:2:3'), 2)
  assert.equal(count('ip', '2001:db8:1::1'), 1)
  assert.equal(count('subnet', '2001:db8:1:2::1'), 1)
  assert.equal(count('subnet', '2001:db8:1::'), 2)
  assert.equal(count('subnet', '2001:db8::1'), 1)
  assert.equal(count('subnet', '2001:db8:0:1::'), 2)
  assert.equal(count('subnet', '::1'), 1)
  assert.equal(count('ip', '198.51.100.1'), 1)
  assert.equal(count('ip', '198.51.100.2'), 1)
  assert.equal(count('subnet', '198.51.100.1'), 1)
  assert.equal(count('subnet', '198.51.100.255'), 2)
  assert.equal(count('subnet', '198.51.10.1'), 1)
})

test('kinds are counted apart', () => {
  const counters = openRateCounters(createRateBoard(1, small))
  assert.equal(counters.count('visitor', 'x', 60, START), 1)
  assert.equal(counters.count('affiliate', 'x', 60, START), 1)
})

test('dry counters answer what the board would and change nothing', () => {
  const board = createRateBoard(1, small)
  const [wet, dry] = [openRateCounters(board), openDryRateCounters(board)]
  assert.equal(dry.count('visitor', 'v', 60, START), 1)
  assert.equal(dry.count('visitor', 'v', 60, START), 1)
  assert.equal(dry.isRepeat('v', 'c', 10, START), false)
  assert.equal(dry.isRepeat('v', 'c', 10, START), false)
  wet.count('visitor', 'v', 60, START)
  wet.isRepeat('v', 'c', 10, START)
  assert.equal(dry.count('visitor', 'v', 60, START), 2)
  assert.equal(dry.isRepeat('v', 'c', 10, START + 10_000), true)
  assert.equal(dry.isRepeat('v', 'c', 10, START + 10_001), false)
  assert.deepEqual([emptyRateCounters.count('ip', 'x', 1, 1), emptyRateCounters.isRepeat('v', 'c', 1, 1)], [1, false])
})

test('a duplicate is found as long as the board has place, and none is found that was not there', () => {
  const counters = openRateCounters(createRateBoard(3, { cells: 8, visits: 2 ** 16 }))
  const visitors = Array.from({ length: 20_000 }, (_, index) => `visitor-${index}`)
  const repeats = (at: number): number => visitors.filter((visitor) => counters.isRepeat(visitor, 'c', 10, at)).length
  assert.equal(repeats(START), 0)
  // A bucket of eight is filled to a third on average: some few overflow.
  assert.ok(repeats(START + 1000) > 19_900)
})

test('threads that count the same key at once lose no hit, are never answered too few, and only one of them is the first', async () => {
  const other = createRateBoard(1, small)
  const board = createRateBoard(1, { cells: 256, visits: 2 ** 20 })
  const THREADS = 3
  const HITS = 20_000
  const gate = new SharedArrayBuffer(8)
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(workerData.module).then(({ openRateCounters }) => {
      const counters = openRateCounters(workerData.board)
      const gate = new Int32Array(workerData.gate)
      const counts = new Int32Array(${HITS})
      Atomics.add(gate, 0, 1)
      while (Atomics.load(gate, 0) < ${THREADS}) Atomics.wait(gate, 1, 0, 1)
      let firsts = 0
      for (let hit = 0; hit < ${HITS}; hit += 1) {
        counts[hit] = counters.count('visitor', 'v', 60, ${START})
        if (!counters.isRepeat('visitor-' + hit, 'c', 86400, ${START} + hit)) firsts += 1
      }
      parentPort.postMessage({ firsts, counts })
    })`
  const module = new URL('./rate-counters.ts', import.meta.url).href
  const workers = Array.from(
    { length: THREADS },
    () => new Worker(code, { eval: true, workerData: { module, board, gate } }),
  )
  type Answer = { readonly firsts: number; readonly counts: Int32Array }
  const answers = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as Answer))
  await Promise.all(workers.map((worker) => worker.terminate()))
  assert.equal(openRateCounters(board).count('visitor', 'v', 60, START), THREADS * HITS + 1)
  assert.equal(
    answers.reduce((sum, { firsts }) => sum + firsts, 0),
    HITS,
  )
  const counts = answers.flatMap((answer) => [...answer.counts]).toSorted((one, two) => one - two)
  const tooFew = counts.filter((count, index) => count < index + 1)
  assert.deepEqual(tooFew, [], `${tooFew.length} of ${counts.length} hits were answered fewer than there were`)
  assert.equal(openRateCounters(other).count('visitor', 'v', 60, START), 1, 'boards are apart')
})

test('a board of a size that is no power of two is refused', () => {
  assert.throws(() => createRateBoard(1, { cells: 1000 }), RangeError)
  assert.throws(() => createRateBoard(1, { visits: 4 }), RangeError)
})
