import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openFileLog, type EventLog, type FileLogOptions, type LogWriter } from '#log'
import { createLogLines } from '#platform/log-lines'

/** Measures the event log alone: durable appends with N callers that each wait for theirs, appends at a steady rate with
 * two consumers of another process right behind them, and a sequential read of all. Each way of writing in turn, so that
 * what else the machine does falls on all of them; the processor time for each record is the figure to compare.
 * Prints one JSON object.
 * `node bench/log.ts --waiters 1,64 --seconds 2 --rate 30000 --bytes 700 --direct where_proven,never --rounds 3 --directory DIR`
 */
const { values: settings } = parseArgs({
  options: {
    waiters: { type: 'string', default: '1,16,64,256' },
    seconds: { type: 'string', default: '2' },
    rate: { type: 'string', default: '30000' },
    bytes: { type: 'string', default: '700' },
    direct: { type: 'string', default: 'where_proven' },
    rounds: { type: 'string', default: '1' },
    directory: { type: 'string', default: tmpdir() },
    /** A process of the measurement: reads that many records behind the writer of the directory. */
    follow: { type: 'string' },
  },
})

type DirectIo = NonNullable<FileLogOptions['directIo']>

const PARTITION = 'bench-0'
const CONSUMERS = 2
const durationMs = Number(settings.seconds) * 1000

if (settings.follow === undefined) {
  const runs = []
  for (let round = 0; round < Number(settings.rounds); round++) {
    for (const direct of settings.direct.split(',')) runs.push(await measureLog(direct as DirectIo))
  }
  console.log(JSON.stringify({ payloadBytes: Number(settings.bytes), runs }, null, 2))
} else {
  console.log(JSON.stringify(await followLog(settings.directory, Number(settings.follow))))
}

async function measureLog(directIo: DirectIo) {
  const directory = mkdtempSync(join(settings.directory, 'waypost-bench-log-'))
  const log = await openFileLog({ directory, logLines: createLogLines('bench'), directIo })
  try {
    const payload = Buffer.alloc(Number(settings.bytes), 'x')
    const writer = await log.openWriter(PARTITION)
    const steady = await measureSteady(directory, writer, payload)
    const append = []
    for (const waiters of settings.waiters.split(',').map(Number)) {
      append.push(await measureAppends(writer, payload, waiters))
    }
    await writer.close()
    return { directIo, steady, append, read: await measureRead(log) }
  } finally {
    await log.close()
    rmSync(directory, { recursive: true })
  }
}

/** Appends at the given rate while another process reads, as an edge and its pipeline do. */
async function measureSteady(directory: string, writer: LogWriter, payload: Buffer) {
  const rate = Number(settings.rate)
  const records = Math.round((rate * durationMs) / 1000)
  const follower = spawn(
    process.execPath,
    [import.meta.filename, '--directory', directory, '--follow', String(records)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const latencies: number[] = []
  const begin = performance.now()
  const cpuBegin = process.cpuUsage()
  const appendOne = async (): Promise<void> => {
    const sentAt = performance.now()
    await writer.append(payload)
    latencies.push(performance.now() - sentAt)
  }
  const answers: Promise<void>[] = []
  while (answers.length < records) {
    const due = Math.min(records, ((performance.now() - begin) / 1000) * rate)
    while (answers.length < due) answers.push(appendOne())
    await delay(1)
  }
  await Promise.all(answers)
  const append = { ...quantiles(latencies), cpuMicrosPerAppend: cpuMicrosPer(records, cpuBegin) }
  const [report] = await Promise.all([text(follower.stdout), once(follower, 'exit')])
  return { rate, ...append, follower: JSON.parse(report) as unknown }
}

/** Reads with two consumers as far as `records`. */
async function followLog(directory: string, records: number) {
  const log = await openFileLog({ directory, logLines: createLogLines('bench') })
  while (!(await log.partitions()).includes(PARTITION)) await log.waitForAppend(1000)
  const cpuBegin = process.cpuUsage()
  let damaged = 0
  const consume = async (): Promise<void> => {
    for (let offset = 0; offset < records;) {
      const batch = await log.read(PARTITION, offset, { maxRecords: 10_000, maxBytes: 16 * 1024 * 1024 })
      damaged += batch.damaged.length
      offset = batch.nextOffset
      if (batch.records.length === 0) await log.waitForAppend(1000)
    }
  }
  await Promise.all(Array.from({ length: CONSUMERS }, consume))
  await log.close()
  return { consumers: CONSUMERS, damaged, cpuMicrosPerRecord: cpuMicrosPer(records, cpuBegin) }
}

async function measureAppends(writer: LogWriter, payload: Buffer, waiters: number) {
  const latencies: number[] = []
  const begin = performance.now()
  const cpuBegin = process.cpuUsage()
  const appendAgain = async (): Promise<void> => {
    while (performance.now() - begin < durationMs) {
      const sentAt = performance.now()
      await writer.append(payload)
      latencies.push(performance.now() - sentAt)
    }
  }
  await Promise.all(Array.from({ length: waiters }, appendAgain))
  const seconds = (performance.now() - begin) / 1000
  return {
    waiters,
    appendsPerSecond: Math.round(latencies.length / seconds),
    ...quantiles(latencies),
    cpuMicrosPerAppend: cpuMicrosPer(latencies.length, cpuBegin),
  }
}

async function measureRead(from: EventLog) {
  const begin = performance.now()
  const cpuBegin = process.cpuUsage()
  let records = 0
  for (let offset = 0; ;) {
    const batch = await from.read(PARTITION, offset, { maxRecords: 10_000, maxBytes: 16 * 1024 * 1024 })
    if (batch.records.length === 0) break
    records += batch.records.length
    offset = batch.nextOffset
  }
  const recordsPerSecond = Math.round((records / (performance.now() - begin)) * 1000)
  return { records, recordsPerSecond, cpuMicrosPerRecord: cpuMicrosPer(records, cpuBegin) }
}

function quantiles(latencies: number[]) {
  latencies.sort((a, b) => a - b)
  const quantile = (share: number): number => round(latencies[Math.floor(latencies.length * share)] ?? Number.NaN)
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99), p999Ms: quantile(0.999) }
}

/** Processor time of this process, the kernel's share included. */
function cpuMicrosPer(records: number, since: NodeJS.CpuUsage): number {
  const cpu = process.cpuUsage(since)
  return round((cpu.user + cpu.system) / records)
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
