import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import fc from 'fast-check'

import { openFileLog } from '#log'
import { createLogLines } from '#platform/log-lines'
import { newClickId } from '#platform/ids'
import { withTempDir } from '#test-kit'

import { findLogRanges, readLogClicks } from './read-log-clicks.ts'

const payload = (at: number): Buffer => Buffer.from(`C{"kind":"click","click_id":"${newClickId(at)}","at":${at}}`)
const START = Date.UTC(2026, 0, 1)

test('finds every click of a period in all partitions, in the order of time, and reads little else', async (t) => {
  const clock = { at: START, now: () => clock.at }
  const log = await openFileLog({
    directory: join(withTempDir(t), 'log'),
    logLines: createLogLines('test', 'silent'),
    clock,
  })
  t.after(() => log.close())
  const times: number[] = []
  for (const partition of ['edge-0', 'edge-1']) {
    clock.at = START
    const writer = await log.openWriter(partition)
    for (let index = 0; index < 300; index += 1) {
      clock.at += index % 7 === 0 ? 0 : 60_000
      times.push(clock.at)
      await Promise.all([writer.append(payload(clock.at)), writer.append(Buffer.from('E{"kind":"event"}'))])
    }
    await writer.close()
  }
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: -10, max: 320 }), fc.integer({ min: 1, max: 300 }), async (from, minutes) => {
      const period = { fromMs: START + from * 60_000 + 1, toMs: START + (from + minutes) * 60_000 }
      const found: number[] = []
      for await (const { lines } of readLogClicks(log, await findLogRanges(log, period), () => true))
        for (const line of Buffer.from(lines).toString().split('\n'))
          if (line !== '') found.push((JSON.parse(line) as { at: number }).at)
      const isIn = (at: number): boolean => at >= period.fromMs && at < period.toMs
      assert.deepEqual(found.filter(isIn), times.filter(isIn).sort((a, b) => a - b)) // prettier-ignore
      // One moment more at the end of each partition: clicks whose append waited for the disk.
      assert.ok(found.filter((at) => !isIn(at)).every((at) => at === period.toMs))
    }),
    { numRuns: 40 },
  )
})

test('takes only clicks of the sample', async (t) => {
  const log = await openFileLog({ directory: join(withTempDir(t), 'log'), logLines: createLogLines('test', 'silent') })
  t.after(() => log.close())
  const writer = await log.openWriter('edge-0')
  const now = Date.now()
  await Promise.all(Array.from({ length: 100 }, () => writer.append(payload(now))))
  await writer.close()
  const ranges = await findLogRanges(log, { fromMs: now - 1_000, toMs: now + 60_000 })
  let taken = 0
  for await (const { clicks } of readLogClicks(log, ranges, (id) => id.endsWith('7'))) taken += clicks
  assert.ok(taken < 50)
  assert.equal(ranges[0]!.nextOffset, 100)
})
