import assert from 'node:assert/strict'
import { join } from 'node:path'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { newClickId } from '#platform/ids'
import { withTempDir } from '#test-kit'
import type { Cap } from '../cap.ts'
import { compileCaps } from '../compile-caps.ts'
import { openSqliteCapState } from './sqlite.ts'
import { runTogether, startTestClicks } from './sqlite/test-clicks.ts'

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
  const state = openSqliteCapState({ directory })
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
  const state = openSqliteCapState({ directory })
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

test('processes that open the state while others count see all and lose nothing', async (t) => {
  const directory = join(withTempDir(t), 'caps')
  const endless = CAPS.map((cap) => ({ ...cap, limit: 1e9 }))
  const clicks = { directory, caps: endless, threads: THREADS, tries: 200, at: NOW }
  const busy = runTogether([startTestClicks(t, { ...clicks, tries: 15_000 })])
  let acknowledged = 0
  for (let round = 0; round < 4; round++) {
    const together = await runTogether([startTestClicks(t, clicks), startTestClicks(t, clicks)])
    acknowledged += together.reduce((sum, count) => sum + count, 0)
  }
  const [ofBusy] = await busy
  const state = openSqliteCapState({ directory })
  t.after(() => state.close())
  assert.equal(state.read(KEYS, NOW)[0]!.used, acknowledged + ofBusy!)
  assert.equal(acknowledged + ofBusy!, (4 * 2 * 200 + 15_000) * THREADS)
})

for (const ending of ['exit', 'throw', 'terminate'] as const) {
  test(`a thread that is ended inside of a transaction leaves nothing of it and keeps nobody waiting (${ending})`, async (t) => {
    const directory = join(withTempDir(t), 'caps')
    const endless = CAPS.map((cap) => ({ ...cap, limit: 1e9 }))
    const clicks = { directory, caps: endless, threads: THREADS, tries: 3, ending, at: NOW }
    const expected = ending === 'terminate' ? 6 : 3
    for (let round = 0; round < 5; round++) {
      const child = startTestClicks(t, clicks)
      const [acknowledged] = await runTogether([child])
      assert.deepEqual([acknowledged, child.exitCode, child.signalCode], [expected, ending === 'throw' ? 1 : 0, null])
    }
    const state = openSqliteCapState({ directory })
    t.after(() => state.close())
    assert.equal(state.read(KEYS, NOW)[0]!.used, 5 * expected)
  })
}
