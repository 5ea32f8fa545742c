import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { newClickId, type ClickId } from '#platform/ids'
import { createPlainCaps } from './cap-model.ts'
import type { Cap, CapDimension, CapKey } from './cap.ts'
import type { BookedConversion, CapCounters } from './cap-state.ts'
import { clicksLeft } from './tally.ts'
import { compileCaps, readCapSlot, type CompiledCaps } from './compile-caps.ts'

/** What a suite needs of an adapter: empty counters of its own for each test. */
export type CapCountersAdapter = {
  readonly name: string
  readonly open: (t: TestContext) => CapCounters
}

const MINUTE = 60_000
/** Midnight of a day, so that the next is 24 h away. */
const NOW = Date.parse('2026-05-10T00:00:00Z')
const WORTH = { payoutMicros: 300, revenueMicros: 500 }
const RESERVED = { kind: 'reserved' }
const SETTLED = { kind: 'settled' }
const fullAt = (index: number) => ({ kind: 'full', index })

const cap = (rest: Partial<Cap>): Cap => ({
  cap_id: 'a',
  metric: 'clicks',
  period: 'day',
  limit: 2,
  mode: 'hard',
  hold_minutes: 32,
  ...rest,
})
const caps = (...of: readonly Partial<Cap>[]): CompiledCaps => compileCaps(of.map(cap), 'UTC')
const click = (): ClickId => newClickId(NOW)

let conversions = 0
const booked = (clickId: ClickId, keys: readonly CapKey[], rest: Partial<BookedConversion> = {}): BookedConversion => ({
  conversionId: `conversion-${conversions++}`,
  clickId,
  revision: 1,
  at: NOW,
  counts: true,
  keys,
  whenOver: 'count',
  ...rest,
})

