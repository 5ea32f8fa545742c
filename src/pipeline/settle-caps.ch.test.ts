import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { openSqliteCapState, type CapState } from '#caps'
import { changeStatus } from '#conversions'
import { fixedClock } from '#platform/clock'
import { createPool } from '#platform/postgres'
import type { ClickRecord } from '#records'
import { compileCappedOffers, type Offer } from '#routing'
import { withTempDir } from '#test-kit'

import { readCapLag } from './settle-caps.ts'
import {
  clickWith,
  eventWith,
  offerWith,
  snapshotWith,
  withInstallation,
  type TestInstallation,
} from './test-installation.ts'

const NOON = Date.UTC(2026, 5, 1, 12)
const MINUTE = 60_000
const DAILY = {
  cap_id: 'daily',
  metric: 'conversions',
  period: 'day',
  limit: 3,
  mode: 'hard',
  hold_minutes: 60,
} as const

/** An installation whose caps stand on a machine that can lose its power. */
async function withCaps(t: TestContext, caps: Offer['caps'] = [DAILY]) {
  const w = await withInstallation(t)
  w.snapshot = snapshotWith({ offers: [offerWith({ ...(caps && { caps }) })] })
  const directory = join(withTempDir(t), 'caps')
  const clock = fixedClock(NOON)
  const reach = (minutes: number): number => {
    const at = NOON + minutes * MINUTE
    clock.advance(Math.max(0, at - clock.now()))
    return at
  }
  let boot = 0
  const open = (): CapState => {
    const state = openSqliteCapState({ directory, clock, bootId: `boot-${boot}` })
    t.after(() => state.close())
    return state
  }
  const machine = {
    ...{ w, clock, directory },
    state: open(),
    /** What the edge does with a click. @returns undefined where a cap is full */
    click: async (minutes: number, changes: Partial<ClickRecord> = {}): Promise<ClickRecord | undefined> => {
      const record = clickWith({ at: reach(minutes), ...changes })
      const keys = compileCappedOffers(w.snapshot).get(record.offer_id!)!.keysOfRecordedClick(record)
      if (machine.state.reserve(record.click_id, record.at, keys).kind === 'full') return undefined
      await w.append(record)
      return record
    },
    convert: (click: ClickRecord, minutes: number, type = 'reg') =>
      w.append(eventWith(click.click_id, type, { at: reach(minutes) })),
    drain: () => w.drain({ caps: machine.state, clock }),
    /** Used and held of each cap. */
    levels: (offerId = 'casino') => {
      const at = clock.now()
      const counts = compileCappedOffers(w.snapshot).get(offerId)!.countsAt(at)
      return counts.map((of) => machine.state.list(of, at, 9).map(({ used, held }) => [used, held])[0] ?? [0, 0])
    },
    loseThePower: async () => {
      await machine.state.close()
      boot++
      machine.state = open()
    },
  }
  return machine
}

const idOf = (w: TestInstallation, click: ClickRecord) =>
  w.row<{ conversion_id: string }>('SELECT conversion_id FROM conversions WHERE click_id = $1', [click.click_id])

async function reject(w: TestInstallation, click: ClickRecord): Promise<void> {
  const { conversion_id: conversionId } = await idOf(w, click)
  const change = { conversionId, status: 'rejected', by: 'test', at: NOON + 9 * MINUTE } as const
  assert.equal((await changeStatus(w.pool, w.snapshot, change)).kind, 'changed')
}

const placeOfCaps = (w: TestInstallation) =>
  w.row<{ position: bigint }>(`SELECT position FROM consumer_positions WHERE consumer = 'caps'`)

test('clicks hold room, conversions take it, a rejection gives it back, and the next click finds the cap full', async (t) => {
  const m = await withCaps(t)
  const clicks = [await m.click(0), await m.click(1), await m.click(2)] as ClickRecord[]
  assert.equal(await m.click(3), undefined)
  for (const click of clicks) await m.convert(click, 4)
  await m.drain()
  assert.deepEqual(m.levels(), [[3, 0]])
  assert.equal(await m.click(5), undefined)
  await reject(m.w, clicks[0]!)
  await m.drain()
  assert.deepEqual(m.levels(), [[2, 0]])
  assert.notEqual(await m.click(9), undefined)
  assert.deepEqual(m.levels(), [[2, 1]])
  assert.equal(await m.click(9), undefined)
})

