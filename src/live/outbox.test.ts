import assert from 'node:assert/strict'
import { test } from 'node:test'

import { liveLimits } from './limits.ts'
import { createOutbox } from './outbox.ts'

/** A reader that takes nothing until it is told to. */
function slowReader() {
  const written: string[] = []
  let isSlow = false
  let drained = (): void => undefined
  return {
    written,
    sink: {
      write: (text: string) => {
        written.push(text)
        return !isSlow
      },
      onDrain: (call: () => void) => void (drained = call),
      end: () => void written.push('END'),
    },
    slowDown: () => void (isSlow = true),
    takeAll: () => {
      isSlow = false
      drained()
    },
  }
}

const window = (second: number, clicks: number) => ({
  at: `2026-11-20T12:00:${String(second).padStart(2, '0')}Z`,
  clicks,
})

test('a slow reader gets of each window the newest state, and is told how many rows it lost', () => {
  const reader = slowReader()
  const outbox = createOutbox(reader.sink, () => 7)
  outbox.sendCounts('second', 'a', '1', [window(1, 1)])
  reader.slowDown()
  outbox.sendRows('clicks', { total: 9, items: [{}, {}, {}] })
  const before = reader.written.length
  assert.equal(outbox.blockedSince(), 7)
  outbox.sendCounts('second', 'b', '2', [window(1, 5), window(2, 1)])
  outbox.sendCounts('second', 'c', '3', [window(2, 4)])
  outbox.sendRows('clicks', { total: 50, items: [{}, {}] })
  outbox.sendHeartbeat()
  assert.equal(reader.written.length, before)
  reader.takeAll()
  assert.equal(outbox.blockedSince(), undefined)
  assert.deepEqual(reader.written.slice(before), [
    'event: dropped\ndata: {"rows":2,"windows":0}\n\n',
    `id: 3\nevent: counts\ndata: ${JSON.stringify({ window: 'second', until: 'c', windows: [window(1, 5), window(2, 4)] })}\n\n`,
  ])
})

test('windows that wait for a slow reader are bounded: the oldest are dropped and counted', () => {
  const reader = slowReader()
  const outbox = createOutbox(reader.sink, () => 7, { ...liveLimits, pendingWindowsMax: 3 })
  reader.slowDown()
  outbox.sendHello({})
  outbox.sendCounts(
    'second',
    'a',
    '1',
    [1, 2, 3, 4, 5].map((second) => window(second, 1)),
  )
  reader.takeAll()
  const [, dropped, counts] = reader.written
  assert.match(dropped!, /"windows":2/)
  assert.match(counts!, /:03Z/)
  assert.doesNotMatch(counts!, /:02Z/)
})

test('tells what share of the rows it shows', () => {
  const reader = slowReader()
  const outbox = createOutbox(reader.sink, () => 0)
  outbox.sendRows('events', { total: 0, items: [] })
  outbox.sendRows('events', { total: 3, items: [{ type: 'open' }] })
  outbox.sendEnd('server_stops')
  assert.deepEqual(reader.written, [
    'event: events\ndata: {"total":3,"shown":1,"share":0.333333,"items":[{"type":"open"}]}\n\n',
    'event: end\ndata: {"reason":"server_stops"}\n\n',
    'END',
  ])
})
