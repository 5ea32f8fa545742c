import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { pino, type Logger } from 'pino'
import { createLogLines } from '#platform/log-lines'
import { withDiskDir } from '#test-kit'
import { readToEnd } from '../event-log.conformance.ts'
import type { EventLog } from '../event-log.ts'
import { FRAME_HEADER_BYTES, writeFrame } from './segment-files/frame.ts'
import { openFileLog, type FileLog } from './segment-files.ts'

const PARTITION = 'edge-0'
const ALL = { maxRecords: 100_000, maxBytes: 64 * 1024 * 1024 }
const silent = createLogLines('test', 'silent')

const openAt = (directory: string, logLines: Logger = silent, segmentBytes = 4_000): Promise<FileLog> =>
  openFileLog({ directory, logLines, segmentBytes })

async function appendEach(log: EventLog, payloads: readonly Buffer[]): Promise<void> {
  const writer = await log.openWriter(PARTITION)
  for (const payload of payloads) await writer.append(payload)
  await writer.close()
}

/** Payloads that say which they are, 101 bytes each; with their headers 31 make a segment of 4 000 bytes. */
const numbered = (count: number, from = 0): readonly Buffer[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(String(from + index).padStart(100, '.') + '|'))

async function readPayloads(log: EventLog): Promise<readonly string[]> {
  const batches = await readToEnd(log, PARTITION, ALL)
  return batches.flatMap((batch) => batch.records.map((record) => record.payload.toString()))
}

const segmentPaths = (directory: string): readonly string[] =>
  readdirSync(join(directory, PARTITION))
    .filter((name) => name.endsWith('.segment'))
    .sort()
    .map((name) => join(directory, PARTITION, name))

const markPath = (directory: string): string => join(directory, PARTITION, 'durable-mark')

function changeByte(path: string, position: number, xor = 0xff): void {
  const bytes = readFileSync(path)
  bytes[position]! ^= xor
  writeFileSync(path, bytes)
}

const damageOf = async (log: EventLog): Promise<readonly (readonly number[])[]> =>
  (await readToEnd(log, PARTITION, ALL)).flatMap((batch) =>
    batch.damaged.map((range) => [range.firstOffset, range.nextOffset]),
  )

test('a record that was being written at the crash is cut off and reported with its position', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(3))
  const path = segmentPaths(directory)[0]!
  const end = statSync(path).size
  writeFileSync(path, readFileSync(path).subarray(0, 60), { flag: 'a' })

  const lines: { tornBytes?: number; position?: number; segment?: string }[] = []
  const log = await openAt(directory, pino({}, { write: (line) => void lines.push(JSON.parse(line)) }))
  await appendEach(log, numbered(2, 3))
  assert.deepEqual(await readPayloads(log), numbered(5).map(String))
  assert.deepEqual(await damageOf(log), [])
  const report = lines.find((line) => line.tornBytes !== undefined)
  assert.deepEqual([report?.segment, report?.position, report?.tornBytes], [path, end, 60])
})

test('allocated space that was never used is given back without a report', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(3))
  const path = segmentPaths(directory)[0]!
  const end = statSync(path).size
  truncateSync(path, end + 50_000)
  const lines: string[] = []
  const log = await openAt(directory, pino({}, { write: (line) => void lines.push(line) }))
  const writer = await log.openWriter(PARTITION)
  assert.deepEqual([statSync(path).size, lines], [end, []])
  await writer.close()
})

test('a damaged record in the middle is skipped and told with its place and offset', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(5))
  const path = segmentPaths(directory)[0]!
  changeByte(path, 129 * 2 + 80)
  const log = await openAt(directory)
  const batch = await log.read(PARTITION, 0, ALL)
  assert.deepEqual(
    batch.records.map((record) => record.offset),
    [0, 1, 3, 4],
  )
  const where = `${path.split('/').at(-1)} byte ${129 * 2}`
  assert.deepEqual(batch.damaged, [{ partition: PARTITION, firstOffset: 2, nextOffset: 3, where }])
  assert.deepEqual(await log.readRange(PARTITION, 0, 5), batch)
})

test('a damaged length field does not swallow the records behind it', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(5))
  changeByte(segmentPaths(directory)[0]!, 129 + 9, 0x40)
  assert.deepEqual(await damageOf(await openAt(directory)), [[1, 2]])
})

