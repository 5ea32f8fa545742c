import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fixedClock } from '#platform/clock'
import { newClickId, type ClickId } from '#platform/ids'
import { runOnMount, withTempDir } from '#test-kit'
import { testCapCounters } from '../cap-state.conformance.ts'
import type { Cap, CapKey } from '../cap.ts'
import type { BookedConversion, CapEvent, CapState } from '../cap-state.ts'
import { compileCaps } from '../compile-caps.ts'
import { openSqliteCapState } from './sqlite.ts'

testCapCounters({
  name: 'SQLite',
  open: (t) => {
    const state = openSqliteCapState({ directory: join(withTempDir(t), 'caps') })
    t.after(() => state.close())
    return state
  },
})

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const NOW = Date.parse('2026-05-10T12:00:00Z')
const CAPS: readonly Cap[] = [
  { cap_id: 'clicks', metric: 'clicks', period: 'day', limit: 1_000, mode: 'hard' },
  { cap_id: 'held', metric: 'conversions', period: 'day', limit: 1_000, mode: 'hard', hold_minutes: 32 },
]
const compiled = compileCaps(CAPS, 'UTC')
const keysAt = (at: number): readonly CapKey[] => compiled.keysOfClick({}, at)
const bookedAt = (at: number, conversionId: string, rest: Partial<BookedConversion> = {}): BookedConversion => ({
  conversionId,
  clickId: newClickId(at),
  revision: 1,
  at,
  counts: true,
  keys: compiled.keysOfConversion({}, at, { payoutMicros: 0, revenueMicros: 0 }),
  whenOver: 'count',
  ...rest,
})
const levels = (state: CapState, at = NOW) => state.read(keysAt(at), at).map(({ used, held }) => [used, held])

/** A place for the caps of a machine that is started again and again. */
function makeMachine(t: TestContext) {
  const directory = join(withTempDir(t), 'caps')
  const clock = fixedClock(NOW)
  let run = 0
  const open = (): CapState => {
    const state = openSqliteCapState({ directory, clock, bootId: `${run}` })
    t.after(() => state.close())
    return state
  }
  /** What the run before has written is there, as whole as the disk happened to get it. */
  const startAgain = async (state: CapState): Promise<CapState> => {
    await state.close()
    run++
    return open()
  }
  return { directory, clock, open, startAgain }
}

function reserve(state: CapState, count: number, at = NOW): readonly ClickId[] {
  return Array.from({ length: count }, () => {
    const clickId = newClickId(at)
    assert.equal(state.reserve(clickId, at, keysAt(at)).kind, 'reserved')
    return clickId
  })
}

const clickAt = (at: number): CapEvent => ({ kind: 'click', clickId: newClickId(at), at, keys: keysAt(at) })

test('everything is there when the state is opened again', async (t) => {
  const machine = makeMachine(t)
  const state = machine.open()
  const [clickId] = reserve(state, 3)
  state.settle([bookedAt(NOW, 'one', { clickId: clickId! })])
  await state.close()
  assert.deepEqual(levels(machine.open()), [[3, 0], [1, 2]]) // prettier-ignore
})

test('two that have it open see each other at once', (t) => {
  const machine = makeMachine(t)
  const [one, other] = [machine.open(), machine.open()]
  reserve(one, 2)
  reserve(other, 3)
  for (const state of [one, other]) assert.deepEqual(levels(state), [[5, 0], [0, 5]]) // prettier-ignore
})

test('a sweep releases what has lapsed and nothing else', async (t) => {
  const state = makeMachine(t).open()
  reserve(state, 300)
  const later = NOW + 20 * MINUTE
  reserve(state, 2, later)
  assert.equal(await state.sweep(NOW + 31 * MINUTE), 0)
  assert.equal(await state.sweep(NOW + 33 * MINUTE), 300)
  assert.deepEqual(levels(state, later), [[302, 0], [0, 2]]) // prettier-ignore
  assert.equal(await state.sweep(NOW + DAY), 2)
  assert.equal(await state.sweep(NOW + DAY), 0)
})

