import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { withTempDir } from '#test-kit'
import { openProductionJournal, readProduction } from './production-journal.ts'

test('a batch that was asked for and not acknowledged is to be done again; a line that was cut off says nothing', async (t) => {
  const file = join(withTempDir(t), 'journal.jsonl')
  const journal = openProductionJournal(file)
  await journal.write({ kind: 'asked', from: 0, to: 2 })
  await journal.write({ kind: 'acknowledged', from: 0, to: 2, committedAt: 17.5 })
  await journal.write({ kind: 'asked', from: 2, to: 5 })
  await journal.write({ kind: 'failed', from: 2, to: 5, why: 'away' })
  await journal.close()
  appendFileSync(file, '{"kind":"acknow')
  const { unknown, next, committedAt, failures } = readProduction(file)
  assert.deepEqual(
    unknown.map(({ from, to }) => [from, to]),
    [[2, 5]],
  )
  assert.deepEqual([next, failures, [...committedAt]], [5, 1, [[0, 17.5], [1, 17.5]]]) // prettier-ignore
})

test('without a journal everything is still to come', () => {
  assert.deepEqual(readProduction('/nowhere/at/all').next, 0)
})