test('a segment that is missing is told as damage from its first to the next segment’s first offset', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(100))
  const [, second, third] = segmentPaths(directory)
  rmSync(second!)
  const log = await openAt(directory)
  const offsetOf = (path: string): number => Number(path.split('/').at(-1)!.slice(0, 16))
  assert.deepEqual(await damageOf(log), [[offsetOf(second!), offsetOf(third!)]])
  assert.equal((await readPayloads(log)).length, 100 - offsetOf(third!) + offsetOf(second!))
})

test('a record planted in a payload is not read when its carrier is damaged', async (t) => {
  const attacker = withDiskDir(t)
  await appendEach(await openAt(attacker), numbered(4, 50))
  const planted = readFileSync(segmentPaths(attacker)[0]!).subarray(129 * 3, 129 * 4)
  const directory = withDiskDir(t)
  const carrier = Buffer.concat([Buffer.from('carrier'), planted])
  await appendEach(await openAt(directory), [...numbered(2), carrier, ...numbered(2, 3)])
  changeByte(segmentPaths(directory)[0]!, 129 * 2 + 30)
  const log = await openAt(directory)
  assert.deepEqual(await damageOf(log), [[2, 3]])
  assert.deepEqual((await readPayloads(log)).slice(2), numbered(2, 3).map(String))
})

test('what a segment holds beyond the first offset of the next was rejected, and is not read even past damage', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(5))
  const path = segmentPaths(directory)[0]!
  const salt = Number.parseInt(path.slice(-16, -8), 16)
  writeFileSync(path, frameOf(salt, 5, 'rejected'), { flag: 'a' })
  writeFileSync(path.replace(/\d{16}-/, '0000000000000005-'), frameOf(salt, 5, 'acknowledged'))
  assert.deepEqual(await readPayloads(await openAt(directory)), [...numbered(5).map(String), 'acknowledged'])
  changeByte(path, 129 * 4 + 50)
  const log = await openAt(directory)
  assert.deepEqual(await damageOf(log), [[4, 5]])
  assert.deepEqual(await readPayloads(log), [...numbered(4).map(String), 'acknowledged'])
})

function frameOf(salt: number, offset: number, payload: string): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + payload.length)
  writeFrame(bytes, 0, salt, offset, 1, Buffer.from(payload))
  return bytes
}

test('acknowledged records damaged at the very end are told, and their offsets are not given out again', async (t) => {
  const directory = withDiskDir(t)
  await appendEach(await openAt(directory), numbered(5))
  const path = segmentPaths(directory)[0]!
  truncateSync(path, statSync(path).size - 10)
  const log = await openAt(directory)
  const writer = await log.openWriter(PARTITION)
  assert.equal(await writer.append(Buffer.from('next')), 5)
  assert.deepEqual(await damageOf(log), [[4, 5]])
  assert.deepEqual((await readPayloads(log)).at(-1), 'next')
  await writer.close()
})

test('an offset that a consumer has passed is not given out again, even with the mark and the records gone', async (t) => {
  const directory = withDiskDir(t)
  const before = await openAt(directory)
  await appendEach(before, numbered(5))
  await before.commitPosition('pipeline', PARTITION, 5)
  rmSync(markPath(directory))
  truncateSync(segmentPaths(directory)[0]!, 129 * 2)
  const writer = await (await openAt(directory)).openWriter(PARTITION)
  assert.equal(await writer.append(Buffer.from('next')), 5)
  await writer.close()
})

test('after a power cut that took the mark back, records of a partition without a writer are read all the same', async (t) => {
  for (const takeBack of [rmSync, (path: string) => writeFileSync(path, ''), undefined]) {
    const directory = withDiskDir(t)
    await appendEach(await openAt(directory), numbered(2))
    const older = readFileSync(markPath(directory))
    await appendEach(await openAt(directory), numbered(60, 2))
    if (takeBack === undefined) writeFileSync(markPath(directory), older)
    else takeBack(markPath(directory))
    const log = await openAt(directory)
    assert.deepEqual(await readPayloads(log), numbered(62).map(String))
    assert.deepEqual(await log.bounds(PARTITION), { firstOffset: 0, nextOffset: 62 })
  }
})