test('a sweep keeps the hold of a click that came again', async (t) => {
  const state = makeMachine(t).open()
  const [clickId] = reserve(state, 1)
  state.reserve(clickId!, NOW + 20 * MINUTE, keysAt(NOW))
  assert.equal(await state.sweep(NOW + 33 * MINUTE), 0)
  assert.deepEqual(levels(state, NOW + 33 * MINUTE)[1], [0, 1])
})

test('counts are forgotten by the end of their period, conversions by when they came in', async (t) => {
  const state = makeMachine(t).open()
  reserve(state, 2)
  reserve(state, 1, NOW + DAY)
  const [old, young] = [bookedAt(NOW, 'old'), bookedAt(NOW + DAY, 'young')]
  state.settle([old, young])
  const endOfDay = keysAt(NOW)[0]!.periodEndMs
  assert.equal(await state.forgetBefore({ periodsEndedBeforeMs: endOfDay, conversionsBeforeMs: NOW }), 0)
  assert.equal(await state.forgetBefore({ periodsEndedBeforeMs: endOfDay + 1, conversionsBeforeMs: NOW + 1 }), 3)
  assert.deepEqual(levels(state)[0], [0, 0])
  assert.deepEqual(levels(state, NOW + DAY)[0], [1, 0])
  state.settle([{ ...old, revision: 2, counts: false }, { ...young, revision: 2, counts: false }]) // prettier-ignore
  assert.equal(levels(state)[1]![0], 0)
  assert.equal(levels(state, NOW + DAY)[1]![0], 0)
})

test('a new installation lacks all clicks of the log until it was rebuilt, also over a restart', async (t) => {
  const machine = makeMachine(t)
  const state = machine.open()
  assert.deepEqual(state.gap(), { sinceMs: 0, untilMs: NOW })
  assert.equal(await state.save(), false)
  await state.rebuild([])
  assert.equal(state.gap(), undefined)
  await state.close()
  const again = machine.open()
  assert.equal(again.gap(), undefined)
  assert.equal(await again.save(), true)
})

test('after the machine went down the counts begin with the saved copy and lack the clicks since', async (t) => {
  const machine = makeMachine(t)
  const state = machine.open()
  await state.rebuild([])
  reserve(state, 5)
  assert.equal(await state.save(), true)
  reserve(state, 2)
  machine.clock.advance(MINUTE)
  const again = await machine.startAgain(state)
  assert.deepEqual(levels(again)[0], [5, 0])
  assert.deepEqual(again.gap(), { sinceMs: NOW - 1_000, untilMs: NOW + MINUTE })
  assert.deepEqual(readdirSync(machine.directory).toSorted(), ['run-1', `saved-${NOW}.db`])
})

test('a rebuild adds the clicks of the gap, and those that came since stay', async (t) => {
  const machine = makeMachine(t)
  const state = machine.open()
  await state.rebuild([])
  reserve(state, 5)
  const conversion = bookedAt(NOW, 'saved')
  state.settle([conversion])
  await state.save()
  machine.clock.advance(MINUTE)
  const again = await machine.startAgain(state)
  const at = machine.clock.now()
  reserve(again, 3, at)
  const lost = Array.from({ length: 450 }, () => clickAt(NOW + 1))
  const outside = [clickAt(NOW - 1_001), clickAt(at)]
  const booked: CapEvent[] = [conversion, bookedAt(NOW + 2, 'lost')].map((one) => ({
    kind: 'conversion',
    conversion: one,
  }))
  await again.rebuild([...lost, ...outside, ...booked])
  assert.equal(again.gap(), undefined)
  assert.deepEqual(levels(again, at), [[458, 0], [2, 458]]) // prettier-ignore
  await again.rebuild(lost)
  assert.deepEqual(levels(again, at)[0], [458, 0])
})

test('a rebuild that breaks off counts no click, and may be done again', async (t) => {
  const state = makeMachine(t).open()
  const lost = Array.from({ length: 300 }, () => clickAt(NOW - 1))
  function* broken(): Generator<CapEvent> {
    yield* lost
    throw new Error('the log ended')
  }
  await assert.rejects(state.rebuild(broken()), /the log ended/)
  assert.notEqual(state.gap(), undefined)
  assert.deepEqual(levels(state)[0], [0, 0])
  await state.rebuild(lost)
  assert.deepEqual(levels(state), [[300, 0], [0, 300]]) // prettier-ignore
})

