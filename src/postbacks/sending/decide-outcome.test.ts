import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileAnswerRules } from './judge-answer.ts'
import { decideOutcome, LADDER_MS, SHORT_LADDER_MS, type AttemptResult, type Outcome } from './decide-outcome.ts'

const NOW = Date.UTC(2026, 0, 1)
const MINUTE = 60_000
const HOUR = 60 * MINUTE

const answered = (status: number, retryAfter?: string): AttemptResult => ({ kind: 'answered', status, retryAfter })
const failed = (error: Extract<AttemptResult, { kind: 'failed' }>['error']): AttemptResult => ({
  kind: 'failed',
  error,
})
const decide = (result: AttemptResult, attempts = 1, maxAttempts = 12, chance = 0.5, expiresInMs?: number): Outcome =>
  decideOutcome({ result, attempts, maxAttempts, expiresInMs, nowMs: NOW, random: () => chance })
const delayOf = (outcome: Outcome): number => {
  assert.equal(outcome.kind, 'retry')
  return outcome.kind === 'retry' ? outcome.delayMs : Number.NaN
}

test('the ladder has twelve attempts in 70 h 42 min 35 s', () => {
  assert.equal(LADDER_MS.length, 11)
  assert.equal(
    LADDER_MS.reduce((sum, step) => sum + step),
    70 * HOUR + 42 * MINUTE + 35_000,
  )
})

test('2xx is delivered', () => {
  for (const status of [200, 201, 202, 204, 299]) assert.deepEqual(decide(answered(status)), { kind: 'delivered' })
})

test('410 gives up at once', () => {
  assert.deepEqual(decide(answered(410)), { kind: 'gave_up', reason: 'gone' })
})

test('overload, conflicts, server errors and the network climb the whole ladder', () => {
  const results = [...[408, 409, 425, 500, 502, 504, 599].map((status) => answered(status))]
  const errors = [
    'timeout',
    'dns_error',
    'connection_refused',
    'connection_reset',
    'tls_error',
    'network_error',
  ] as const
  for (const result of [...results, ...errors.map(failed)]) {
    const delays = LADDER_MS.map((_, index) => delayOf(decide(result, index + 1)))
    assert.deepEqual(delays, LADDER_MS)
    assert.deepEqual(decide(result, 12), { kind: 'gave_up', reason: 'attempts_exhausted' })
  }
})

test('redirects, other client errors and refused destinations get three attempts in an hour', () => {
  const cases = [
    ...[301, 302, 307, 400, 401, 403, 404, 422].map((status) => [answered(status), 'refused_by_receiver'] as const),
    [failed('destination_refused'), 'destination_refused'] as const,
    [failed('request_invalid'), 'request_invalid'] as const,
  ]
  for (const [result, reason] of cases) {
    assert.deepEqual(
      [1, 2].map((attempt) => delayOf(decide(result, attempt))),
      SHORT_LADDER_MS,
    )
    assert.deepEqual(decide(result, 3), { kind: 'gave_up', reason })
  }
  assert.equal(
    SHORT_LADDER_MS.reduce((sum, step) => sum + step),
    HOUR,
  )
})

test('a failure of our own proxy is never the last try: 5 s, 30 s, 2 min, then every 10 min, until it has expired', () => {
  const waits = [1, 2, 3, 4, 5, 500].map((tries) =>
    delayOf(
      decideOutcome({
        ...{ result: failed('proxy_error'), attempts: 0, tries, maxAttempts: 1, expiresInMs: 10 * MINUTE },
        ...{ nowMs: 0, random: () => 0.5 },
      }),
    ),
  )
  assert.deepEqual(waits, [5_000, 30_000, 2 * MINUTE, 10 * MINUTE, 10 * MINUTE, 10 * MINUTE])
  const expired = { attempts: 0, tries: 9, maxAttempts: 1, expiresInMs: MINUTE, nowMs: 0, random: () => 0.5 }
  assert.deepEqual(decideOutcome({ ...expired, result: failed('proxy_error') }), { kind: 'gave_up', reason: 'expired' })
})

test("the endpoint's own limit of attempts ends either ladder, and a longer one repeats the last step", () => {
  assert.deepEqual(decide(answered(500), 2, 2), { kind: 'gave_up', reason: 'attempts_exhausted' })
  assert.deepEqual(decide(answered(404), 1, 1), { kind: 'gave_up', reason: 'attempts_exhausted' })
  assert.equal(delayOf(decide(answered(500), 20, 30)), 24 * HOUR)
})

test('an attempt that we broke off is repeated at once, also when it was the last', () => {
  assert.deepEqual(decide(failed('interrupted'), 12), { kind: 'retry', delayMs: 0 })
})

test('jitter spreads each step by ±20 %', () => {
  assert.equal(delayOf(decide(answered(500), 1, 12, 0)), 4_000)
  assert.equal(delayOf(decide(answered(500), 1, 12, 0.999_999)), 6_000)
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 11 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, chance) => {
        const delay = delayOf(decide(failed('timeout'), attempt, 12, chance))
        const step = LADDER_MS[attempt - 1]!
        assert.ok(delay >= 0.8 * step && delay <= 1.2 * step)
      },
    ),
  )
})

test('429 and 503 wait a minute at least', () => {
  for (const status of [429, 503]) assert.equal(delayOf(decide(answered(status))), MINUTE)
  assert.equal(delayOf(decide(answered(500))), 5_000)
})