test('whole records behind the mark are not read while a writer lives: it may cut them off', async (t) => {
  const directory = withDiskDir(t)
  const log = await openAt(directory)
  const writer = await log.openWriter(PARTITION)
  await writer.append(numbered(1)[0]!)
  const older = readFileSync(markPath(directory))
  await writer.append(numbered(1, 1)[0]!)
  writeFileSync(markPath(directory), older)
  assert.deepEqual(await readPayloads(await openAt(directory)), numbered(1).map(String))
  await writer.close()
})

test('directories are open to their owner only, and so are the files', async (t) => {
  const directory = join(withDiskDir(t), 'log')
  const log = await openAt(directory)
  await appendEach(log, numbered(2))
  await log.commitPosition('pipeline', PARTITION, 1)
  const modeOf = (path: string): number => statSync(path).mode & 0o777
  for (const name of ['', PARTITION, `${PARTITION}/positions`]) assert.equal(modeOf(join(directory, name)), 0o700)
  for (const name of readdirSync(join(directory, PARTITION), { recursive: true, withFileTypes: true })) {
    if (name.isFile()) assert.equal(modeOf(join(name.parentPath, name.name)), 0o600, name.name)
  }
})

test('any change of bytes never throws, never gives a wrong payload, and what is missing is told', async (t) => {
  const directory = withDiskDir(t)
  const original = join(directory, 'original')
  const payloads = numbered(90)
  await appendEach(await openAt(original), payloads)
  const change = fc.record({
    segment: fc.nat(2),
    at: fc.nat(3_999),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  })
  let run = 0
  const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
    const copy = join(directory, String(run++))
    cpSync(original, copy, { recursive: true })
    for (const { segment, at, bytes } of changes) overwrite(segmentPaths(copy)[segment]!, at, bytes)
    const log = await openAt(copy)
    assertAllAccountedFor(await readToEnd(log, PARTITION, { maxRecords: 7, maxBytes: 5_000 }), payloads)
    assertAllAccountedFor([await log.readRange(PARTITION, 0, payloads.length)], payloads)
    await log.close()
    rmSync(copy, { recursive: true })
  })
  await fc.assert(property, { numRuns: 60 })
})

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const content = readFileSync(path)
  content.set(bytes.subarray(0, Math.max(0, content.length - at)), Math.min(at, content.length))
  writeFileSync(path, content)
}

/** Every offset is either read with its own payload or told as damaged, never both and never neither. */
function assertAllAccountedFor(batches: Awaited<ReturnType<typeof readToEnd>>, payloads: readonly Buffer[]): void {
  const told = Array.from({ length: payloads.length }, () => 0)
  for (const batch of batches) {
    for (const record of batch.records) {
      assert.deepEqual(record.payload, payloads[record.offset])
      told[record.offset]!++
    }
    for (const range of batch.damaged) {
      for (let offset = range.firstOffset; offset < range.nextOffset; offset++) told[offset]!++
    }
  }
  assert.deepEqual(
    told,
    Array.from({ length: payloads.length }, () => 1),
  )
}

test('any sequence of appends, crashes and restarts keeps every acknowledged record', async (t) => {
  const directory = withDiskDir(t)
  const step = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({
      kind: fc.constant('crash' as const),
      torn: fc.uint8Array({ maxLength: 200 }),
      isMarkTakenBack: fc.boolean(),
    }),
  )
  let run = 0
  const property = fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 8 }), async (steps) => {
    let place = join(directory, `run-${run++}`)
    let acknowledged = 0
    let log = await openAt(place)
    let writer = await log.openWriter(PARTITION)
    for (const action of steps) {
      if (action.kind === 'append') {
        await Promise.all(numbered(action.count, acknowledged).map((payload) => writer.append(payload)))
        acknowledged += action.count
        continue
      }
      const after = `${place}+`
      const mark = existsSync(`${place}.mark`) ? readFileSync(`${place}.mark`) : undefined
      cpSync(place, after, { recursive: true })
      tearTail(after, action.torn)
      if (action.isMarkTakenBack) {
        if (mark === undefined) rmSync(markPath(after))
        else writeFileSync(markPath(after), mark)
      }
      await writer.close()
      await log.close()
      place = after
      log = await openAt(place)
      writer = await log.openWriter(PARTITION)
      cpSync(markPath(place), `${place}.mark`)
    }
    assert.deepEqual(await readPayloads(log), numbered(acknowledged).map(String))
    await writer.close()
    await log.close()
  })
  await fc.assert(property, { numRuns: 40 })
})

