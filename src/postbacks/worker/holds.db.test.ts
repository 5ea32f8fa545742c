import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createRandom } from '#platform/random'
import type { ClickId } from '#platform/ids'
import type { PostbackEndpoint } from '#routing'
import { pauseDeliveries, resumeDeliveries, type PausedObject } from '../gate/pauses.ts'
import type { DeliveryCause } from '../messages/delivery-causes.ts'
import { expireOld, retireRemoved } from '../queue/housekeeping.ts'
import { holdAhead, holdRead, releaseFree } from '../queue/held.ts'
import { enterWorker } from '../queue/ownership.ts'
import { FROM_THE_BEGINNING, readDue } from '../queue/queue.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { replayDelivery } from '../replay/replay.ts'
import { localEndpoint, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver, type Arrival } from '../test-receiver.ts'
import { Holds } from './holds.ts'
import { startWorkerProcess } from './test-worker.ts'

const DUE = 'UPDATE delivery_deferred SET run_at = now()'

/** What a worker that dies may have sent without a record of it. */
const UNDER_WAY_MAX = 512

/** What is paused must exist. */
const CONFIGURE = `
  INSERT INTO advertisers (advertiser_id, name, timezone, currency, status)
    SELECT id, id, 'Etc/UTC', 'USD', 'active' FROM unnest(ARRAY['acme', 'brand']) AS id;
  INSERT INTO affiliates SELECT id, id, 'active' FROM unnest(ARRAY['ada', 'bob', 'eva']) AS id`

const everybody = (over: Partial<PostbackEndpoint>): PostbackEndpoint =>
  localEndpoint({ scope: {}, method: 'POST', body: '{"txid":"{txid}"}', ...over })

async function openHoldBench(t: TestContext, endpoints: readonly PostbackEndpoint[]): Promise<Bench> {
  const bench = await openBench(t, endpoints)
  await bench.pool.query(CONFIGURE)
  return bench
}

/** Messages of an affiliate, each of a click of its own; `from` counts them. */
const messagesOf = (
  affiliateId: string,
  count: number,
  { from = 0, advertiserId = 'acme', click = undefined as number | undefined } = {},
): readonly DeliveryCause[] =>
  Array.from({ length: count }, (_, index) => {
    const number = String(from + index).padStart(6, '0')
    const of = Buffer.from(affiliateId).toString('hex').padStart(6, '0')
    const clickId =
      `01890a5d-ac96-774b-bcc${advertiserId.length - 4}-${of}${click === undefined ? number : String(click).padStart(6, '9')}` as ClickId
    return sampleCause(
      {
        ...{ affiliateId, advertiserId, clickId, txid: `${affiliateId}:${from + index}` },
        conversionId: `01890a5d-ac96-774b-acc${advertiserId.length - 4}-${of}${number}`,
      },
      { click_id: clickId, affiliate_id: affiliateId, advertiser_id: advertiserId },
    )
  })

const txidOf = ({ body }: Arrival): string => (JSON.parse(body.toString()) as { readonly txid: string }).txid
const txidsOf = (arrivals: readonly Arrival[], affiliateId: string): readonly string[] =>
  arrivals.map(txidOf).filter((txid) => txid.startsWith(`${affiliateId}:`))
