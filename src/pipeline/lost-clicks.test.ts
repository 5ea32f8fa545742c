import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { openFileLog, type EventLog } from '#log'
import { fixedClock } from '#platform/clock'
import { newClickId } from '#platform/ids'
import { createLogLines } from '#platform/log-lines'
import { encodeRecord, type ClickRecord } from '#records'
import { withTempDir } from '#test-kit'

import { readLostClicks } from './lost-clicks.ts'
import { Stopped } from './retry.ts'

const NOON = Date.UTC(2026, 5, 1, 12)
const MINUTE = 60_000

/** A click a minute in each of two partitions, with a record that is none after each. */
async function withClicks(t: TestContext, minutes: number): Promise<EventLog> {
  const clock = fixedClock(NOON)
  const log = await openFileLog({
    directory: join(withTempDir(t), 'log'),
    logLines: createLogLines('test', 'silent'),
    clock,
  })
  const writers = await Promise.all(['edge-0', 'edge-1'].map((partition) => log.openWriter(partition)))
  t.after(async () => {
    for (const writer of writers) await writer.close()
    await log.close()
  })
  for (let minute = 0; minute < minutes; minute++) {
    for (const writer of writers) {
      const at = clock.now()
      const click = {
        kind: 'click',
        click_id: newClickId(at),
        at,
        ip: '192.0.2.1',
        class: 'click',
        outcome: 'redirected',
      }
      await writer.append(encodeRecord({ ...click, config_version: 1, trace: '1' } as ClickRecord))
      await writer.append(Buffer.from('no click'))
    }
    clock.advance(MINUTE)
  }
  return log
}

const never = new AbortController().signal
const minutesOf = async (clicks: AsyncIterable<ClickRecord>): Promise<readonly number[]> =>
  (await Array.fromAsync(clicks)).map(({ at }) => (at - NOON) / MINUTE)

test('begins in each partition with the clicks of the time that is asked for, a minute before it', async (t) => {
  const log = await withClicks(t, 40)
  const found = await minutesOf(
    readLostClicks(log, { sinceMs: NOON + 30 * MINUTE, untilMs: NOON + 40 * MINUTE }, never),
  )
  const expected = Array.from({ length: 11 }, (_, index) => 29 + index)
  assert.deepEqual(found, [...expected, ...expected])
})

test('reads everything where nothing is known, and nothing where nothing came since', async (t) => {
  const log = await withClicks(t, 5)
  assert.equal((await minutesOf(readLostClicks(log, { sinceMs: 0, untilMs: NOON + 9 * MINUTE }, never))).length, 10)
  const later = { sinceMs: NOON + 60 * MINUTE, untilMs: NOON + 61 * MINUTE }
  assert.deepEqual(await minutesOf(readLostClicks(log, later, never)), [])
})

test('ends when it is told to', async (t) => {
  const log = await withClicks(t, 2)
  const stopping = new AbortController()
  stopping.abort()
  await assert.rejects(minutesOf(readLostClicks(log, { sinceMs: 0, untilMs: NOON }, stopping.signal)), Stopped)
})