/** What a write that was under way leaves: bytes after the last durable record. */
function tearTail(directory: string, torn: Uint8Array): void {
  const { position } = readMark(directory)
  const path = segmentPaths(directory).at(-1)!
  const content = readFileSync(path)
  writeFileSync(path, Buffer.concat([content.subarray(0, position), torn, content.subarray(position + torn.length)]))
}

const readMark = (directory: string): { position: number } => ({
  position: Number(readFileSync(markPath(directory)).readBigUInt64LE(8)),
})

test('behind the last record stand zeros, allocated ahead also after a restart in the middle of a block', async (t) => {
  for (const directIo of ['where_possible', 'never'] as const) {
    const directory = withDiskDir(t)
    const log = await openFileLog({ directory, logLines: silent, directIo })
    await appendEach(log, numbered(3))
    const writer = await log.openWriter(PARTITION)
    for (const count of [80, 1]) await Promise.all(numbered(count).map((payload) => writer.append(payload)))
    const content = readFileSync(segmentPaths(directory)[0]!)
    assert.ok(content.length >= 4 * 1024 * 1024)
    assert.ok(content.subarray(129 * 84).every((byte) => byte === 0))
    await writer.close()
    await log.close()
  }
})

test('a record larger than what is read and written at once comes back whole', async (t) => {
  for (const directIo of ['where_possible', 'never'] as const) {
    const limits = { recordBytesMax: 4 * 1024 * 1024 }
    const log = await openFileLog({ directory: withDiskDir(t), logLines: silent, directIo, ...limits })
    const large = Buffer.alloc(limits.recordBytesMax, 'The quick brown fox jumps over the lazy dog.')
    const payloads = [...numbered(1), large, ...numbered(1, 2)]
    await appendEach(log, payloads)
    const { records } = await log.readRange(PARTITION, 0, 3)
    assert.ok(records.length === 3 && records.every(({ payload }, index) => payload.equals(payloads[index]!)))
    await log.close()
  }
})

const SECTOR_BYTES = 512

test('whichever sectors of a group a power failure leaves old or new, what was acknowledged before it stands', async (t) => {
  for (const directIo of ['where_possible', 'never'] as const) {
    const original = withDiskDir(t)
    const log = await openFileLog({ directory: original, logLines: silent, directIo })
    const writer = await log.openWriter(PARTITION)
    await Promise.all(numbered(50).map((payload) => writer.append(payload)))
    const path = segmentPaths(original)[0]!
    const [before, mark] = [readFileSync(path), readFileSync(markPath(original))]
    await Promise.all(numbered(90, 50).map((payload) => writer.append(payload)))
    const after = readFileSync(path)
    const firstSector = Math.floor((129 * 50) / 4096) * 8
    const property = fc.asyncProperty(fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }), async (isNew) => {
      const torn = Buffer.from(before)
      for (const index of isNew.keys()) {
        const at = (firstSector + index) * SECTOR_BYTES
        if (isNew[index]!) after.copy(torn, at, at, at + SECTOR_BYTES)
      }
      const directory = withDiskDir(t)
      await appendEach(await openAt(directory), numbered(1))
      rmSync(segmentPaths(directory)[0]!)
      writeFileSync(path.replace(original, directory), torn)
      writeFileSync(markPath(directory), mark)
      const recovered = await openAt(directory)
      await appendEach(recovered, [Buffer.from('next')])
      const payloads = await readPayloads(recovered)
      assert.deepEqual(payloads.slice(0, 50), numbered(50).map(String))
      assert.equal(payloads.at(-1), 'next')
      assert.ok((await damageOf(recovered)).every(([firstOffset]) => firstOffset! >= 50))
    })
    await fc.assert(property, { numRuns: 40, examples: [[Array.from({ length: 30 }, () => true)]] })
    await writer.close()
    await log.close()
  }
})

test('a limit out of its range is refused at once', async (t: TestContext) => {
  const directory = withDiskDir(t)
  for (const recordBytesMax of [0, 16 * 1024 * 1024 + 1]) {
    await assert.rejects(openFileLog({ directory, logLines: silent, recordBytesMax }), RangeError)
  }
  const log = await openAt(directory)
  for (const name of ['', '../x', 'Edge', 'a/b']) await assert.rejects(log.openWriter(name), RangeError)
  await assert.rejects(log.commitPosition('../x', PARTITION, 1), RangeError)
})
