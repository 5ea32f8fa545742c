import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fixedClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'

import { createLiveHub, parseLive, type LiveHubOptions, type LiveQuestion } from './index.ts'

const question = (() => {
  const parsed = parseLive({ of: ['clicks'] }, { role: 'owner' }, undefined)
  assert.ok(parsed.kind === 'asked')
  return parsed.question
})()

/** A hub that is only moved by the test, over an engine that counts its questions. */
function hubWith(options: Partial<LiveHubOptions> = {}) {
  const clock = fixedClock(Date.UTC(2026, 10, 20, 12))
  const asked: string[] = []
  const written: string[] = []
  const hub = createLiveHub({
    ask: async ({ sql }) => {
      asked.push(sql)
      return []
    },
    now: () => clock.now(),
    findActiveKeys: async (ids) => new Set(ids),
    logLines: createLogLines('test', 'silent'),
    limits: { pollMs: 1_000_000 },
    ...options,
  })
  const sink = (isTaken: boolean) => ({
    write: (text: string) => (written.push(text), isTaken),
    onDrain: () => undefined,
    end: () => void written.push('END'),
  })
  const open = (apiKeyId: string, asks: LiveQuestion = question, isTaken = true) =>
    hub.open({ question: asks, apiKeyId, resumeMs: undefined, hello: {}, sink: sink(isTaken) })
  return { hub, clock, asked, written, open }
}

test('asks nothing while nobody listens, and the same question of many once', async () => {
  const { hub, clock, asked, open } = hubWith()
  await hub.tick()
  assert.equal(asked.length, 0)
  const closes = ['a', 'b', 'c'].map((key) => open(key))
  // The first look begins with the stream.
  await hub.tick()
  await hub.tick()
  asked.length = 0
  for (let second = 0; second < 3; second++) {
    clock.advance(1_000)
    await hub.tick()
  }
  assert.equal(asked.length, 3)
  for (const close of closes) close()
  asked.length = 0
  await hub.tick()
  assert.deepEqual([asked.length, hub.streamCount()], [0, 0])
})

test('goes on after ClickHouse was away, with what happened meanwhile', async () => {
  const froms: number[] = []
  let isAway = false
  const { hub, clock, written, open } = hubWith({
    ask: async ({ params }) => {
      if (isAway) throw new Error('away')
      froms.push(Number(params['from_ms']))
      return []
    },
  })
  const close = open('a')
  await hub.tick()
  const lookedAt = clock.now()
  isAway = true
  for (let second = 0; second < 90; second++) {
    clock.advance(1_000)
    await hub.tick()
  }
  assert.equal(written.filter((text) => text.startsWith('event: trouble')).length, 1)
  isAway = false
  await hub.tick()
  assert.equal(froms.at(-1), lookedAt - 30_000)
  close()
})

test('ends a stream whose reader takes nothing for a minute, and one whose key nobody confirms', async () => {
  const { hub, clock, written, open } = hubWith({ findActiveKeys: () => Promise.reject(new Error('away')) })
  open('slow', question, false)
  open('unknown')
  clock.advance(60_001)
  await hub.tick()
  assert.equal(hub.streamCount(), 1)
  for (let tick = 0; tick < 5; tick++) await hub.tick()
  assert.equal(hub.streamCount(), 0)
  assert.ok(written.some((text) => text.includes('key_unconfirmed')))
})

test('ends the streams of a key that does not hold any more, and no others', async () => {
  const active = new Set(['a', 'b'])
  const { hub, written, open } = hubWith({ findActiveKeys: async (ids) => new Set(ids.filter((id) => active.has(id))) })
  for (const key of ['a', 'a', 'b']) open(key)
  active.delete('a')
  for (let tick = 0; tick < 5; tick++) await hub.tick()
  assert.equal(hub.streamCount(), 1)
  assert.equal(written.filter((text) => text.includes('key_revoked')).length, 2)
  hub.stop()
})

test('has a limit for each key and for all', () => {
  const { hub, open } = hubWith({ limits: { pollMs: 1_000_000, streamsMax: 3, streamsPerKeyMax: 2 } })
  const closes = [open('a'), open('a')]
  assert.match(hub.refusal('a')!, /2 live streams/)
  assert.equal(hub.refusal('b'), undefined)
  closes.push(open('b'))
  assert.match(hub.refusal('c')!, /3 live streams/)
  closes[0]!()
  assert.equal(hub.refusal('c'), undefined)
  hub.stop()
  assert.ok(hub.refusal('c'))
})

test('a quiet stream gets a comment now and then', async () => {
  const { hub, written, open } = hubWith()
  const close = open('a')
  for (let tick = 0; tick < 15; tick++) await hub.tick()
  assert.equal(written.filter((text) => text.startsWith(':')).length, 1)
  close()
})
