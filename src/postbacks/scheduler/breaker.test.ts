import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { allowedBy, closedBreaker, noteSign, noteSilence, noteStart, type Breaker, type Sign } from './breaker.ts'

const half = (): number => 0.5
const after = (signs: readonly Sign[], from: Breaker = closedBreaker(0), everyMs = 1): Breaker =>
  signs.reduce((breaker, sign, index) => noteSign(breaker, sign, index * everyMs, half), from)
const times = (count: number, sign: Sign): Sign[] => Array<Sign>(count).fill(sign)

describe('a breaker opens', () => {
  test('at seven failures of ten tries, and not at six', () => {
    assert.equal(after([...times(3, 'answered'), ...times(7, 'failed')]).kind, 'open')
    assert.equal(after([...times(4, 'answered'), ...times(6, 'failed')]).kind, 'closed')
  })

  test('not before ten tries, unless five time out one after the other', () => {
    assert.equal(after(times(9, 'failed')).kind, 'closed')
    assert.equal(after(times(5, 'timed_out')).kind, 'open')
    assert.equal(after([...times(4, 'timed_out'), 'failed', ...times(4, 'timed_out')]).kind, 'closed')
  })

  test('by the failures of the last minute alone', () => {
    assert.equal(after(times(30, 'failed'), closedBreaker(0), 8_000).kind, 'closed')
    assert.equal(after(times(30, 'failed'), closedBreaker(0), 5_000).kind, 'open')
    const nineInTheFirstSlice = after(times(9, 'failed'))
    assert.equal(noteSign(nineInTheFirstSlice, 'failed', 59_999, half).kind, 'open')
    assert.equal(noteSign(nineInTheFirstSlice, 'failed', 60_000, half).kind, 'closed')
  })
})

const opened = after(times(5, 'timed_out'))

describe('an open breaker', () => {
  test('lets nobody through until its time, then one', () => {
    assert.ok(opened.kind === 'open')
    assert.equal(opened.probeAt, 4 + 5_000)
    assert.equal(allowedBy(opened, opened.probeAt - 1, 100), 0)
    assert.equal(allowedBy(opened, opened.probeAt, 100), 1)
    const probing = noteStart(opened, opened.probeAt)
    assert.equal(allowedBy(probing, opened.probeAt, 100), 0)
  })

  test('waits twice as long after each failed probe, ten minutes at most, spread by a fifth', () => {
    const waits: number[] = []
    let breaker: Breaker = opened
    for (let probe = 0; probe < 10; probe += 1) {
      assert.ok(breaker.kind === 'open')
      const at = breaker.probeAt
      breaker = noteSign(noteStart(breaker, at), 'failed', at, half)
      waits.push((breaker as Extract<Breaker, { kind: 'open' }>).probeAt - at)
    }
    assert.deepEqual(
      waits,
      [10, 20, 40, 80, 160, 320, 600, 600, 600, 600].map((seconds) => seconds * 1_000),
    )
    const early = noteSign(noteStart(opened, 9_000), 'failed', 9_000, () => 0)
    assert.equal(early.kind === 'open' && early.probeAt, 9_000 + 8_000)
  })

  test('closes after three answers and lets through one, two, four … until it is as before', () => {
    let breaker: Breaker = opened
    for (let probe = 0; probe < 3; probe += 1) breaker = noteSign(noteStart(breaker, 10_000), 'answered', 10_000, half)
    const allowed: number[] = []
    for (let answers = 0; answers < 6; answers += 1) {
      allowed.push(allowedBy(breaker, 10_000, 20))
      breaker = noteSign(breaker, 'answered', 10_000, half)
    }
    assert.deepEqual(allowed, [1, 2, 4, 8, 16, 20])
  })

  test('asks again where a probe says nothing of the receiver', () => {
    const probing = noteSilence(noteStart(opened, 9_000))
    assert.equal(allowedBy(probing, 9_000, 4), 1)
  })

  test('is not moved by tries that were under way when it opened', () => {
    assert.equal(noteSign(opened, 'answered', 100, half), opened)
    assert.equal(noteSign(opened, 'failed', 100, half), opened)
  })
})