test('revisions that are settled again change nothing, whatever came after them', async (t) => {
  const m = await withCaps(t)
  const [one, two] = [await m.click(0), await m.click(1)] as ClickRecord[]
  await m.convert(one!, 2)
  await m.drain()
  await m.convert(two!, 3)
  await reject(m.w, one!)
  await m.drain()
  assert.deepEqual(m.levels(), [[1, 0]])
  await m.w.pool.query(`UPDATE consumer_positions SET position = 0 WHERE consumer = 'caps'`)
  await m.drain()
  assert.deepEqual(m.levels(), [[1, 0]])
})

test('money counts as it is booked, on hard and soft caps, and an offer without caps costs nothing', async (t) => {
  const money = { metric: 'payout', period: 'day', limit: 10_000_000_000 } as const
  const m = await withCaps(t, [
    { ...money, cap_id: 'hard', mode: 'hard' },
    { ...money, cap_id: 'soft', metric: 'revenue', mode: 'soft' },
  ])
  const click = (await m.click(0))!
  // The dearest price of the offer, until it is known which it is.
  assert.deepEqual(m.levels(), [[0, 40_000_000], [0, 0]]) // prettier-ignore
  const other = clickWith({ offer_id: 'plain', at: NOON })
  m.w.snapshot = { ...m.w.snapshot, offers: [...m.w.snapshot.offers, offerWith({ offer_id: 'plain' })] }
  await m.w.append(other)
  await m.convert(other, 1)
  await m.convert(click, 1)
  await m.drain()
  assert.deepEqual(m.levels(), [[4_000_000, 0], [6_000_000, 0]]) // prettier-ignore
})

test('a conversion of an offer that is gone settles nothing and holds up nobody', async (t) => {
  const m = await withCaps(t)
  const [gone, stays] = [await m.click(0), await m.click(1)] as ClickRecord[]
  await m.convert(gone!, 2)
  await m.drain()
  const [offer] = m.w.snapshot.offers
  m.w.snapshot = { ...m.w.snapshot, offers: [] }
  await reject(m.w, gone!)
  await m.drain()
  m.w.snapshot = { ...m.w.snapshot, offers: [offer!] }
  await m.convert(stays!, 3)
  await m.drain()
  assert.deepEqual(m.levels(), [[2, 0]])
})

test('caps go on counting while ClickHouse is away', async (t) => {
  const m = await withCaps(t)
  const click = (await m.click(0))!
  await m.convert(click, 1)
  await m.drain()
  await reject(m.w, click)
  const facts = new Proxy(m.w.facts, {
    get: (target, name) =>
      name === 'insert' || name === 'exec' || name === 'command'
        ? () => Promise.reject(new Error('away'))
        : Reflect.get(target, name),
  })
  const isSettled = Promise.withResolvers<void>()
  const caps: CapState = {
    ...m.state,
    settle: (conversions) => {
      const answers = m.state.settle(conversions)
      if (conversions.some(({ counts }) => !counts)) isSettled.resolve()
      return answers
    },
  }
  await m.w.start({ caps, facts, clock: m.clock })
  await isSettled.promise
  assert.deepEqual(m.levels(), [[0, 0]])
})

test('conversions wait while PostgreSQL is away, and are counted when it is back', async (t) => {
  const m = await withCaps(t)
  const click = (await m.click(0))!
  await m.convert(click, 1)
  const isTried = Promise.withResolvers<void>()
  let isAway = true
  const pool = new Proxy(createPool('postgres://127.0.0.1:1/none'), {
    get: (target, name) => {
      if (isAway && (name === 'query' || name === 'connect')) isTried.resolve()
      const now = isAway ? target : m.w.pool
      const value: unknown = Reflect.get(now, name)
      return typeof value === 'function' ? value.bind(now) : value
    },
  })
  const pipeline = await m.w.start({ caps: m.state, pool, clock: m.clock })
  await isTried.promise
  isAway = false
  await pipeline.drained()
  assert.deepEqual(m.levels(), [[1, 0]])
})

