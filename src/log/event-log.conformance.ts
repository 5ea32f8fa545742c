import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { fixedClock } from '#platform/clock'
import type { Clock } from '#platform/clock'
import type { EventLog, LogBatch, LogWriter, Partition } from './event-log.ts'

/** What a suite needs of an adapter: a place of its own for each test, in which logs are opened as often as wanted. */
export type EventLogAdapter = {
  readonly name: string
  readonly recordBytesMax: number
  readonly makePlace: (t: TestContext) => { readonly open: (clock?: Clock) => Promise<EventLog> }
}

const ALL = { maxRecords: 100_000, maxBytes: 64 * 1024 * 1024 }
const KEEP_ALL = { minAgeMs: 0, maxAgeMs: Infinity, maxBytes: Infinity }

const text = (batch: LogBatch): readonly string[] => batch.records.map((record) => record.payload.toString())
const appendAll = (writer: LogWriter, payloads: readonly string[]): Promise<readonly number[]> =>
  Promise.all(payloads.map((payload) => writer.append(Buffer.from(payload))))

/** The promises of the port, as tests; every adapter runs all of them. */
export function testEventLog(adapter: EventLogAdapter): void {
  const it = (sentence: string, body: (open: Opener, t: TestContext) => Promise<void>): void => {
    test(`${adapter.name}: ${sentence}`, async (t) => {
      const place = adapter.makePlace(t)
      const logs: EventLog[] = []
      const open: Opener = async (clock) => {
        const log = await place.open(clock)
        logs.push(log)
        return log
      }
      try {
        await body(open, t)
      } finally {
        for (const log of logs) await log.close()
      }
    })
  }

  it('gives appended records dense offsets from 0 and reads them back in order', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    assert.deepEqual(await appendAll(writer, ['a', 'b', 'c']), [0, 1, 2])
    const batch = await log.read('edge-0', 0, ALL)
    assert.deepEqual(text(batch), ['a', 'b', 'c'])
    assert.deepEqual([batch.firstOffset, batch.nextOffset, batch.damaged], [0, 3, []])
    await writer.close()
  })

  it('lets another process read a record as soon as its append has resolved', async (open) => {
    const writing = await open()
    const reading = await open()
    const writer = await writing.openWriter('edge-0')
    for (let offset = 0; offset < 20; offset++) {
      await writer.append(Buffer.from(`record ${offset}`))
      assert.deepEqual(text(await reading.read('edge-0', offset, ALL)), [`record ${offset}`])
    }
    await writer.close()
  })

  it('keeps the payload as it was when append was called', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    const payload = Buffer.from('before')
    await writer.append(payload)
    payload.fill('x')
    assert.deepEqual(text(await log.read('edge-0', 0, ALL)), ['before'])
    await writer.close()
  })

  it('answers an empty batch with an unchanged position where nothing is there yet', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    assert.deepEqual(await log.read('edge-0', 0, ALL), emptyBatch(0))
    await writer.append(Buffer.from('a'))
    assert.deepEqual(await log.read('edge-0', 1, ALL), emptyBatch(1))
    await writer.close()
  })

  it('cuts a batch by records and by bytes, but gives at least one record', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    await appendAll(writer, ['aaaa', 'bbbb', 'cccc'])
    assert.deepEqual(text(await log.read('edge-0', 0, { maxRecords: 2, maxBytes: 100 })), ['aaaa', 'bbbb'])
    assert.deepEqual(text(await log.read('edge-0', 0, { maxRecords: 9, maxBytes: 8 })), ['aaaa', 'bbbb'])
    assert.deepEqual(text(await log.read('edge-0', 1, { maxRecords: 9, maxBytes: 1 })), ['bbbb'])
    await writer.close()
  })

  it('reads a range again exactly', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    await appendAll(writer, ['a', 'b', 'c', 'd'])
    const batch = await log.read('edge-0', 1, { maxRecords: 2, maxBytes: 100 })
    assert.deepEqual(await (await open()).readRange('edge-0', batch.firstOffset, batch.nextOffset), batch)
    await writer.close()
  })

  it('gives back what was appended, whatever the sizes, the batch limits and the restarts', async (open) => {
    const log = await open()
    const sizes = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 40 })
    const limits = fc.record({
      maxRecords: fc.integer({ min: 1, max: 9 }),
      maxBytes: fc.integer({ min: 1, max: 9_000 }),
    })
    let run = 0
    const property = fc.asyncProperty(fc.array(sizes, { maxLength: 3 }), limits, async (writers, limit) => {
      const partition = `random-${run++}`
      const payloads: Buffer[] = []
      for (const writerSizes of writers) {
        const writer = await log.openWriter(partition)
        const added = writerSizes.map((size, index) => Buffer.alloc(size, index + payloads.length + 1))
        payloads.push(...added)
        await Promise.all(added.map((payload) => writer.append(payload)))
        await writer.close()
      }
      const batches = await readToEnd(log, partition, limit)
      assert.deepEqual(
        batches.flatMap((batch) => batch.records.map((record) => record.payload)),
        payloads,
      )
      for (const batch of batches) {
        assert.ok(batch.records.length <= limit.maxRecords)
        assert.deepEqual(await log.readRange(partition, batch.firstOffset, batch.nextOffset), batch)
      }
    })
    await fc.assert(property, { numRuns: 25 })
  })

  it('never lets the append time decrease, also over a restart, when the clock is set back', async (open) => {
    const clock = fixedClock(2_000)
    const log = await open(clock)
    const writer = await log.openWriter('edge-0')
    await writer.append(Buffer.from('a'))
    clock.advance(-1_000)
    await writer.append(Buffer.from('b'))
    await writer.close()
    const again = await log.openWriter('edge-0')
    await again.append(Buffer.from('c'))
    clock.advance(5_000)
    await again.append(Buffer.from('d'))
    const { records } = await log.read('edge-0', 0, ALL)
    assert.deepEqual(
      records.map((record) => record.appendedAt),
      [2_000, 2_000, 2_000, 6_000],
    )
    await again.close()
  })

  it('refuses a second writer of a partition, and lets one in when the first has closed', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    await assert.rejects((await open()).openWriter('edge-0'), { code: 'log_in_use' })
    await writer.append(Buffer.from('a'))
    await writer.close()
    const next = await log.openWriter('edge-0')
    assert.equal(await next.append(Buffer.from('b')), 1)
    await next.close()
  })

  it('gives each who asks for a free partition one of its own, the first ones, and those left by others again', async (open) => {
    const log = await open()
    const askers = await Promise.all(Array.from({ length: 5 }, open))
    const writers = await Promise.all(askers.map((asker) => asker.openFreeWriter('edge')))
    const names = ['edge-0', 'edge-1', 'edge-2', 'edge-3', 'edge-4']
    assert.deepEqual(writers.map(({ partition }) => partition).sort(), names)
    await Promise.all(writers.map((writer) => writer.append(Buffer.from(writer.partition))))
    await writers.find(({ partition }) => partition === 'edge-2')!.close()
    const again = await log.openFreeWriter('edge')
    assert.deepEqual([again.partition, await again.append(Buffer.from('again'))], ['edge-2', 1])
    const next = await log.openFreeWriter('edge')
    assert.equal(next.partition, 'edge-5')
    await Promise.all([...writers, again, next].map((writer) => writer.close()))
    for (const name of names)
      assert.deepEqual(text(await log.read(name, 0, ALL)), name === 'edge-2' ? [name, 'again'] : [name])
  })

  it('keeps partitions apart and lists them', async (open) => {
    const log = await open()
    const one = await log.openWriter('edge-1')
    const zero = await log.openWriter('edge-0')
    await Promise.all([appendAll(one, ['1']), appendAll(zero, ['0', '0'])])
    assert.deepEqual(await log.partitions(), ['edge-0', 'edge-1'])
    assert.deepEqual(await log.bounds('edge-0'), { firstOffset: 0, nextOffset: 2 })
    assert.deepEqual(await log.bounds('edge-1'), { firstOffset: 0, nextOffset: 1 })
    await Promise.all([one.close(), zero.close()])
  })

  it('waits for what is pending before a writer closes, and takes nothing after', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    const pending = appendAll(writer, ['a', 'b'])
    assert.equal(writer.pendingCount(), 2)
    await writer.close()
    assert.deepEqual(await pending, [0, 1])
    assert.equal(writer.pendingCount(), 0)
    await assert.rejects(writer.append(Buffer.from('c')), { code: 'log_unavailable' })
    assert.deepEqual(text(await log.read('edge-0', 0, ALL)), ['a', 'b'])
  })

  it('takes a record of the largest size and refuses an empty or a larger one', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    await assert.rejects(writer.append(Buffer.alloc(0)), RangeError)
    await assert.rejects(writer.append(Buffer.alloc(adapter.recordBytesMax + 1)), RangeError)
    assert.equal(await writer.append(Buffer.alloc(adapter.recordBytesMax, 'x')), 0)
    const { records } = await log.read('edge-0', 0, { maxRecords: 1, maxBytes: 1 })
    assert.equal(records[0]?.payload.length, adapter.recordBytesMax)
    await writer.close()
  })

  it('wakes a waiting consumer within a second of an append, in a partition that is new too', async (open) => {
    const log = await open()
    const reading = await open()
    for (const partition of ['edge-0', 'edge-1']) {
      while (!(await isQuiet(reading))) continue
      const begin = performance.now()
      const waiting = reading.waitForAppend(30_000)
      const writer = await log.openWriter(partition)
      await writer.append(Buffer.from('a'))
      await waiting
      assert.ok(performance.now() - begin < 1_000)
      await writer.close()
    }
  })

  it('ends a wait after its time where nothing comes', async (open) => {
    const log = await open()
    await log.waitForAppend(1)
    const begin = performance.now()
    await log.waitForAppend(30)
    assert.ok(performance.now() - begin >= 29)
  })

  it('drops nothing that a consumer has not passed, and nothing where no consumer is known', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    for (let batch = 0; batch < 5; batch++)
      await appendAll(
        writer,
        Array.from({ length: 50 }, () => 'x'.repeat(500)),
      )
    const dropAll = { minAgeMs: 0, maxAgeMs: 0, maxBytes: 0 }
    assert.equal(await log.enforceRetention(dropAll, Date.now() + 1_000), 0)
    await log.commitPosition('pipeline', 'edge-0', 250)
    await log.commitPosition('click-index', 'edge-0', 120)
    await log.enforceRetention(dropAll, Date.now() + 1_000)
    assert.equal((await log.read('edge-0', 120, ALL)).records.length, 130)
    await writer.close()
  })

  it('drops by age only what is older, by size only what is over, and never what is younger than the minimum', async (open) => {
    const clock = fixedClock(1_000)
    const log = await open(clock)
    const writer = await log.openWriter('edge-0')
    const appendAt = async (ms: number): Promise<void> => {
      clock.advance(ms - clock.now())
      for (let batch = 0; batch < 3; batch++)
        await appendAll(
          writer,
          Array.from({ length: 30 }, () => 'x'.repeat(500)),
        )
    }
    await appendAt(1_000)
    await appendAt(5_000)
    await appendAt(9_000)
    await log.commitPosition('pipeline', 'edge-0', 270)
    assert.equal(await log.enforceRetention(KEEP_ALL, 9_000), 0)
    assert.equal(await log.enforceRetention({ minAgeMs: 8_500, maxAgeMs: 0, maxBytes: 0 }, 9_000), 0)

    assert.ok((await log.enforceRetention({ ...KEEP_ALL, maxAgeMs: 6_000 }, 9_000)) > 0)
    const afterAge = (await log.bounds('edge-0')).firstOffset
    assert.ok(afterAge > 0 && afterAge <= 90)
    assert.equal((await log.read('edge-0', 90, ALL)).records[0]?.appendedAt, 5_000)

    assert.ok((await log.enforceRetention({ ...KEEP_ALL, maxBytes: 60_000 }, 9_000)) > 0)
    const afterSize = (await log.bounds('edge-0')).firstOffset
    assert.ok(afterSize > afterAge && afterSize < 270)
    await writer.close()
  })

  it('tells a consumer that is behind the oldest record what it missed, also one that was reading before', async (open) => {
    const log = await open()
    const writer = await log.openWriter('edge-0')
    for (let batch = 0; batch < 5; batch++)
      await appendAll(
        writer,
        Array.from({ length: 50 }, () => 'x'.repeat(500)),
      )
    await writer.close()
    await log.commitPosition('pipeline', 'edge-0', 250)
    const readingBefore = await open()
    await readingBefore.read('edge-0', 249, ALL)
    await log.enforceRetention({ minAgeMs: 0, maxAgeMs: 0, maxBytes: 0 }, Date.now() + 1_000)
    const { firstOffset } = await log.bounds('edge-0')
    assert.ok(firstOffset > 0)
    for (const reading of [readingBefore, await open()]) {
      const batch = await reading.read('edge-0', 0, ALL)
      assert.deepEqual(
        batch.damaged.map((range) => [range.firstOffset, range.nextOffset]),
        [[0, firstOffset]],
      )
      assert.equal(batch.records[0]?.offset, firstOffset)
      assert.equal(batch.nextOffset, 250)
    }
  })
}

type Opener = (clock?: Clock) => Promise<EventLog>

const emptyBatch = (offset: number): LogBatch => ({
  partition: 'edge-0',
  firstOffset: offset,
  nextOffset: offset,
  records: [],
  damaged: [],
})

/** Whether a short wait passes without anything new. */
async function isQuiet(log: EventLog): Promise<boolean> {
  const begin = performance.now()
  await log.waitForAppend(50)
  return performance.now() - begin >= 49
}

/** Reads a partition from its first offset in batches until nothing is left. */
export async function readToEnd(
  log: EventLog,
  partition: Partition,
  limits: { readonly maxRecords: number; readonly maxBytes: number },
): Promise<readonly LogBatch[]> {
  const batches: LogBatch[] = []
  for (let offset = 0; ;) {
    const batch = await log.read(partition, offset, limits)
    if (batch.nextOffset === offset) return batches
    batches.push(batch)
    offset = batch.nextOffset
  }
}
