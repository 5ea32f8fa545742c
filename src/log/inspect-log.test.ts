import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fixedClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { withTempDir } from '#test-kit'
import { openFileLog, type FileLog } from './event-logs/segment-files.ts'
import { inspectLog, type InspectionResult, type LogInspection } from './inspect-log.ts'

/** Two partitions with 30 records each, the second record of `edge-0` damaged. */
async function logWithDamage(t: TestContext): Promise<FileLog> {
  const directory = withTempDir(t)
  const log = await openFileLog({ directory, logLines: createLogLines('test', 'silent'), clock: fixedClock(0) })
  for (const partition of ['edge-0', 'edge-1']) {
    const writer = await log.openWriter(partition)
    for (let count = 0; count < 30; count++) await writer.append(Buffer.from(`record ${count}`))
    await writer.close()
  }
  const name = readdirSync(join(directory, 'edge-0')).find((entry) => entry.endsWith('.segment'))!
  const bytes = readFileSync(join(directory, 'edge-0', name))
  bytes[60]! ^= 1
  writeFileSync(join(directory, 'edge-0', name), bytes)
  t.after(() => log.close())
  return log
}

async function inspect(
  log: FileLog,
  asked: Partial<LogInspection>,
): Promise<{ result: InspectionResult; lines: readonly Record<string, unknown>[] }> {
  const lines: Record<string, unknown>[] = []
  const print = (line: string): void => void lines.push(JSON.parse(line))
  const result = await inspectLog({ log, describePayload: (payload) => payload.toString(), print, ...asked })
  return { result, lines }
}

test('without a partition it prints the bounds and segments of all, and no records', async (t) => {
  const { result, lines } = await inspect(await logWithDamage(t), {})
  assert.deepEqual(
    lines.map((line) => [line['partition'], line['firstOffset'], line['nextOffset']]),
    [
      ['edge-0', 0, 30],
      ['edge-1', 0, 30],
    ],
  )
  assert.deepEqual(result, { kind: 'inspected', records: 0, damagedOffsets: 0 })
})

test('of one partition it prints 20 records with their damage, or as many as asked from where asked', async (t) => {
  const log = await logWithDamage(t)
  const byDefault = await inspect(log, { partition: 'edge-0' })
  assert.deepEqual(byDefault.result, { kind: 'inspected', records: 20, damagedOffsets: 1 })
  assert.partialDeepStrictEqual(byDefault.lines[1], { damaged: { partition: 'edge-0', firstOffset: 1, nextOffset: 2 } })
  const asked = await inspect(log, { partition: 'edge-1', fromOffset: 5, limit: 2 })
  const appended_at = '1970-01-01T00:00:00.000Z'
  assert.deepEqual(asked.lines.slice(1), [
    { partition: 'edge-1', offset: 5, appended_at, bytes: 8, payload: 'record 5' },
    { partition: 'edge-1', offset: 6, appended_at, bytes: 8, payload: 'record 6' },
  ])
})

test('a check reads everything, counts it and prints the damage only', async (t) => {
  const { result, lines } = await inspect(await logWithDamage(t), { isVerified: true })
  assert.deepEqual(result, { kind: 'inspected', records: 59, damagedOffsets: 1 })
  assert.equal(lines.length, 3)
})

test('a partition that does not exist is said to be unknown', async (t) => {
  const { result } = await inspect(await logWithDamage(t), { partition: 'edge-9' })
  assert.deepEqual(result, { kind: 'partition_unknown' })
})
