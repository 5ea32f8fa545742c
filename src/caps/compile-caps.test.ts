import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cap, CapFacts } from './cap.ts'
import { compileCaps } from './compile-caps.ts'
import { capLimits } from './limits.ts'

const NOW = Date.parse('2026-05-10T12:00:00Z')
const WORTH = { payoutMicros: 2_500_000, revenueMicros: 3_000_000 }
const cap = (rest: Partial<Cap<string>>): Cap<string> => ({
  cap_id: 'cap_1',
  metric: 'clicks',
  period: 'day',
  limit: 10,
  mode: 'hard',
  ...rest,
})
const keysOf = (caps: readonly Cap<string>[], facts: CapFacts = {}, at = NOW) =>
  compileCaps(caps, 'Europe/Berlin').keysOfClick(facts, at, WORTH)
const keyOf = (rest: Partial<Cap<string>>, facts: CapFacts = {}, at = NOW) => keysOf([cap(rest)], facts, at)[0]!

test('a click counts one on a cap on clicks, at once', () => {
  assert.deepEqual(keyOf({}), {
    cap_id: 'cap_1',
    metric: 'clicks',
    slot: 'cap_1:cd',
    key: `cap_1:cd@${Date.parse('2026-05-09T22:00:00Z').toString(36)}`,
    counting: 'at_click',
    limit: 10,
    amount: 1,
    holdMs: 0,
    periodEndMs: Date.parse('2026-05-10T22:00:00Z'),
  })
})

test('a click holds one conversion, or what it is expected to bring, on a hard cap; for 60 minutes by default', () => {
  const held = (['conversions', 'payout', 'revenue'] as const).map((metric) => keyOf({ metric }))
  assert.deepEqual(
    held.map(({ counting, amount, holdMs }) => [counting, amount, holdMs]),
    [1, 2_500_000, 3_000_000].map((amount) => ['held', amount, 3_600_000]),
  )
  assert.equal(keyOf({ metric: 'payout', hold_minutes: 5 }).holdMs, 300_000)
})

test('a click only looks at a soft cap, and counts on one on clicks all the same', () => {
  assert.deepEqual(
    [keyOf({ metric: 'payout', mode: 'soft' })].map(({ counting, holdMs }) => [counting, holdMs]),
    [['when_booked', 0]],
  )
  assert.equal(keyOf({ mode: 'soft' }).counting, 'at_click')
})

test('a conversion touches the caps on conversions, payout and revenue with what it is worth', () => {
  const caps = compileCaps([cap({}), cap({ cap_id: 'b', metric: 'payout' })], 'UTC')
  const keys = caps.keysOfConversion({}, NOW, { payoutMicros: 7, revenueMicros: 8 })
  assert.deepEqual(
    keys.map(({ cap_id, amount }) => [cap_id, amount]),
    [['b', 7]],
  )
  assert.equal(keys[0]?.slot, caps.keysOfClick({}, NOW)[1]?.slot)
})

test('nothing expected is an amount of 0', () => {
  assert.equal(compileCaps([cap({ metric: 'payout' })], 'UTC').keysOfClick({}, NOW)[0]?.amount, 0)
})

test('each value of a dimension has a count of its own, and clicks without it share one', () => {
  const slots = [{ affiliate_id: 'a1', country: 'DE' }, { affiliate_id: 'a2' }, {}].map(
    (facts) => keyOf({ per: ['affiliate', 'country'] }, facts).slot,
  )
  assert.deepEqual(slots, [
    'cap_1:cd:affiliate=a1,country=DE',
    'cap_1:cd:affiliate=a2,country=',
    'cap_1:cd:affiliate=,country=',
  ])
})

test('values of any characters and length stay apart in a slot of at most 200 bytes', () => {
  const values = ['a,country=', 'a@b', 'ü'.repeat(255), 'x'.repeat(255), `${'x'.repeat(254)}y`, 'a b', '#', 'a b ']
  const slots = values.map((sub3) => keyOf({ cap_id: 'c'.repeat(64), per: ['sub3', 'country'] }, { sub3 }).slot)
  assert.equal(new Set(slots).size, values.length)
  assert.ok(slots.every((slot) => Buffer.byteLength(slot) <= 200))
  const plain = (length: number): string => keyOf({ per: ['sub3'] }, { sub3: 'x'.repeat(length) }).slot
  assert.match(plain(capLimits.plainValueCharactersMax), /=x+$/)
  assert.match(plain(capLimits.plainValueCharactersMax + 1), /:#/)
  const most = keyOf({ cap_id: 'c'.repeat(64), per: ['affiliate', 'sub30'] }, { affiliate_id: 'a'.repeat(40), sub30: 'b'.repeat(40) }) // prettier-ignore
  assert.ok(Buffer.byteLength(most.slot) <= 200)
})

test('another period, metric, dimension or id is another count; another limit, mode or hold is not', () => {
  const changes: readonly Partial<Cap<string>>[] = [
    { period: 'hour' },
    { metric: 'payout' },
    { per: ['country'] },
    { cap_id: 'x' },
  ]
  const keys = [{}, ...changes].map((change) => keyOf(change).key)
  assert.equal(new Set(keys).size, 5)
  assert.equal(keyOf({ limit: 1, mode: 'soft' }).key, keys[0])
})

test('a key is the same all through its period and another in the next', () => {
  const end = keyOf({}).periodEndMs
  assert.equal(keyOf({}, {}, end - 1).key, keyOf({}).key)
  assert.notEqual(keyOf({}, {}, end).key, keyOf({}).key)
})

test('a cap with a rule is for those whom the rule takes', () => {
  const caps = compileCaps([cap({ rule: 'DE' }), cap({ cap_id: 'b' })], 'UTC', (rule) => ({ country }: CapFacts) => country === rule) // prettier-ignore
  const ids = (country: string) => caps.keysOfClick({ country }, NOW).map(({ cap_id }) => cap_id)
  assert.deepEqual([ids('DE'), ids('FR')], [['cap_1', 'b'], ['b']])
})

test('what is out of bounds is refused before any click', () => {
  const wrong: readonly Partial<Cap<string>>[] = [
    { cap_id: '' },
    { cap_id: 'a:b' },
    { cap_id: 'a'.repeat(capLimits.capIdCharactersMax + 1) },
    { limit: -1 },
    { limit: 1.5 },
    { limit: 2 ** 53 },
    { hold_minutes: 0 },
    { hold_minutes: capLimits.holdMinutesMax + 1 },
    { rule: 'DE' },
  ]
  for (const change of wrong) assert.throws(() => keysOf([cap(change)]), RangeError, JSON.stringify(change))
  assert.doesNotThrow(() => keysOf([cap({ limit: 0, hold_minutes: capLimits.holdMinutesMax })]))
})
