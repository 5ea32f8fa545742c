import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { ownerTenant } from '#accounts'
import { addJob, findJob } from '#jobs'
import { withDatabase, withTempDir } from '#test-kit'

import { EXPORT_KIND, type ExportInput, type ExportResult } from './index.ts'

const PROGRAM = fileURLToPath(new URL('./test-exporter.ts', import.meta.url))
const ROWS = 200_000

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('an export whose process is killed is made whole by the next', async (t) => {
  const children: ChildProcess[] = []
  t.after(() => children.forEach((child) => child.kill('SIGKILL')))
  const [facts, exports] = [withTempDir(t), withTempDir(t)]
  const { pool, url } = await withDatabase(t)
  const start = (rows: number): ChildProcess => {
    const child = spawn(process.execPath, [PROGRAM, join(facts, 'clickhouse'), url, exports, String(rows)], {
      stdio: 'inherit',
    })
    children.push(child)
    return child
  }
  const input: ExportInput = {
    log: 'clicks',
    asked: { from: '2026-11-19T00:00:00Z', to: '2026-11-20T00:00:00Z', only: {}, not: {} },
    ...{ format: 'jsonl', isZipped: false, headers: 'name', isMarked: false, fileName: 'clicks' },
  }
  const added = await addJob(pool, { kind: EXPORT_KIND, input, tenant: ownerTenant, by: 'test' })
  const { jobId } = added as { jobId: string }
  const first = start(ROWS)
  while ((await findJob(pool, jobId))!.done === 0n) await turn()
  first.kill('SIGKILL')
  await once(first, 'exit')
  assert.deepEqual(readdirSync(exports), [`${jobId}.1.part`])
  const second = start(0)
  for (;;) {
    const job = (await findJob(pool, jobId))!
    if (job.state !== 'queued' && job.state !== 'running') break
    await turn()
  }
  const job = (await findJob(pool, jobId))!
  const { file, rows, bytes } = job.result as ExportResult
  assert.deepEqual([job.state, job.attempts, rows], ['done', 2, ROWS])
  const text = readFileSync(join(exports, file), 'utf8')
  assert.equal(text.length, bytes)
  const seen = new Set(text.trimEnd().split('\n').map((line) => (JSON.parse(line) as { sub1: string }).sub1)) // prettier-ignore
  assert.equal(seen.size, ROWS)
  assert.deepEqual(readdirSync(exports), [file])
  second.kill('SIGTERM')
  assert.deepEqual(await once(second, 'exit'), [0, null])
})