/** The promises of the port, as tests; every adapter runs all of them. */
export function testCapCounters(adapter: CapCountersAdapter): void {
  const it = (sentence: string, body: (counters: CapCounters) => void): void => {
    test(`${adapter.name}: ${sentence}`, (t) => body(adapter.open(t)))
  }
  const levels = (counters: CapCounters, keys: readonly CapKey[], at = NOW) =>
    counters.read(keys, at).map(({ used, held }) => [used, held])

  it('lets in as many clicks as the cap has, and as many again in the next period', (counters) => {
    const { keysOfClick } = caps({})
    const reserve = (at: number) => counters.reserve(click(), at, keysOfClick({}, at)).kind
    const day = 24 * 60 * MINUTE
    assert.deepEqual([0, 1, day - 1, day, day + 1, day + 2].map((ms) => reserve(NOW + ms)), [
      'reserved', 'reserved', 'full', 'reserved', 'reserved', 'full',
    ]) // prettier-ignore
  })

  it('takes all of the keys or none', (counters) => {
    const keys = caps({ limit: 5 }, { cap_id: 'b', metric: 'conversions' }, { cap_id: 'c', limit: 1 }).keysOfClick({}, NOW) // prettier-ignore
    assert.deepEqual(counters.reserve(click(), NOW, keys), RESERVED)
    assert.deepEqual(counters.reserve(click(), NOW, keys), fullAt(2))
    assert.deepEqual(levels(counters, keys), [[1, 0], [0, 1], [1, 0]]) // prettier-ignore
  })

  it('takes nobody where the limit is 0, and everybody where there is no cap', (counters) => {
    for (const metric of ['clicks', 'conversions', 'payout'] as const)
      for (const mode of ['hard', 'soft'] as const) {
        const keys = caps({ cap_id: `${metric}-${mode}`, metric, mode, limit: 0 }).keysOfClick({}, NOW)
        assert.deepEqual(counters.reserve(click(), NOW, keys), fullAt(0))
      }
    assert.deepEqual(counters.reserve(click(), NOW, []), RESERVED)
  })

  it('answers a peek as it would a reservation and takes nothing', (counters) => {
    const keys = caps({ limit: 1 }, { cap_id: 'b', metric: 'conversions' }).keysOfClick({}, NOW)
    assert.deepEqual(counters.peek(click(), NOW, keys), RESERVED)
    assert.deepEqual(levels(counters, keys), [[0, 0], [0, 0]]) // prettier-ignore
    counters.reserve(click(), NOW, keys)
    assert.deepEqual(counters.peek(click(), NOW, keys), fullAt(0))
  })

  it('gives back what a click took that could not be recorded', (counters) => {
    const keys = caps({ limit: 1 }, { cap_id: 'b', metric: 'conversions', limit: 1 }).keysOfClick({}, NOW)
    const id = click()
    counters.reserve(id, NOW, keys)
    counters.release(id, keys)
    assert.deepEqual(levels(counters, keys), [[0, 0], [0, 0]]) // prettier-ignore
    assert.deepEqual(counters.reserve(click(), NOW, keys), RESERVED)
  })

  it('lets clicks hold a hard cap on conversions until their hold is over, and at most a 32nd longer', (counters) => {
    const { keysOfClick } = caps({ metric: 'conversions' })
    const reserve = (at: number) => counters.reserve(click(), at, keysOfClick({}, at)).kind
    const minutes = [0, 0, 31.99, 33, 33, 33]
    assert.deepEqual(minutes.map((ms) => reserve(NOW + ms * MINUTE)), [
      'reserved', 'reserved', 'full', 'reserved', 'reserved', 'full',
    ]) // prettier-ignore
  })

  it('reads holds that have lapsed as gone', (counters) => {
    const keys = caps({ metric: 'conversions' }).keysOfClick({}, NOW)
    counters.reserve(click(), NOW, keys)
    assert.deepEqual(levels(counters, keys, NOW + 31 * MINUTE), [[0, 1]])
    assert.deepEqual(levels(counters, keys, NOW + 33 * MINUTE), [[0, 0]])
  })

  it('lets a click that comes again hold once, and for longer', (counters) => {
    const keys = caps({ metric: 'conversions', limit: 1 }).keysOfClick({}, NOW)
    const id = click()
    counters.reserve(id, NOW, keys)
    assert.deepEqual(counters.reserve(id, NOW + 20 * MINUTE, keys), RESERVED)
    assert.deepEqual(levels(counters, keys, NOW + 40 * MINUTE), [[0, 1]])
    assert.deepEqual(levels(counters, keys, NOW + 54 * MINUTE), [[0, 0]])
  })

  it('moves what a click holds to what is used when its conversion is booked', (counters) => {
    const compiled = caps({ metric: 'payout', limit: 1_000 }, { cap_id: 'b', metric: 'conversions' })
    const keys = compiled.keysOfClick({}, NOW, WORTH)
    const id = click()
    counters.reserve(id, NOW, keys)
    assert.deepEqual(levels(counters, keys), [[0, 300], [0, 1]]) // prettier-ignore
    const worth = { payoutMicros: 450, revenueMicros: 0 }
    assert.deepEqual(counters.settle([booked(id, compiled.keysOfConversion({}, NOW, worth))]), [SETTLED])
    assert.deepEqual(levels(counters, keys), [[450, 0], [1, 0]]) // prettier-ignore
  })

  it('counts a conversion in the period in which it came in, and holds against the next as well', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 1 })
    const [before, after] = [NOW - MINUTE, NOW + MINUTE]
    const id = click()
    counters.reserve(id, before, compiled.keysOfClick({}, before))
    const keys = compiled.keysOfClick({}, after)
    assert.deepEqual(counters.reserve(click(), after, keys), fullAt(0))
    counters.settle([booked(id, compiled.keysOfConversion({}, after, WORTH), { at: after })])
    assert.deepEqual(levels(counters, keys, after), [[1, 0]])
    assert.deepEqual(levels(counters, compiled.keysOfClick({}, before), after), [[0, 0]])
  })

  it('settles a revision once, however often it is replayed, and an earlier one not after it', (counters) => {
    const compiled = caps({ metric: 'payout', limit: 10_000 })
    const id = click()
    const first = booked(id, compiled.keysOfConversion({}, NOW, WORTH))
    const second = { ...first, revision: 2, keys: compiled.keysOfConversion({}, NOW, { ...WORTH, payoutMicros: 700 }) }
    assert.deepEqual(counters.settle([first, first, second, first, second]), Array(5).fill(SETTLED))
    assert.deepEqual(counters.settle([first]), [SETTLED])
    assert.deepEqual(levels(counters, first.keys), [[700, 0]])
  })

  it('gives back what a conversion counted when it is rejected, in the period that it counted in', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 1 })
    const keys = compiled.keysOfClick({}, NOW)
    const conversion = booked(click(), compiled.keysOfConversion({}, NOW, WORTH))
    counters.settle([conversion])
    assert.deepEqual(counters.reserve(click(), NOW, keys), fullAt(0))
    const rejected = { ...conversion, revision: 2, counts: false }
    counters.settle([rejected, rejected])
    assert.deepEqual(levels(counters, keys), [[0, 0]])
  })

  it('takes the hold of a click whose conversion is rejected at once', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 1 })
    const keys = compiled.keysOfClick({}, NOW)
    const id = click()
    counters.reserve(id, NOW, keys)
    counters.settle([booked(id, compiled.keysOfConversion({}, NOW, WORTH), { counts: false })])
    assert.deepEqual(levels(counters, keys), [[0, 0]])
  })

  it('lets clicks under way overshoot a soft cap, and none after it is reached', (counters) => {
    const compiled = caps({ metric: 'conversions', mode: 'soft' })
    const keys = compiled.keysOfClick({}, NOW)
    const ids = [click(), click(), click()]
    for (const id of ids) assert.deepEqual(counters.reserve(id, NOW, keys), RESERVED)
    const conversion = (id: ClickId) => booked(id, compiled.keysOfConversion({}, NOW, WORTH), { whenOver: 'refuse' })
    assert.deepEqual(counters.settle(ids.map(conversion)), Array(3).fill(SETTLED))
    assert.deepEqual(levels(counters, keys), [[3, 0]])
    assert.deepEqual(counters.reserve(click(), NOW, keys), fullAt(0))
  })

  it('counts a conversion that comes after the hold of its click, or refuses it where that is asked for', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 1 })
    const late = NOW + 40 * MINUTE
    const [tardy, next] = [click(), click()]
    counters.reserve(tardy, NOW, compiled.keysOfClick({}, NOW))
    counters.reserve(next, late, compiled.keysOfClick({}, late))
    const keys = compiled.keysOfConversion({}, late, WORTH)
    const refused = booked(tardy, keys, { at: late, whenOver: 'refuse' })
    assert.deepEqual(counters.settle([refused, refused]), Array(2).fill({ kind: 'over_cap', index: 0 }))
    assert.deepEqual(counters.settle([booked(next, keys, { at: late, whenOver: 'refuse' })]), [SETTLED])
    assert.deepEqual(levels(counters, keys, late), [[1, 0]])
    counters.settle([booked(tardy, keys, { at: late })])
    assert.deepEqual(levels(counters, keys, late), [[2, 0]])
  })

  it('takes a conversion in the place of a hold that has lapsed while nobody else was given it', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 1 })
    const late = NOW + 40 * MINUTE
    const id = click()
    counters.reserve(id, NOW, compiled.keysOfClick({}, NOW))
    const keys = compiled.keysOfConversion({}, late, WORTH)
    assert.deepEqual(counters.settle([booked(id, keys, { at: late, whenOver: 'refuse' })]), [SETTLED])
  })

  it('gives the room of a lapsed hold to one conversion only', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 1 })
    const late = NOW + 40 * MINUTE
    const [tardy, stranger] = [click(), click()]
    counters.reserve(tardy, NOW, compiled.keysOfClick({}, NOW))
    const keys = compiled.keysOfConversion({}, late, WORTH)
    const ask = (id: ClickId) => counters.settle([booked(id, keys, { at: late, whenOver: 'refuse' })])
    assert.deepEqual(ask(stranger), [SETTLED])
    assert.deepEqual(ask(tardy), [{ kind: 'over_cap', index: 0 }])
    assert.deepEqual(levels(counters, keys, late), [[1, 0]])
  })

  it('counts the second conversion of a click without a hold', (counters) => {
    const compiled = caps({ metric: 'conversions', limit: 2 })
    const keys = compiled.keysOfConversion({}, NOW, WORTH)
    const [id, other] = [click(), click()]
    for (const one of [id, other]) counters.reserve(one, NOW, compiled.keysOfClick({}, NOW))
    const answers = counters.settle([
      booked(id, keys, { whenOver: 'refuse' }),
      booked(id, keys, { whenOver: 'refuse' }),
      booked(other, keys, { whenOver: 'refuse' }),
    ])
    assert.deepEqual(answers, [SETTLED, { kind: 'over_cap', index: 0 }, SETTLED])
  })

  it('lists what is counted and held of a cap in a period, value by value', (counters) => {
    const of = caps({ cap_id: 'listed', metric: 'conversions', per: ['affiliate', 'sub1'], limit: 9 })
    const [ann, bob] = [{ affiliate_id: 'ann', sub1: 'x' }, { affiliate_id: 'bob' }]
    const odd = { affiliate_id: 'eve', sub1: 'a,b=c' }
    for (const facts of [ann, ann, bob, odd]) counters.reserve(click(), NOW, of.keysOfClick(facts, NOW))
    const tomorrow = NOW + 24 * 60 * MINUTE
    for (const [facts, at] of [[ann, NOW], [bob, tomorrow]] as const)
      counters.settle([booked(click(), of.keysOfConversion(facts, at, WORTH), { at })]) // prettier-ignore
    const [counts] = of.countsAt(NOW)
    const listed = counters
      .list(counts!, NOW, 10)
      .map(({ slot, used, held }) => [readCapSlot(counts!, slot), used, held])
    const values = (...of: readonly string[]) => ({ kind: 'values', values: of })
    assert.deepEqual(listed.slice(1), [[values('ann', 'x'), 1, 2], [values('bob', ''), 0, 1]]) // prettier-ignore
    assert.deepEqual([(listed[0]![0] as { kind: string }).kind, ...listed[0]!.slice(1)], ['fingerprint', 0, 1])
    assert.equal(counters.list(counts!, NOW, 2).length, 2)
    assert.deepEqual(
      counters.list(of.countsAt(tomorrow)[0]!, tomorrow, 10).map(({ used, held }) => [used, held]),
      [[1, 0]],
    )
  })

  it('lists one count of a cap without dimensions, and none of another cap or of what it counted by before', (counters) => {
    const of = (cap_id: string, per: readonly CapDimension[]) => caps({ cap_id, per })
    const facts = { affiliate_id: 'ann', country: 'DE' }
    const reserve = (compiled: CompiledCaps) => counters.reserve(click(), NOW, compiled.keysOfClick(facts, NOW))
    for (const one of [
      of('p', []),
      of('p', []),
      of('p', ['affiliate']),
      of('p', ['affiliate', 'country']),
      of('pq', []),
    ])
      reserve(one)
    const [all] = of('p', []).countsAt(NOW)
    assert.deepEqual(counters.list(all!, NOW, 10), [{ slot: all!.slot, used: 2, held: 0 }])
    const [byAffiliate] = of('p', ['affiliate']).countsAt(NOW)
    const known = counters.list(byAffiliate!, NOW, 10).filter(({ slot }) => readCapSlot(byAffiliate!, slot))
    assert.deepEqual(known.map(({ used }) => used), [1]) // prettier-ignore
    assert.deepEqual(counters.list(of('other', []).countsAt(NOW)[0]!, NOW, 10), [])
  })

  it('answers as the plain model does, whatever comes in whatever order, and never overshoots', (counters) => {
    fc.assert(
      fc.property(limits, fc.array(steps, { maxLength: 60 }), (limitsOfRun, run) => {
        const world = beginWorld(limitsOfRun)
        const plain = createPlainCaps()
        for (const step of run) takeStep(world, step, counters, plain)
      }),
      { numRuns: 150 },
    )
  })
}

