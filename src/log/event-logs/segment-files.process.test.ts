import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync, type PathLike } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { fixedClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { runOnMount, withDiskDir } from '#test-kit'
import { readToEnd } from '../event-log.conformance.ts'
import type { EventLog } from '../event-log.ts'
import { decideBlockWriting } from './segment-files/block-writer.ts'
import { openFileLog, type FileLogOptions } from './segment-files.ts'

/** The log in a process of its own: killed, on a full disk, under a file size limit. */
const PARTITION = 'edge-0'
const logLines = createLogLines('test', 'silent')

const OPEN = `
  const { openFileLog } = await import('#log')
  const { createLogLines } = await import('#platform/log-lines')
  const open = (options) => openFileLog({ logLines: createLogLines('test', 'silent'), ...options })`

/** Appends with 20 callers for ever and prints each acknowledged offset once its append has resolved. */
const APPEND_FOR_EVER = `${OPEN}
  const log = await open(JSON.parse(process.argv[1]))
  const writer = await log.openWriter('${PARTITION}')
  const append = async () => {
    for (;;) process.stdout.write(await writer.append(Buffer.from('record of ' + process.pid)) + '\\n')
  }
  await Promise.all(Array.from({ length: 20 }, append))`

const nodeArguments = (script: string, ...args: readonly string[]): string[] => [
  '--input-type=module',
  '--eval',
  script,
  '--',
  ...args,
]

function startAppending(t: TestContext, options: Omit<FileLogOptions, 'logLines'>): ChildProcess {
  const child = spawn(process.execPath, nodeArguments(APPEND_FOR_EVER, JSON.stringify(options)), {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  return child
}

/** Kills the process when it has acknowledged so many records. @returns all offsets that it managed to print */
async function killAfter(child: ChildProcess, acknowledgements: number): Promise<readonly number[]> {
  const offsets: number[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    if (offsets.push(Number(line)) === acknowledgements) child.kill('SIGKILL')
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit')
  // The last line may be cut by the kill.
  return offsets.slice(0, -1)
}

async function readOffsets(log: EventLog): Promise<ReadonlySet<number>> {
  const batches = await readToEnd(log, PARTITION, { maxRecords: 10_000, maxBytes: 1e8 })
  assert.deepEqual(
    batches.flatMap((batch) => batch.damaged),
    [],
  )
  return new Set(batches.flatMap((batch) => batch.records.map((record) => record.offset)))
}

test('kill -9 of the writer loses no acknowledged record, and the next writer takes over at once', async (t) => {
  const directory = withDiskDir(t)
  const acknowledged: number[] = []
  for (const count of [1, 700, 2_300]) {
    acknowledged.push(...(await killAfter(startAppending(t, { directory, segmentBytes: 50_000 }), count)))
  }
  const log = await openFileLog({ directory, logLines })
  const begin = performance.now()
  const writer = await log.openWriter(PARTITION)
  assert.ok(performance.now() - begin < 900)
  const kept = await readOffsets(log)
  assert.deepEqual(
    acknowledged.filter((offset) => !kept.has(offset)),
    [],
  )
  assert.equal(new Set(acknowledged).size, acknowledged.length)
  assert.equal(await writer.append(Buffer.from('next')), kept.size)
  await writer.close()
  await log.close()
})

test('without the flush guard a kill -9 loses acknowledged records: what the fault run must notice', async (t) => {
  const directory = withDiskDir(t)
  const acknowledged = await killAfter(startAppending(t, { directory, isFlushed: false }), 200)
  const log = await openFileLog({ directory, logLines })
  await (await log.openWriter(PARTITION)).close()
  const kept = await readOffsets(log)
  assert.ok(acknowledged.some((offset) => !kept.has(offset)))
  await log.close()
})

test('a partition is in use while another process that writes to it lives', async (t) => {
  const directory = withDiskDir(t)
  const child = startAppending(t, { directory })
  await once(child.stdout!, 'data')
  const log = await openFileLog({ directory, logLines })
  await assert.rejects(log.openWriter(PARTITION), { code: 'log_in_use' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  await (await log.openWriter(PARTITION)).close()
  await log.close()
})

/** Appends until three waves were refused, frees the space where there is some to free, appends again, and prints what was
 * answered and what is in the log.
 */
const FILL = `${OPEN}
  const { cpSync, rmSync, writeFileSync, statfsSync } = await import('node:fs')
  const [directIo, directory, filler, copy] = process.argv.slice(1)
  if (filler) {
    const { bavail, bsize } = statfsSync(directory)
    writeFileSync(filler, Buffer.alloc(bavail * bsize - 400_000))
  }
  const log = await open({ directory: directory + '/log', directIo })
  const writer = await log.openWriter('${PARTITION}')
  const acknowledged = []
  const codes = new Set()
  let count = 0
  const appendWave = async () => {
    const payloads = Array.from({ length: 20 }, () => (count++ + ':').padEnd(1_000 + (count % 7) * 300, 'x'))
    const answers = await Promise.allSettled(payloads.map((payload) => writer.append(Buffer.from(payload))))
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') acknowledged[answer.value] = payloads[index].split(':')[0]
      else codes.add(answer.reason.code)
    }
    return answers.some((answer) => answer.status === 'rejected')
  }
  let refusedWaves = 0
  while (refusedWaves < 3) if (await appendWave()) refusedWaves++
  const atFull = acknowledged.length
  if (filler) {
    cpSync(directory + '/log', copy, { recursive: true })
    rmSync(filler)
    for (let wave = 0; wave < 3; wave++) if (await appendWave()) codes.add('refused with space free')
  }
  await writer.close()
  const { records, damaged } = await log.readRange('${PARTITION}', 0, 1e9)
  const kept = records.map((record) => record.payload.toString().split(':')[0])
  console.log(JSON.stringify({ acknowledged, atFull, codes: [...codes], kept, damaged }))`

type FillReport = {
  readonly acknowledged: readonly string[]
  readonly atFull: number
  readonly codes: readonly string[]
  readonly kept: readonly string[]
  readonly damaged: readonly unknown[]
}

const WAYS = ['where_possible', 'never'] as const

for (const directIo of WAYS) {
  test(`a full disk refuses with log_full, keeps exactly what was acknowledged, and goes on when there is space (direct access: ${directIo})`, async (t) => {
    const directory = withDiskDir(t)
    const copy = join(withDiskDir(t), 'log')
    const script = nodeArguments(FILL, directIo, directory, join(directory, 'filler'), copy)
    const run = runOnMount(t, directory, { type: 'tmpfs', options: 'size=2m' }, script)
    if (run === undefined) return
    const report = JSON.parse(run.stdout || run.stderr) as FillReport
    assert.deepEqual(report.codes, ['log_full'])
    assert.deepEqual(report.kept, report.acknowledged)
    assert.deepEqual(report.damaged, [])
    assert.ok(report.atFull > 100 && report.acknowledged.length === report.atFull + 60)

    // As after a crash on the full disk: what was rejected does not come back with the recovery.
    const log = await openFileLog({ directory: copy, logLines })
    await (await log.openWriter(PARTITION)).close()
    assert.equal((await readOffsets(log)).size, report.atFull)
    await log.close()
  })

  test(`a file size limit is a full disk too (direct access: ${directIo})`, (t) => {
    const script = nodeArguments(FILL, directIo, withDiskDir(t))
    const limited = ['-c', 'ulimit -f 512 && exec "$@"', 'sh', process.execPath, ...script]
    const run = spawnSync('sh', limited, { encoding: 'utf8' })
    const report = JSON.parse(run.stdout || run.stderr) as FillReport
    assert.deepEqual(report.codes, ['log_full'])
    assert.deepEqual(report.kept, report.acknowledged)
    assert.ok(report.atFull > 50)
  })
}

/** Appends and reads three records and prints how the log is written. */
const TELL_WAY = `${OPEN}
  const { pino } = await import('pino')
  const [directIo, directory] = process.argv.slice(1)
  const ways = []
  const write = (line) => ways.push(JSON.parse(line).msg)
  const log = await open({ directory, directIo, logLines: pino({ level: 'debug' }, { write }) })
  const writer = await log.openWriter('${PARTITION}')
  for (const payload of 'abc') await writer.append(Buffer.from(payload))
  const { records } = await log.read('${PARTITION}', 0, { maxRecords: 9, maxBytes: 999 })
  console.log(JSON.stringify({ ways, payloads: records.map((record) => record.payload.toString()) }))
  await writer.close()`

test('the log goes through the page cache on a file system that refuses direct writes or is not known to keep readers up to date', (t) => {
  for (const [type, directIo] of [
    ['ramfs', 'where_possible'],
    ['tmpfs', 'where_proven'],
  ] as const) {
    const directory = withDiskDir(t)
    const run = runOnMount(t, directory, { type, options: 'mode=0700' }, nodeArguments(TELL_WAY, directIo, directory))
    if (run === undefined) return
    assert.deepEqual(JSON.parse(run.stdout || run.stderr), {
      ways: ['the log is written through the page cache'],
      payloads: ['a', 'b', 'c'],
    })
  }
})

test('an error of the disk rejects all who wait with log_unavailable; a new segment takes the next records', async (t) => {
  const directory = withDiskDir(t)
  const log = await openFileLog({ directory, logLines })
  const writer = await log.openWriter(PARTITION)
  await writer.append(Buffer.from('kept'))
  // The other descriptor still serves to cut.
  for (const fd of openSegments(directory).filter(flushesEachWrite)) closeSync(fd)
  const inTheGroup = writer.append(Buffer.from('a'))
  await setImmediate()
  const behindTheGroup = writer.append(Buffer.from('b'))
  const refused = await Promise.allSettled([inTheGroup, behindTheGroup])
  assert.deepEqual(
    refused.map((answer) => answer.status === 'rejected' && (answer.reason as { code: string }).code),
    ['log_unavailable', 'log_unavailable'],
  )
  assert.equal(writer.pendingCount(), 0)
  assert.equal(await writer.append(Buffer.from('next')), 1)
  await writer.close()
  assert.equal((await log.segments(PARTITION)).length, 2)
  assert.deepEqual(await readAll(log), ['kept', 'next'])
  await log.close()
})

test('a disk that refuses even the cut is tried again with the next record', async (t) => {
  const directory = withDiskDir(t)
  const log = await openFileLog({ directory, logLines })
  const writer = await log.openWriter(PARTITION)
  await writer.append(Buffer.from('kept'))
  for (const fd of openSegments(directory)) closeSync(fd)
  await assert.rejects(writer.append(Buffer.from('a')), { code: 'log_unavailable' })
  assert.equal(await writer.append(Buffer.from('next')), 1)
  await writer.close()
  assert.deepEqual(await readAll(log), ['kept', 'next'])
  await log.close()
})

test('records are written through a descriptor that flushes each write', async (t) => {
  for (const directIo of WAYS) {
    const directory = withDiskDir(t)
    const log = await openFileLog({ directory, logLines, directIo })
    const writer = await log.openWriter(PARTITION)
    assert.equal(openSegments(directory).filter(flushesEachWrite).length, 1)
    await writer.close()
    await log.close()
  }
})

test('records and the zeros ahead of them are written and read past the page cache where that is possible', async (t) => {
  const directory = withDiskDir(t)
  if (skipWithoutDirectIo(t, directory)) return
  const lines: string[] = []
  const debug = pino(
    { level: 'debug' },
    { write: (line) => void lines.push((JSON.parse(line) as { msg: string }).msg) },
  )
  const log = await openFileLog({ directory, logLines: debug, directIo: 'where_possible' })
  const writer = await log.openWriter(PARTITION)
  assert.deepEqual(openSegments(directory).map(isDirect), [true, true])
  assert.deepEqual(lines, ['the log is written past the page cache'])
  await writer.append(Buffer.from('a'))
  await writer.close()
  await readAll(log)
  assert.deepEqual(openSegments(directory).map(isDirect), [true])
  await log.close()
})

test('a direct write refused in the middle rejects its group; a segment written through the page cache takes the next', async (t) => {
  const directory = withDiskDir(t)
  if (skipWithoutDirectIo(t, directory)) return
  const log = await openFileLog({ directory, logLines, directIo: 'where_possible' })
  const writer = await log.openWriter(PARTITION)
  await writer.append(Buffer.from('kept'))
  // What is no number is an invalid argument for this file.
  replaceDescriptor(openSegments(directory).find(flushesEachWrite)!, '/proc/self/oom_score_adj')
  await assert.rejects(writer.append(Buffer.from('a')), { code: 'log_unavailable' })
  assert.equal(await writer.append(Buffer.from('next')), 1)
  assert.deepEqual(openSegments(directory).map(isDirect), [false, false])
  await writer.close()
  assert.deepEqual(await readAll(log), ['kept', 'next'])
  await log.close()
})

test('a segment that was cut goes on in the middle of a block with the acknowledged records before it', async (t) => {
  for (const directIo of WAYS) {
    const directory = withDiskDir(t)
    const log = await openFileLog({ directory, logLines, directIo })
    const writer = await log.openWriter(PARTITION)
    await writer.append(Buffer.from('kept'))
    const fd = openSegments(directory).find(flushesEachWrite)!
    const path = readlinkSync(`/proc/self/fd/${fd}`)
    const flags = flagsOf(fd)
    replaceDescriptor(fd, '/dev/full')
    await assert.rejects(writer.append(Buffer.alloc(5_000, 'x')), { code: 'log_full' })
    replaceDescriptor(fd, path, flags)
    assert.equal(await writer.append(Buffer.from('next')), 1)
    assert.deepEqual(await readAll(log), ['kept', 'next'])
    await writer.close()
    assert.equal((await log.segments(PARTITION)).length, 1)
    assert.deepEqual(await readAll(log), ['kept', 'next'])
    await log.close()
  }
})

/** Appends records of many lengths by five callers until it is killed. Each payload repeats its own length. */
const APPEND_LENGTHS = `${OPEN}
  const log = await open(JSON.parse(process.argv[1]))
  const writer = await log.openWriter('${PARTITION}')
  let length = 1
  const append = async () => {
    for (;;) {
      length = (length * 1103 + 7) % 2999 + 1
      await writer.append(Buffer.alloc(length, length % 256))
    }
  }
  await Promise.all(Array.from({ length: 5 }, append))`

test('a reader of another process right behind the writer never sees an old page, however often a block is written again', async (t) => {
  for (const [written, read] of [
    ['where_possible', 'where_possible'],
    ['where_possible', 'never'],
    ['never', 'where_possible'],
  ] as const) {
    const directory = withDiskDir(t)
    const options = { directory, directIo: written, segmentBytes: 4_000_000 }
    const child = spawn(process.execPath, nodeArguments(APPEND_LENGTHS, JSON.stringify(options)), { stdio: 'inherit' })
    t.after(() => child.kill('SIGKILL'))
    const log = await openFileLog({ directory, logLines, directIo: read })
    for (let offset = 0, batches = 0; batches < 300;) {
      const batch = await log.read(PARTITION, offset, { maxRecords: 1_000, maxBytes: 1e6 })
      assert.deepEqual(batch.damaged, [])
      for (const { payload } of batch.records) assert.ok(payload.every((byte) => byte === payload.length % 256))
      if (batch.nextOffset > offset) batches++
      offset = batch.nextOffset
      if (batch.records.length === 0) await setImmediate()
    }
    child.kill('SIGKILL')
    await once(child, 'exit')
    await log.close()
  }
})

test('the disk begins with the next group before the senders of the one before it are answered', async (t) => {
  const log = await openFileLog({ directory: withDiskDir(t), logLines })
  const writer = await log.openWriter(PARTITION)
  await writer.append(Buffer.from('allocates space'))
  const first = writer.append(Buffer.from('a'))
  await setImmediate()
  const second = writer.append(Buffer.from('b'))
  await first
  // The write whose end answers counts until its callback has returned.
  assert.equal(countFileRequests(), 2)
  await second
  assert.equal(countFileRequests(), 1)
  await writer.close()
  await log.close()
})

test('a writer refuses when 64 MiB wait for the disk, and loses nothing of what it took', async (t) => {
  const log = await openFileLog({ directory: withDiskDir(t), logLines })
  const writer = await log.openWriter(PARTITION)
  const answers = await Promise.allSettled(
    Array.from({ length: 66 }, () => writer.append(Buffer.alloc(1024 * 1024, 'x'))),
  )
  const refused = answers.filter((answer) => answer.status === 'rejected')
  assert.deepEqual(
    new Set(refused.map((answer) => (answer.reason as { code: string }).code)),
    new Set(['log_unavailable']),
  )
  assert.equal(refused.length, 3)
  assert.equal((await readOffsets(log)).size, 63)
  await writer.close()
  await log.close()
})

test('groups that are larger than the space allocated ahead come back whole', async (t) => {
  const log = await openFileLog({ directory: withDiskDir(t), logLines })
  const writer = await log.openWriter(PARTITION)
  for (let wave = 0; wave < 12; wave++) {
    const payloads = Array.from({ length: 6 }, (_, index) =>
      Buffer.alloc(((wave * 7 + index) % 9) * 100_000 + 1, wave + 1),
    )
    await Promise.all(payloads.map((payload) => writer.append(payload)))
  }
  const { records, damaged } = await log.readRange(PARTITION, 0, 1_000)
  assert.deepEqual(damaged, [])
  assert.equal(records.length, 72)
  for (const { offset, payload } of records) assert.ok(payload.every((byte) => byte === Math.floor(offset / 6) + 1))
  await writer.close()
  await log.close()
})

test('a closed writer makes no file', async (t) => {
  const directory = withDiskDir(t)
  const log = await openFileLog({ directory, logLines })
  const writer = await log.openWriter(PARTITION)
  await writer.append(Buffer.from('a'))
  await writer.close()
  await writer.close()
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(writer.append(Buffer.from('b')), { code: 'log_unavailable' })
  }
  assert.equal((await log.segments(PARTITION)).length, 1)
  await log.close()
})

test('a segment is followed by a new one when its first record is older than the limit', async (t) => {
  const clock = fixedClock(1_000)
  const log = await openFileLog({ directory: withDiskDir(t), logLines, clock, segmentAgeMsMax: 100 })
  for (const [ms, segments] of [
    [0, 1],
    [100, 1],
    [1, 2],
    [50, 2],
  ] as const) {
    clock.advance(ms)
    const writer = await log.openWriter(PARTITION)
    await writer.append(Buffer.from('a'))
    assert.equal((await log.segments(PARTITION)).length, segments)
    await writer.close()
  }
  await log.close()
})

const countFileRequests = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'FSReqCallback').length

async function readAll(log: EventLog): Promise<readonly string[]> {
  const { records } = await log.readRange(PARTITION, 0, 1e6)
  return records.map((record) => record.payload.toString())
}

/** Descriptors of this process on segment files, to break them behind the writer's back as a broken disk would. */
function openSegments(directory: string): readonly number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => isSegmentIn(directory, fd))
}

const flagsOf = (fd: number): number =>
  Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8)

const flushesEachWrite = (fd: number): boolean => (flagsOf(fd) & constants.O_DSYNC) !== 0

const isDirect = (fd: number): boolean => (flagsOf(fd) & constants.O_DIRECT) !== 0

/** Lets a descriptor lead elsewhere: the lowest free number is given out first. */
function replaceDescriptor(fd: number, path: PathLike, flags: number = constants.O_WRONLY): void {
  closeSync(fd)
  assert.equal(openSync(path, flags), fd)
}

function skipWithoutDirectIo(t: TestContext, directory: string): boolean {
  const writing = decideBlockWriting(directory, 'where_possible')
  if (writing.kind === 'buffered') t.skip(writing.why)
  return writing.kind === 'buffered'
}

function isSegmentIn(directory: string, fd: number): boolean {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`)
    return path.startsWith(directory) && path.endsWith('.segment')
  } catch {
    // The descriptor of the listing itself is gone by now.
    return false
  }
}
