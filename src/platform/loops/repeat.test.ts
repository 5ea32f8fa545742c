import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogLines } from '#platform/log-lines'

import { repeat } from './index.ts'

const options = { logLines: createLogLines('test', 'silent'), intervalMs: 1, failed: 'failed', recovered: 'recovered' }

test('goes on after rounds that throw, and ends with the round under way', async () => {
  const again = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  let rounds = 0
  const repeated = repeat(async (signal) => {
    rounds += 1
    if (rounds < 3) throw new Error('away')
    again.resolve()
    await release.promise
    assert.equal(signal.aborted, true)
  }, options)
  await again.promise
  let isStopped = false
  const stopped = repeated.stop().then(() => (isStopped = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isStopped, false)
  release.resolve()
  await stopped
  assert.equal(rounds, 3)
})

test('logs the first failure of a row and its end, and nothing of a round that the stop cut off', async () => {
  const said: string[] = []
  const say = (_about: object, text: string): void => void said.push(text)
  const logLines = { ...createLogLines('test', 'silent'), warn: say, info: say } as typeof options.logLines
  const begun = Promise.withResolvers<void>()
  let rounds = 0
  const repeated = repeat(
    (signal) => {
      rounds += 1
      if (rounds <= 2) return Promise.reject(new Error('away'))
      if (rounds === 3) return Promise.resolve()
      begun.resolve()
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('cut off'))))
    },
    { ...options, logLines },
  )
  await begun.promise
  await repeated.stop()
  assert.deepEqual(said, ['failed', 'recovered'])
})
