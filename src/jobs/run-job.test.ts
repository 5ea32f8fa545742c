import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { keepLease } from './run-job.ts'

const LEASE = { leaseMs: 60, renewMs: 10 }

/** What a lease that is renewed this way says within a second; undefined: nothing. */
async function reasonToStop(renew: Parameters<typeof keepLease>[0]): Promise<string | undefined> {
  const stopped = Promise.withResolvers<string>()
  const lease = keepLease(renew, { ...LEASE, stop: stopped.resolve })
  const reason = await Promise.race([stopped.promise, delay(1000, undefined)])
  lease.stop()
  return reason
}

await test('a lease that is renewed goes on', async () => {
  assert.equal(await reasonToStop(() => Promise.resolve('held')), undefined)
})

await test('a lease ends when somebody else has it, when renewing fails for its length, and when a renewal never gets an answer', async () => {
  const renewals: Parameters<typeof keepLease>[0][] = [
    () => Promise.resolve('lost'),
    () => Promise.reject(new Error('The database is away.')),
    () => new Promise(() => undefined),
  ]
  for (const renew of renewals) assert.equal(await reasonToStop(renew), 'lost')
})
