import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Scheduler, type Receiver, type SchedulerOptions } from './scheduler.ts'
import { signOf } from './sign-of.ts'

const receiver = (endpointId: string, over: Partial<Receiver> = {}): Receiver => ({
  endpointId, host: endpointId, concurrencyMax: 10, rate: undefined, ...over,
}) // prettier-ignore
const half = (): number => 0.5

/** A scheduler and what it would give whom. */
function schedulerOf(options: Partial<SchedulerOptions> = {}) {
  const scheduler = new Scheduler({ slots: 400, perHostMax: 100, ...options })
  const plan = (waiting: readonly Receiver[], now = 0): Record<string, number> =>
    Object.fromEntries(scheduler.plan(waiting, now).shares.map((share) => [share.receiver.endpointId, share.count]))
  const run = (one: Receiver, count: number, now = 0): void => {
    for (let index = 0; index < count; index += 1) scheduler.start(one, now)
  }
  return { scheduler, plan, run }
}

test('free slots are shared equally, within each limit, and what is left goes to who can take more', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((id) => receiver(id)) as [Receiver, Receiver, Receiver]
  assert.deepEqual(schedulerOf().plan([a, b, c]), { a: 10, b: 10, c: 10 })
  const { plan, run } = schedulerOf({ slots: 44 })
  assert.deepEqual(plan([a, b, c]), { a: 10, b: 10, c: 10 })
  run(a, 10)
  run(b, 9)
  assert.deepEqual(plan([a, b, c]), { b: 1, c: 10 })
  run(c, 10)
  run(receiver('d'), 8)
  assert.deepEqual(plan([a, b, receiver('e'), receiver('f')]), { b: 1, e: 4, f: 2 })
})

test('where slots are short who waited longest comes first', () => {
  const { plan, run } = schedulerOf({ slots: 8 })
  run(receiver('x'), 2)
  run(receiver('y'), 2)
  run(receiver('z'), 2)
  assert.deepEqual(plan(['a', 'b', 'c'].map((id) => receiver(id))), { a: 1, b: 1 })
})

test('one endpoint holds a quarter of the slots at most, and one host its own limit', () => {
  assert.deepEqual(schedulerOf({ slots: 40 }).plan([receiver('a', { concurrencyMax: 100 })]), { a: 10 })
  const sameHost = ['a', 'b', 'c'].map((id) => receiver(id, { host: 'small' }))
  assert.deepEqual(schedulerOf({ perHostMax: 6 }).plan(sameHost), { a: 6 })
  const { plan, run } = schedulerOf({ perHostMax: 6 })
  run(sameHost[0]!, 4)
  assert.deepEqual(plan([...sameHost, receiver('d')]), { a: 2, d: 6 })
})

test('a rate lets its burst through at once, then as many as come in, and says when the next one does', () => {
  const slow = receiver('a', { rate: { perSecond: 2, burst: 3 } })
  const { scheduler, plan, run } = schedulerOf()
  assert.deepEqual(plan([slow]), { a: 3 })
  run(slow, 3)
  assert.deepEqual(scheduler.plan([slow], 100), { shares: [], blocked: [slow], nextAt: 500 })
  assert.deepEqual(plan([slow], 500), { a: 1 })
  assert.deepEqual(plan([slow], 60_000), { a: 3 })
})

test('endpoints that answer slowly share a quarter of the slots', () => {
  const { scheduler, plan, run } = schedulerOf({ slots: 40 })
  const slow = ['a', 'b', 'c'].map((id) => receiver(id))
  for (const one of slow) {
    for (let tries = 0; tries < 3; tries += 1) {
      scheduler.start(one, 0)
      scheduler.end(one, { sign: 'answered', tookMs: 8_000 }, 0, half)
    }
  }
  assert.deepEqual(plan([...slow, receiver('fast')]), { a: 10, fast: 10 })
  run(slow[0]!, 4)
  assert.deepEqual(plan([slow[1]!, slow[2]!, receiver('fast')]), { b: 6, fast: 10 })
  for (let tries = 0; tries < 20; tries += 1) {
    scheduler.start(slow[1]!, 0)
    scheduler.end(slow[1]!, { sign: 'answered', tookMs: 5 }, 0, half)
  }
  assert.deepEqual(plan([slow[1]!, slow[2]!]), { b: 10, c: 6 })
})

test('nothing is given to an open breaker, and the plan says when to look again', () => {
  const { scheduler, plan } = schedulerOf()
  const down = receiver('a')
  for (let tries = 0; tries < 5; tries += 1) {
    scheduler.start(down, 0)
    scheduler.end(down, { sign: 'timed_out', tookMs: 10_000 }, 0, half)
  }
  assert.deepEqual(scheduler.plan([down], 10), { shares: [], blocked: [down], nextAt: 5_000 })
  assert.deepEqual(plan([down], 5_000), { a: 1 })
  assert.deepEqual(scheduler.start(down, 5_000), { isProbe: true })
})

test('what is no longer configured is forgotten when nothing of it is under way', () => {
  const { scheduler, run } = schedulerOf()
  run(receiver('a'), 1)
  run(receiver('b'), 1)
  scheduler.end(receiver('b'), { sign: 'answered', tookMs: 1 }, 0, half)
  scheduler.keepOnly(() => false)
  assert.deepEqual([scheduler.breakerOf('a')?.kind, scheduler.breakerOf('b')], ['closed', undefined])
})

test('an answer shows that a receiver is there, unless it says that it is unwell', () => {
  const signs = [200, 302, 404, 408, 425, 429, 500, 503].map((status) => signOf({ status, error: undefined }))
  assert.deepEqual(signs, ['answered', 'answered', 'answered', 'failed', 'failed', 'failed', 'failed', 'failed'])
  const errors = ['timeout', 'dns_error', 'connection_refused'] as const
  assert.deepEqual(
    errors.map((error) => signOf({ status: undefined, error })),
    ['timed_out', 'failed', 'failed'],
  )
  const ours = ['interrupted', 'destination_refused', 'request_invalid', 'proxy_error'] as const
  assert.deepEqual(
    ours.map((error) => signOf({ status: undefined, error })),
    ours.map(() => undefined),
  )
})
