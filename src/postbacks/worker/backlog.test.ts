import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backlog, countOf, type Line } from './backlog.ts'
import type { Claimed } from '../queue/queue.ts'
import { sampleEndpoint } from '../test-causes.ts'

const NOTHING: ReadonlySet<number> = new Set()

function openLine(backlog: Backlog): Line {
  const endpoint = sampleEndpoint()
  const receiver = { endpointId: endpoint.endpoint_id, host: 'tracker.example', concurrencyMax: 4, rate: undefined }
  return backlog.open({ ...receiver, endpoint }, 0, 0)
}

const delivery = (deliveryId: number, body: string | null = null): Claimed => ({
  ...{ place: '(0,1)', runAtMicros: deliveryId, deliveryId, createdAt: new Date(0), endpointId: 'tracker' },
  ...{ attempts: 0, probes: 0, eventId: 'event', method: 'POST', url: '', contentType: null, headers: null, body },
})

function read(backlog: Backlog, rows: readonly Claimed[], meanwhile = (): void => undefined): readonly Line[] {
  const { lines, readings } = backlog.nextReadings()
  meanwhile()
  return backlog.endReadings(lines, readings, rows, NOTHING, NOTHING)
}

test('a delivery that ended while its row was being read is not sent again', () => {
  const backlog = new Backlog()
  const line = openLine(backlog)
  read(backlog, [delivery(1)])
  backlog.take(line)
  backlog.want(line, 'look')
  const filled = read(backlog, [delivery(1), delivery(2)], () => backlog.forget(line, 1))
  assert.deepEqual(filled, [line])
  assert.deepEqual(
    line.waiting.slice(line.head).map(({ deliveryId }) => deliveryId),
    [2],
  )
})

test('what an endpoint gave up is read again from the beginning at the next look', () => {
  const backlog = new Backlog()
  const line = openLine(backlog)
  const large = Array.from({ length: 16 }, (_, index) => delivery(index + 1, 'x'.repeat(2_000_000)))
  read(backlog, large)
  assert.ok(backlog.isFull)
  assert.equal(backlog.wants, 'nothing')
  backlog.shed(line)
  assert.equal(backlog.isFull, false)
  assert.equal(countOf(line), 0)
  backlog.want(line, 'look')
  read(backlog, large)
  assert.equal(countOf(line), large.length)
})
