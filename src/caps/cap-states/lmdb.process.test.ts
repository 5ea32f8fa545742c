import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { newClickId } from '#platform/ids'
import { withTempDir } from '#test-kit'
import type { Cap } from '../cap.ts'
import { compileCaps } from '../compile-caps.ts'
import { openLmdbCapState } from './lmdb.ts'
import { runTogether, startTestClicks } from './lmdb/test-clicks.ts'

/** The counts under several processes with several threads each, some of which are killed. */
const NOW = Date.parse('2026-05-10T12:00:00Z')
const LIMIT = 1_000
const THREADS = 2
const CAPS: readonly Cap[] = [
  { cap_id: 'clicks', metric: 'clicks', period: 'day', limit: LIMIT, mode: 'hard' },
  { cap_id: 'held', metric: 'conversions', period: 'day', limit: LIMIT * 2, mode: 'hard' },
]
const KEYS = compileCaps(CAPS, 'UTC').keysOfClick({}, NOW)

test('four processes of two threads, one killed in the middle, reserve exactly what the cap has', async (t) => {
  const directory = join(withTempDir(t), 'caps')
  const killAtTry = randomInt(1, 120)
  t.diagnostic(`killed at try ${killAtTry} of its second thread`)
  const clicks = { directory, caps: CAPS, threads: THREADS, tries: 2_500, at: NOW }
  const children = [0, 1, 2].map(() => startTestClicks(t, clicks))
  const victim = startTestClicks(t, { ...clicks, killAtTry })
  const acknowledged = await runTogether([...children, victim])
  assert.equal(victim.signalCode, 'SIGKILL')
  const state = openLmdbCapState({ directory })
  t.after(() => state.close())
  const levels = state.read(KEYS, NOW).map(({ used, held }) => used + held)
  assert.deepEqual(levels, [LIMIT, LIMIT])
  // A thread that is killed may have been given what it could not acknowledge any more, and only the last.
  const sum = acknowledged.reduce((total, count) => total + count, 0)
  assert.ok(sum <= LIMIT && sum >= LIMIT - THREADS, `${sum} acknowledged: ${acknowledged.join(', ')}`)
  assert.deepEqual(state.reserve(newClickId(NOW), NOW, KEYS), { kind: 'full', index: 0 })
})

test('kills at any moment lose no reservation, tear none, and never stop the others', async (t) => {
  const directory = join(withTempDir(t), 'caps')
  const endless = CAPS.map((cap) => ({ ...cap, limit: 1e9 }))
  const state = openLmdbCapState({ directory })
  t.after(() => state.close())
  let acknowledged = 0
  let killed = 0
  for (let round = 0; round < 6; round++) {
    const tries = [randomInt(1, 60), randomInt(1, 60)]
    t.diagnostic(`round ${round}: killed at try ${tries.join(' and ')}`)
    const children = tries.map((killAtTry) =>
      startTestClicks(t, { directory, caps: endless, threads: THREADS, tries: 100_000, killAtTry, at: NOW }),
    )
    acknowledged += (await runTogether(children)).reduce((sum, count) => sum + count, 0)
    killed += children.length
    assert.ok(children.every(({ signalCode }) => signalCode === 'SIGKILL'))
    assert.equal(
      state.reserve(
        newClickId(NOW),
        NOW,
        KEYS.map((key) => ({ ...key, limit: 1e9 })),
      ).kind,
      'reserved',
    )
    acknowledged++
    const [clicks, held] = state.read(KEYS, NOW)
    assert.equal(clicks!.used, held!.held)
    assert.ok(clicks!.used >= acknowledged, `${clicks!.used} of ${acknowledged} acknowledged`)
    assert.ok(clicks!.used <= acknowledged + killed * THREADS)
  }
})

for (const ending of ['exit', 'throw', 'terminate'] as const) {
  test(`a thread is not ended inside of a transaction, where the others would wait for it for ever (${ending})`, async (t) => {
    const directory = join(withTempDir(t), 'caps')
    const endless = CAPS.map((cap) => ({ ...cap, limit: 1e9 }))
    const clicks = { directory, caps: endless, threads: THREADS, tries: 3, ending, at: NOW }
    for (let round = 0; round < 5; round++) {
      const child = startTestClicks(t, clicks)
      const [acknowledged] = await runTogether([child])
      assert.deepEqual([acknowledged, child.exitCode, child.signalCode], [3, ending === 'throw' ? 1 : 0, null])
    }
    const state = openLmdbCapState({ directory })
    t.after(() => state.close())
    assert.equal(state.read(KEYS, NOW)[0]!.used, 15)
  })
}

test('a thread beside the first cannot open the state without the gate of its process', async () => {
  const script = `import('#caps').then(({ openLmdbCapState }) => openLmdbCapState({ directory: '/nowhere' }))`
  const worker = new Worker(script, { eval: true })
  const [error] = (await once(worker, 'error')) as [Error]
  assert.match(error.message, /makes the gate/)
})