test('a copy is saved while others count, and takes the place of the one before', async (t) => {
  const machine = makeMachine(t)
  const state = machine.open()
  await state.rebuild([])
  for (let round = 0; round < 3; round++) {
    const saving = state.save()
    reserve(state, 10)
    assert.equal(await saving, true)
    machine.clock.advance(1)
  }
  const again = await machine.startAgain(state)
  assert.ok(levels(again)[0]![0]! >= 20)
  assert.deepEqual(
    readdirSync(machine.directory).filter((name) => name.startsWith('saved')),
    [`saved-${NOW + 2}.db`],
  )
})

test('the directory and its files are open to their owner only', async (t) => {
  const { directory, open } = makeMachine(t)
  const state = open()
  await state.rebuild([])
  await state.save()
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name))
  for (const path of [directory, ...paths]) assert.equal(statSync(path).mode & 0o077, 0, path)
})

test('a conversion id out of bounds is refused before anything of the batch is counted', (t) => {
  const state = makeMachine(t).open()
  for (const conversionId of ['', 'i'.repeat(65)])
    assert.throws(() => state.settle([bookedAt(NOW, 'good'), bookedAt(NOW, conversionId)]), RangeError)
  assert.deepEqual(levels(state)[1], [0, 0])
  state.settle([bookedAt(NOW, 'i'.repeat(64))])
  assert.deepEqual(levels(state)[1], [1, 0])
})

/** Counts on a small file system until commits fail, then makes space. */
const FILL = `
  const { compileCaps, openSqliteCapState } = await import('#caps')
  const { newClickId } = await import('#platform/ids')
  const { rmSync, statfsSync, writeFileSync } = await import('node:fs')
  const [directory, ballast] = process.argv.slice(1)
  const cap = { cap_id: 'a', metric: 'conversions', period: 'day', limit: 1e9, mode: 'hard' }
  const keys = compileCaps([cap], 'UTC').keysOfClick({}, ${NOW})
  const state = openSqliteCapState({ directory, bootId: 'one' })
  const { bavail, bsize } = statfsSync(directory)
  writeFileSync(ballast, Buffer.alloc(bavail * bsize - 300_000))
  let reserved = 0
  const reasons = []
  const tryOne = () => {
    try {
      if (state.reserve(newClickId(${NOW}), ${NOW}, keys).kind === 'reserved') reserved++
    } catch (error) {
      reasons.push([error.message, error.cause instanceof Error])
    }
  }
  while (reasons.length < 5) tryOne()
  const atFull = [reserved, state.read(keys, ${NOW})[0].held]
  rmSync(ballast)
  for (let count = 0; count < 100; count++) tryOne()
  console.log(JSON.stringify({ atFull, reasons, reserved, held: state.read(keys, ${NOW})[0].held }))`

test('a full disk fails the reservation with its reason, keeps what was counted, and goes on when there is space', (t) => {
  const disk = withTempDir(t)
  const run = runOnMount(t, disk, { type: 'tmpfs', options: 'size=6m' }, [
    '--input-type=module',
    '--eval',
    FILL,
    '--',
    join(disk, 'caps'),
    join(disk, 'ballast'),
  ])
  if (run === undefined) return
  assert.equal(run.status, 0, run.stderr)
  const report = JSON.parse(run.stdout) as {
    readonly atFull: readonly [reserved: number, held: number]
    readonly reasons: readonly (readonly [message: string, hasCause: boolean])[]
    readonly reserved: number
    readonly held: number
  }
  const [reserved, held] = report.atFull
  assert.ok(reserved > 0)
  assert.equal(held, reserved)
  assert.equal(report.reasons.length, 5)
  for (const [message, hasCause] of report.reasons) {
    assert.match(message, /^The caps could not be counted, as on a full disk: /)
    assert.ok(hasCause)
  }
  assert.deepEqual([report.reserved, report.held], [reserved + 100, reserved + 100])
})
