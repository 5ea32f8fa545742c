import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openFileLog, type EventLog, type LogWriter } from '#log'
import { createLogLines } from '#platform/log-lines'

/** Measures the event log alone: durable appends with N callers that each wait for theirs, then a sequential read of all.
 * Prints one JSON object. `node bench/log.ts --waiters 1,64 --seconds 2 --bytes 700 --directory DIR`
 */
const { values: settings } = parseArgs({
  options: {
    waiters: { type: 'string', default: '1,16,64,256' },
    seconds: { type: 'string', default: '2' },
    bytes: { type: 'string', default: '700' },
    directory: { type: 'string', default: tmpdir() },
  },
})

const directory = mkdtempSync(join(settings.directory, 'waypost-bench-log-'))
const log = await openFileLog({ directory, logLines: createLogLines('bench') })
try {
  const payload = Buffer.alloc(Number(settings.bytes), 'x')
  const writer = await log.openWriter('bench-0')
  const append = []
  for (const waiters of settings.waiters.split(',').map(Number)) {
    append.push(await measureAppends(writer, payload, waiters, Number(settings.seconds) * 1000))
  }
  await writer.close()
  console.log(JSON.stringify({ payloadBytes: payload.length, append, read: await measureRead(log) }, null, 2))
} finally {
  await log.close()
  rmSync(directory, { recursive: true })
}

async function measureAppends(writer: LogWriter, payload: Buffer, waiters: number, durationMs: number) {
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
  const cpu = process.cpuUsage(cpuBegin)
  latencies.sort((a, b) => a - b)
  const quantile = (share: number): number => round(latencies[Math.floor(latencies.length * share)] ?? Number.NaN)
  return {
    waiters,
    appendsPerSecond: Math.round(latencies.length / seconds),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    p999Ms: quantile(0.999),
    cpuMicrosPerAppend: round((cpu.user + cpu.system) / latencies.length),
  }
}

async function measureRead(from: EventLog) {
  const begin = performance.now()
  let records = 0
  for (let offset = 0; ;) {
    const batch = await from.read('bench-0', offset, { maxRecords: 10_000, maxBytes: 16 * 1024 * 1024 })
    if (batch.records.length === 0) break
    records += batch.records.length
    offset = batch.nextOffset
  }
  return { records, recordsPerSecond: Math.round((records / (performance.now() - begin)) * 1000) }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