test('Retry-After prolongs a step, to an hour or twice the step, and never shortens it', () => {
  assert.equal(delayOf(decide(answered(503, '600'))), 10 * MINUTE)
  assert.equal(delayOf(decide(answered(500, '999999999'))), HOUR)
  assert.equal(delayOf(decide(answered(500, '999999999'), 9)), 24 * HOUR)
  assert.equal(delayOf(decide(answered(500, '1'), 5)), 30 * MINUTE)
  assert.equal(delayOf(decide(answered(429, '0'))), MINUTE)
})

test('whatever Retry-After says, the wait is within its bounds', () => {
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 11 }), chance, (header, attempt, random) => {
      const delay = delayOf(decide(answered(503, header), attempt, 12, random))
      const step = LADDER_MS[attempt - 1]!
      assert.ok(delay >= Math.max(0.8 * step, MINUTE) && delay <= Math.max(1.2 * step, 2 * step, HOUR))
    }),
  )
})

test('of several lines of Retry-After the longest wait counts', () => {
  const result: AttemptResult = { kind: 'answered', status: 500, retryAfter: ['60', '600'] }
  assert.equal(delayOf(decide(result)), 10 * MINUTE)
})

test('every answer leads to exactly one outcome, and no delivery is tried for ever', () => {
  fc.assert(
    fc.property(fc.integer({ min: 200, max: 599 }), fc.integer({ min: 1, max: 50 }), (status, maxAttempts) => {
      let attempts = 1
      while (decide(answered(status), attempts, maxAttempts).kind === 'retry') attempts++
      assert.ok(attempts <= maxAttempts)
    }),
  )
})

test('a retry that would come too late is not made', () => {
  assert.deepEqual(decide(answered(500), 3, 12, 0.5, LADDER_MS[2]), { kind: 'retry', delayMs: LADDER_MS[2] })
  assert.deepEqual(decide(answered(500), 3, 12, 0.5, LADDER_MS[2]! - 1), { kind: 'gave_up', reason: 'expired' })
})

test('a delivery that was only a probe so far stands on the first step', () => {
  assert.deepEqual(decide(failed('timeout'), 0), { kind: 'retry', delayMs: LADDER_MS[0] })
})

test('an endpoint may have a schedule of its own; the last step repeats, and the short ladder stays', () => {
  const scheduleMs = [1_000, 7_000]
  const own = (result: AttemptResult, attempts: number, maxAttempts: number) =>
    decideOutcome({ result, attempts, maxAttempts, scheduleMs, expiresInMs: undefined, nowMs: NOW, random: () => 0.5 })
  const delays = [1, 2, 3].map((attempt) => delayOf(own(answered(500), attempt, 4)))
  assert.deepEqual(delays, [1_000, 7_000, 7_000])
  assert.deepEqual(own(failed('timeout'), 4, 4), { kind: 'gave_up', reason: 'attempts_exhausted' })
  assert.equal(delayOf(own(answered(404), 1, 4)), SHORT_LADDER_MS[0])
})

test('what the endpoint calls final and what the receiver breaks off is given up at once', () => {
  const rules = compileAnswerRules({ final_statuses: ['406', '500-501'] })
  const by = (result: AttemptResult) =>
    decideOutcome({
      result,
      rules,
      attempts: 1,
      maxAttempts: 12,
      expiresInMs: undefined,
      nowMs: NOW,
      random: () => 0.5,
    })
  for (const status of [406, 500, 501])
    assert.deepEqual(by(answered(status)), { kind: 'gave_up', reason: 'answer_final' })
  assert.equal(by(answered(502)).kind, 'retry')
  const aborted: AttemptResult = { kind: 'answered', status: 500, retryAfter: undefined, isAborted: true }
  assert.deepEqual(decide(aborted), { kind: 'gave_up', reason: 'aborted_by_receiver' })
  assert.deepEqual(decide({ ...aborted, status: 200 }), { kind: 'delivered' })
})

test('what may arrive once, may have arrived and was not answered is given up; what was refused is tried again', () => {
  const rules = compileAnswerRules({ success: { body: { contains: ['fine'] } } })
  const once = (result: AttemptResult): Outcome =>
    decideOutcome({ result, rules, mustNotRepeat: true, attempts: 1, maxAttempts: 12, expiresInMs: undefined, nowMs: NOW, random: () => 0.5 }) // prettier-ignore
  const unknown = { kind: 'gave_up', reason: 'outcome_unknown' }
  for (const error of ['timeout', 'connection_reset', 'protocol_error', 'interrupted'] as const)
    assert.deepEqual(once(failed(error)), unknown)
  const good = { kind: 'answered', status: 200, retryAfter: undefined, body: 'fi' } as const
  assert.deepEqual(once({ ...good, isBodyWhole: false }), unknown)
  assert.equal(once({ ...good, isBodyWhole: true }).kind, 'retry')
  assert.equal(once({ ...good, status: 503, isBodyWhole: false }).kind, 'retry')
})

test('a receiver that asks for more time than a delivery has is asked once more before it expires', () => {
  const asked = { ...answered(500), retryAfter: '7200' } as const
  assert.deepEqual(decide(asked, 1, 12, 0.5, 1_800_000), { kind: 'retry', delayMs: 1_770_000 })
  assert.deepEqual(decide(asked, 1, 12, 0.5, LADDER_MS[0]!), { kind: 'retry', delayMs: LADDER_MS[0] })
  assert.deepEqual(decide(asked, 1, 12, 0.5, LADDER_MS[0]! - 1), { kind: 'gave_up', reason: 'expired' })
})