const CLICKS = 6
const limits = fc.record({
  clicks: fc.integer({ min: 0, max: 8 }),
  conversions: fc.integer({ min: 0, max: 5 }),
  payout: fc.integer({ min: 0, max: 2_000 }),
  soft: fc.integer({ min: 0, max: 4 }),
})
const steps = fc.record({
  what: fc.constantFrom('reserve', 'reserve', 'reserve', 'release', 'settle', 'settle', 'revise', 'replay'),
  click: fc.nat({ max: CLICKS - 1 }),
  forwardMs: fc.constantFrom(0, 1, MINUTE, 7 * MINUTE, 40 * MINUTE),
  counts: fc.boolean(),
  whenOver: fc.constantFrom('count' as const, 'refuse' as const),
})
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never
type Limits = typeof limits extends fc.Arbitrary<infer T> ? T : never

/** Caps and ids that no other run has, so that all runs share one state. */
function beginWorld(limitsOfRun: Limits) {
  const run = click()
  const of = (cap_id: string, rest: Partial<Cap>): Cap => cap({ ...rest, cap_id: `${cap_id}${run}` })
  const compiled = compileCaps(
    [
      of('a', { limit: limitsOfRun.clicks, period: 'hour' }),
      of('b', { limit: limitsOfRun.conversions, metric: 'conversions', period: 'hour' }),
      of('c', { limit: limitsOfRun.payout, metric: 'payout', hold_minutes: 10 }),
      of('d', { limit: limitsOfRun.soft, metric: 'conversions', mode: 'soft' }),
    ],
    'UTC',
  )
  return {
    compiled,
    limits: limitsOfRun,
    ids: Array.from({ length: CLICKS }, click),
    taken: new Map<ClickId, readonly CapKey[]>(),
    booked: [] as BookedConversion[],
    at: NOW,
    /** Conversions that were counted without asking for room, and so may overshoot. */
    unasked: 0,
  }
}
type World = ReturnType<typeof beginWorld>