const numbered = (affiliateId: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${affiliateId}:${index}`)

const pause = (bench: Bench, object: PausedObject, id: string) => pauseDeliveries(bench.pool, object, id, 'eva')
const resume = (bench: Bench, object: PausedObject, id: string) => resumeDeliveries(bench.pool, object, id)

const heldOf = async (bench: Bench): Promise<number> =>
  Number((await bench.rows('SELECT count(*) AS count FROM delivery_held'))[0]!['count'])

/** Waits until so many are held; a worker at work holds them. */
async function held(bench: Bench, count: number): Promise<void> {
  while ((await heldOf(bench)) !== count) await new Promise((resolve) => setImmediate(resolve))
}

/** What a worker reads of an endpoint. */
const readAll = (bench: Bench) =>
  readDue(bench.pool, [{ endpointId: 'tracker', count: 100, after: FROM_THE_BEGINNING, againSeconds: 0 }])

for (const [object, id] of [
  ['affiliate', 'ada'],
  ['advertiser', 'acme'],
] as const)
  test(`while an ${object} is paused nothing about it goes out through an endpoint for everybody, others do, and at its end all goes in order`, async (t) => {
    const receiver = await startReceiver(t)
    await using bench = await openHoldBench(t, [everybody({ url: receiver.url, max_concurrency: 1 })])
    await bench.enqueue(messagesOf('ada', 5))
    await pause(bench, object, id)
    const worker = await bench.start()
    await bench.enqueue(messagesOf('ada', 5, { from: 5 }))
    await bench.enqueue(messagesOf('bob', 10, { advertiserId: 'brand' }))
    await bench.recorded(10)
    await held(bench, 10)
    assert.deepEqual(txidsOf(receiver.arrivals, 'ada'), [])
    assert.deepEqual(await reconcileDeliveries(bench.pool), [])
    await worker.stop()
    await bench.start()
    await bench.enqueue(messagesOf('ada', 5, { from: 10 }))
    await held(bench, 15)
    await resume(bench, object, id)
    await bench.enqueue(messagesOf('ada', 5, { from: 15 }))
    await bench.recorded(30)
    assert.deepEqual(txidsOf(receiver.arrivals, 'ada'), numbered('ada', 20))
    assert.equal(await heldOf(bench), 0)
    assert.deepEqual(await reconcileDeliveries(bench.pool), [])
  })

test('what waits for an affiliate and an advertiser goes out when both are resumed', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url })])
  await pause(bench, 'affiliate', 'ada')
  await pause(bench, 'advertiser', 'acme')
  await bench.start()
  await bench.enqueue([...messagesOf('ada', 1), ...messagesOf('bob', 1)])
  await held(bench, 2)
  await resume(bench, 'advertiser', 'acme')
  await bench.recorded(1)
  await held(bench, 1)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['bob:0'])
  await resume(bench, 'affiliate', 'ada')
  await bench.recorded(2)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['bob:0', 'ada:0'])
})

test('a pause holds for what was read ahead and not yet sent, and nothing goes twice', async (t) => {
  let answer = (): void => undefined
  const first = Promise.withResolvers<void>()
  const receiver = await startReceiver(t, (response, _arrival, position) => {
    if (position > 1) return void response.end()
    answer = () => void response.end()
    first.resolve()
  })
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url, max_concurrency: 1 })])
  await bench.enqueue([...messagesOf('ada', 10), ...messagesOf('bob', 3)])
  await bench.start()
  await first.promise
  await pause(bench, 'affiliate', 'ada')
  await held(bench, 9)
  answer()
  await bench.recorded(4)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['ada:0', 'bob:0', 'bob:1', 'bob:2'])
  await resume(bench, 'affiliate', 'ada')
  await bench.recorded(13)
  assert.deepEqual(txidsOf(receiver.arrivals, 'ada'), numbered('ada', 10))
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('retries and replays of a paused affiliate wait as well, and keep their attempts', async (t) => {
  const receiver = await startReceiver(t, (response, arrival, position) => void response.writeHead(txidOf(arrival) === 'ada:0' && position < 3 ? 503 : 200).end()) // prettier-ignore
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url })])
  await bench.start()
  await bench.enqueue(messagesOf('ada', 1))
  await bench.recorded(1)
  await bench.enqueue(messagesOf('ada', 1, { from: 1 }))
  await bench.recorded(2)
  await pause(bench, 'affiliate', 'ada')
  assert.equal((await replayDelivery(bench.pool, 2n)).kind, 'replayed')
  await bench.pool.query(DUE)
  await held(bench, 2)
  assert.deepEqual(await bench.rows('SELECT attempts::int FROM delivery_held ORDER BY attempts'), [{ attempts: 0 }, { attempts: 1 }]) // prettier-ignore
  await resume(bench, 'affiliate', 'ada')
  const tries = await bench.recorded(4)
  assert.deepEqual(tries.slice(2).map(({ claimed }) => claimed.attempts).toSorted((a, b) => a - b), [0, 1]) // prettier-ignore
})

test('what is held expires, and ends with its endpoint', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url })])
  await pause(bench, 'affiliate', 'ada')
  await bench.start()
  await bench.enqueue(messagesOf('ada', 2))
  await held(bench, 2)
  await bench.pool.query("UPDATE delivery_held SET created_at = created_at - interval '2 hours' WHERE delivery_id = 1")
  assert.equal(await expireOld(bench.pool, [{ endpoint_id: 'tracker', expires_hours: 1 }], 10, []), 1)
  assert.equal(await retireRemoved(bench.pool, ['tracker'], 1, 10), 1)
  const reasons = await bench.rows('SELECT reason FROM delivery_finals ORDER BY delivery_id')
  assert.deepEqual(reasons, [{ reason: 'expired' }, { reason: 'endpoint_removed' }])
})

test('thousands that are held stand in the way of nobody: no reading meets them', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url })])
  const count = 20_000
  await bench.enqueue(messagesOf('ada', 1))
  await bench.pool.query(
    `WITH more AS (
      INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, affiliate_id, advertiser_id, click_id,
        config_version, method, url, content_type, body)
      SELECT nextval('delivery_ids'), d.created_at, endpoint_id, gen_random_uuid(), 0, 'auto', cause, affiliate_id, advertiser_id, click_id, 1, method, url,
        content_type, body FROM deliveries AS d, generate_series(2, $1)
      RETURNING delivery_id, created_at, endpoint_id
    ) INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts) SELECT delivery_id, created_at, endpoint_id, now(), 0 FROM more`,
    [count],
  )
  await pause(bench, 'affiliate', 'ada')
  await bench.start()
  await bench.enqueue(messagesOf('bob', 1))
  await bench.recorded(1)
  await held(bench, count)
  assert.deepEqual(await readAll(bench), [])
  for (let number = 1; number <= 50; number += 1) {
    await bench.enqueue(messagesOf('bob', 1, { from: number }))
    await bench.recorded(1 + number)
  }
  assert.deepEqual(txidsOf(receiver.arrivals, 'bob'), numbered('bob', 51))
  assert.equal(await heldOf(bench), count)
  assert.equal(receiver.arrivals.length, 51)
})

test('in order: the messages of a click keep their order over a pause', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void response.writeHead(position === 1 ? 503 : 200).end()) // prettier-ignore
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url, ordered: true })])
  const worker = await bench.start()
  await bench.enqueue(messagesOf('ada', 3, { click: 1 }))
  await bench.recorded(1)
  await pause(bench, 'affiliate', 'ada')
  await bench.pool.query(DUE)
  await held(bench, 1)
  await worker.stop()
  await bench.start()
  await bench.enqueue([...messagesOf('ada', 2, { click: 1, from: 3 }), ...messagesOf('bob', 1)])
  await bench.recorded(2)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['ada:0', 'bob:0'])
  await resume(bench, 'affiliate', 'ada')
  await bench.recorded(7)
  assert.deepEqual(txidsOf(receiver.arrivals, 'ada'), ['ada:0', ...numbered('ada', 5)])
})

test('in order: switched on while messages are held it holds for them', async (t) => {
  const receiver = await startReceiver(t)
  const loose = everybody({ url: receiver.url })
  await using bench = await openHoldBench(t, [loose])
  await pause(bench, 'affiliate', 'ada')
  const worker = await bench.start()
  await bench.enqueue(messagesOf('ada', 1, { click: 1 }))
  await held(bench, 1)
  await worker.stop()
  bench.setEndpoints([{ ...loose, ordered: true }], 2)
  await bench.start()
  await bench.enqueue([...messagesOf('ada', 2, { click: 1, from: 1 }), ...messagesOf('bob', 1)])
  await bench.recorded(1)
  await resume(bench, 'affiliate', 'ada')
  await bench.recorded(4)
  assert.deepEqual(txidsOf(receiver.arrivals, 'ada'), numbered('ada', 3))
})

test('in one request: messages of a paused affiliate are in none', async (t) => {
  const receiver = await startReceiver(t)
  const batch = {
    max_events: 4,
    max_bytes: 100_000,
    max_wait_ms: 300_000,
    format: 'json_array',
    wrapper_key: '',
  } as const
  await using bench = await openHoldBench(t, [
    everybody({ url: receiver.url, content_type: 'application/json', batch }),
  ])
  await pause(bench, 'affiliate', 'ada')
  await bench.start()
  await bench.enqueue(messagesOf('ada', 4).flatMap((cause, index) => [cause, ...messagesOf('bob', 1, { from: index })]))
  await bench.recorded(4)
  await held(bench, 4)
  assert.deepEqual(receiver.arrivals.map(({ body }) => (JSON.parse(body.toString()) as unknown[]).length), [4]) // prettier-ignore
  assert.doesNotMatch(receiver.arrivals[0]!.body.toString(), /ada/)
  await resume(bench, 'affiliate', 'ada')
  await bench.recorded(8)
  assert.equal(receiver.arrivals.length, 2)
})

test('at most once: what a worker died with is not held, and ends as unknown', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url, at_most_once: true })])
  await pause(bench, 'affiliate', 'ada')
  await bench.enqueue([...messagesOf('ada', 2), ...messagesOf('bob', 1)])
  // As if it had died a moment ago: its row is gone, its mark is not yet looked at.
  await bench.pool.query(`INSERT INTO delivery_marks (delivery_id, endpoint_id, run_at, worker_id, is_once)
    SELECT delivery_id, endpoint_id, run_at, '00000000-0000-4000-8000-000000000001', true FROM delivery_ready WHERE delivery_id = 1`)
  await bench.start()
  await bench.recorded(1)
  await held(bench, 1)
  await resume(bench, 'affiliate', 'ada')
  await bench.recorded(2)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['bob:0', 'ada:1'])
  assert.deepEqual(await bench.rows('SELECT delivery_id FROM delivery_ready'), [{ delivery_id: 1n }])
})

test('a release that was cut off is ended by the next worker before it sends what came later', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openHoldBench(t, [everybody({ url: receiver.url, max_concurrency: 1 })])
  await pause(bench, 'affiliate', 'ada')
  const worker = await bench.start()
  await bench.enqueue(messagesOf('ada', 4))
  await held(bench, 4)
  await worker.stop()
  await resume(bench, 'affiliate', 'ada')
  await bench.enqueue(messagesOf('ada', 2, { from: 4 }))
  await bench.start()
  await bench.recorded(6)
  assert.deepEqual(receiver.arrivals.map(txidOf), numbered('ada', 6))
  assert.equal(await releaseFree(bench.pool, ['tracker']), 0)
})

const ADA = { affiliate: new Set(['ada']), advertiser: new Set<string>() }

test('who was taken for dead holds nothing, and nothing is held for a pause that is ending', async (t) => {
  await using bench = await openHoldBench(t, [everybody({ url: 'http://127.0.0.1:9' })])
  const [worker, dead] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002']
  await enterWorker(bench.pool, worker, 60_000)
  await pause(bench, 'affiliate', 'ada')
  await bench.enqueue([...messagesOf('ada', 2), ...messagesOf('bob', 1)])
  const rows = await readAll(bench)
  assert.deepEqual(await holdRead(bench.pool, dead, ADA, rows), new Set([1, 2]))
  assert.equal(await heldOf(bench), 0)
  const ending = await bench.pool.connect()
  await ending.query('BEGIN; DELETE FROM delivery_pauses')
  const kept = holdRead(bench.pool, worker, ADA, rows)
  const ahead = holdAhead(bench.pool, worker, ADA, ['tracker'], [])
  await bothWait(bench)
  await ending.query('COMMIT')
  ending.release()
  assert.deepEqual(await kept, new Set([1, 2]))
  await ahead
  assert.equal(await heldOf(bench), 0)
  await pause(bench, 'affiliate', 'ada')
  await holdAhead(bench.pool, worker, ADA, ['tracker'], [2])
  assert.deepEqual(await bench.rows('SELECT delivery_id FROM delivery_held'), [{ delivery_id: 1n }])
})

test('what comes between the end of a pause and the end of its release is not sent before what was held', async (t) => {
  await using bench = await openHoldBench(t, [everybody({ url: 'http://127.0.0.1:9' })])
  const worker = '00000000-0000-4000-8000-000000000001'
  await enterWorker(bench.pool, worker, 60_000)
  await pause(bench, 'affiliate', 'ada')
  await bench.enqueue(messagesOf('ada', 1))
  let paused: typeof ADA = ADA
  const holds = new Holds({ pool: bench.pool, workerId: worker, paused: () => paused, onReleased: () => undefined })
  const keep = async () => holds.keep(await readAll(bench), () => false, () => []) // prettier-ignore
  assert.deepEqual(await keep(), new Set([1]))
  await resume(bench, 'affiliate', 'ada')
  paused = { affiliate: new Set(), advertiser: new Set() }
  assert.equal(holds.note(), false)
  await bench.enqueue(messagesOf('ada', 1, { from: 1 }))
  assert.deepEqual(await keep(), new Set([2]))
  assert.equal(await heldOf(bench), 1)
  await holds.release(['tracker'])
  assert.deepEqual((await readAll(bench)).map(({ deliveryId }) => deliveryId), [1, 2]) // prettier-ignore
  assert.deepEqual(await keep(), new Set())
  assert.equal(holds.isHolding, false)
})

test('an affiliate that is paused while others are released stays paused', async (t) => {
  await using bench = await openHoldBench(t, [everybody({ url: 'http://127.0.0.1:9' })])
  const BOB = { affiliate: new Set(['bob']), advertiser: new Set<string>() }
  let asked = 0
  // Paused between the two looks of a release: before what may go is looked for, and after.
  const paused = (): typeof ADA => (asked++ < 2 ? ADA : BOB)
  const holds = new Holds({ pool: bench.pool, workerId: '00000000-0000-4000-8000-000000000001', paused, onReleased: () => undefined }) // prettier-ignore
  await holds.release(['tracker'])
  await pause(bench, 'affiliate', 'ada')
  await pause(bench, 'affiliate', 'bob')
  await bench.enqueue([...messagesOf('ada', 1), ...messagesOf('bob', 1)])
  assert.deepEqual(await holds.keep(await readAll(bench), () => false, () => []), new Set([1, 2])) // prettier-ignore
})

async function bothWait(bench: Bench): Promise<void> {
  const sql = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
  while ((await bench.rows(sql)).length < 2) await new Promise((resolve) => setImmediate(resolve))
}

test('with workers killed while affiliates are paused and resumed nothing is lost, doubled beyond what was under way, or sent during a pause', async (t) => {
  const seed = process.pid
  t.diagnostic(`seed ${seed}`)
  const random = createRandom(seed)
  const affiliates = ['ada', 'bob', 'eva']
  // So many that there is something left to hold in the last round, on a slow machine too.
  const perAffiliate = 400
  const wrong: string[] = []
  const taken = new Map<string, number>()
  let quiet: { readonly affiliateId: string; readonly since: number } | undefined
  const receiver = await startReceiver(t, (response, arrival) => {
    const txid = txidOf(arrival)
    // What a killed worker wrote may still be on its way.
    const isLate = quiet !== undefined && performance.now() - quiet.since > 250
    if (isLate && txid.startsWith(`${quiet!.affiliateId}:`)) wrong.push(`${txid} during a pause`)
    if (random() < 0.05) return void response.writeHead(500).end()
    taken.set(txid, (taken.get(txid) ?? 0) + 1)
    response.end()
  })
  const endpoint = everybody({
    ...{ url: receiver.url, max_concurrency: 8, max_attempts: 50, max_per_minute: 4_800 },
    retry: { schedule_seconds: [0.05] },
  })
  await using bench = await openHoldBench(t, [endpoint])
  const orders = { url: bench.url, snapshot: bench.snapshot(), leaseMs: 400 }
  const someArrivals = () => receiver.arrival(receiver.arrivals.length + 1 + Math.floor(random() * 20))
  await bench.enqueue(Array.from({ length: perAffiliate }, (_, from) => affiliates.flatMap((one) => messagesOf(one, 1, { from }))).flat()) // prettier-ignore
  let kills = 0
  let worker = await startWorkerProcess(t, orders)
  const replaceWorker = async (): Promise<void> => {
    const next = startWorkerProcess(t, orders)
    await worker.kill()
    kills += 1
    worker = await next
  }
  for (let round = 0; round < 3; round += 1) {
    const affiliateId = affiliates[Math.floor(random() * affiliates.length)]!
    await someArrivals()
    await pause(bench, 'affiliate', affiliateId)
    if (random() < 0.5) await heldSome(bench)
    await replaceWorker()
    await heldSome(bench)
    quiet = { affiliateId, since: performance.now() }
    await someArrivals()
    quiet = undefined
    await resume(bench, 'affiliate', affiliateId)
    if (random() < 0.5) await replaceWorker()
  }
  const total = affiliates.length * perAffiliate
  while (!(await isDelivered(bench, total))) await new Promise((resolve) => setImmediate(resolve))
  await worker.kill()
  assert.deepEqual(wrong, [])
  assert.equal(taken.size, total)
  // What comes twice was under way when its worker died, so that no try of it is on record: a second one that is would have come late.
  assert.deepEqual(await bench.rows('SELECT delivery_id FROM delivery_attempts WHERE is_fenced'), [])
  const doubled = [...taken.values()].reduce((sum, count) => sum + count - 1, 0)
  assert.ok(kills > 2 && doubled <= kills * UNDER_WAY_MAX, `${doubled} doubled by ${kills} kills`)
  assert.equal(await heldOf(bench), 0)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

async function isDelivered(bench: Bench, count: number): Promise<boolean> {
  const rows = await bench.rows("SELECT count(*) AS count FROM delivery_ends WHERE state = 'delivered'")
  return Number(rows[0]!['count']) === count
}

async function heldSome(bench: Bench): Promise<void> {
  while ((await heldOf(bench)) === 0) await new Promise((resolve) => setImmediate(resolve))
}