const CLICKS = { cap_id: 'clicks', metric: 'clicks', period: 'day', limit: 99, mode: 'hard' } as const

test('after a power cut the counts are those of the log and of the conversions, and saved again', async (t) => {
  const m = await withCaps(t, [CLICKS, { ...DAILY, limit: 99 }])
  const [early, late] = [await m.click(0), await m.click(1)] as ClickRecord[]
  await m.convert(early!, 2)
  await m.drain()
  await m.click(11)
  await m.convert(late!, 12)
  await m.convert((await m.click(13))!, 14)
  await m.w.append(clickWith({ at: NOON + 15 * MINUTE, outcome: 'fallback', refusal: 'over_cap' }))
  // Booked, and counted in what the power cut takes.
  await m.w.drain({ caps: { ...m.state, save: async () => false }, clock: m.clock })
  const before = m.levels()
  assert.deepEqual(before, [[4, 0], [3, 1]]) // prettier-ignore
  await m.loseThePower()
  assert.deepEqual(m.levels(), [[2, 0], [1, 1]]) // prettier-ignore
  await m.drain()
  assert.deepEqual(m.levels(), before)
  assert.equal(m.state.gap(), undefined)
  await m.loseThePower()
  assert.deepEqual(m.levels(), before)
})

test('counts that are lost wholly are counted again from the first click on', async (t) => {
  const m = await withCaps(t, [CLICKS, { ...DAILY, limit: 99 }])
  const [one, two] = [await m.click(0), await m.click(1)] as ClickRecord[]
  await m.convert(one!, 2)
  await m.convert(two!, 2)
  await m.click(3)
  await m.drain()
  await reject(m.w, two!)
  await m.drain()
  const before = m.levels()
  assert.deepEqual(before, [[3, 0], [1, 1]]) // prettier-ignore
  assert.ok((await placeOfCaps(m.w)).position > 1n)
  m.clock.advance(MINUTE)
  await m.state.close()
  rmSync(m.directory, { recursive: true })
  await m.loseThePower()
  assert.deepEqual(m.levels(), [[0, 0], [0, 0]]) // prettier-ignore
  await m.drain()
  assert.deepEqual(m.levels(), before)
})

test('the place moves only with a copy of the counts', async (t) => {
  const m = await withCaps(t)
  await m.convert((await m.click(0))!, 1)
  await m.w.drain({ caps: { ...m.state, save: async () => false }, clock: m.clock })
  assert.equal((await placeOfCaps(m.w)).position, 0n)
  assert.deepEqual(m.levels(), [[1, 0]])
  await m.drain()
  assert.ok((await placeOfCaps(m.w)).position > 0n)
})

test('metrics tell what was settled, which holds expired, and how far the counts lag', async (t) => {
  const m = await withCaps(t)
  // What is booked while a new state is filled is counted there, and not settled.
  await m.drain()
  const [one] = [await m.click(0), await m.click(1)] as ClickRecord[]
  await m.convert(one!, 2)
  const run = async () => {
    const pipeline = await m.w.start({ caps: m.state, clock: m.clock })
    await pipeline.drained()
    assert.notEqual(pipeline.capPlace(), undefined)
    await pipeline.stop()
    const text = await pipeline.readMetrics()
    const value = (name: string): number => Number(new RegExp(`^waypost_caps_${name} (\\S+)$`, 'm').exec(text)?.[1])
    return ['settled_total', 'holds_expired_total', 'settle_lag_revisions', 'whole'].map(value)
  }
  assert.deepEqual(await run(), [1, 0, 0, 1])
  m.clock.advance(120 * MINUTE)
  assert.deepEqual(await run(), [0, 1, 0, 1])
  const { revised_at } = await m.w.row<{ revised_at: Date }>('SELECT revised_at FROM conversion_revisions')
  const lag = await readCapLag(m.w.pool, 0, revised_at.getTime() + 7_000)
  assert.deepEqual(lag, { revisions: 1, seconds: 7 })
  assert.deepEqual(await readCapLag(m.w.pool, 1_000, NOON), { revisions: 0, seconds: 0 })
})