function takeStep(world: World, step: Step, counters: CapCounters, plain: CapCounters): void {
  world.at += step.forwardMs
  const id = world.ids[step.click]!
  const keys = world.compiled.keysOfClick({}, world.at, WORTH)
  if (step.what === 'reserve') {
    assert.deepEqual(counters.peek(id, world.at, keys), plain.peek(id, world.at, keys))
    const answer = plain.reserve(id, world.at, keys)
    assert.deepEqual(counters.reserve(id, world.at, keys), answer)
    if (answer.kind === 'reserved') world.taken.set(id, keys)
  }
  const taken = world.taken.get(id)
  if (step.what === 'release' && taken !== undefined) {
    for (const one of [counters, plain]) one.release(id, taken)
    world.taken.delete(id)
  }
  const conversion = conversionOf(world, step, id)
  if (conversion !== undefined) {
    if (conversion.whenOver === 'count') world.unasked++
    assert.deepEqual(counters.settle([conversion]), plain.settle([conversion]))
    world.booked.push(conversion)
  }
  const levels = counters.read(keys, world.at)
  assert.deepEqual(levels, plain.read(keys, world.at))
  const isFull = counters.peek(click(), world.at, keys).kind === 'full'
  assert.equal(levels.some((level) => clicksLeft(level) === 0), isFull) // prettier-ignore
  for (const of of world.compiled.countsAt(world.at))
    assert.deepEqual(counters.list(of, world.at, 9), plain.list(of, world.at, 9))
  assert.ok(levels[0]!.used <= world.limits.clicks)
  assert.ok(levels[1]!.used <= world.limits.conversions + world.unasked)
}

function conversionOf(world: World, step: Step, clickId: ClickId): BookedConversion | undefined {
  const { at, booked: earlier } = world
  if (step.what === 'settle') {
    const keys = world.compiled.keysOfConversion({}, at, { ...WORTH, payoutMicros: 100 * (step.click + 1) })
    return booked(clickId, keys, { conversionId: click(), at, counts: step.counts, whenOver: step.whenOver })
  }
  const known = earlier[step.click % Math.max(1, earlier.length)]
  if (known === undefined || step.what === 'replay') return step.what === 'replay' ? known : undefined
  return step.what === 'revise' ? { ...known, revision: known.revision + 1, counts: step.counts } : undefined
}
