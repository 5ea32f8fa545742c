import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatTable, isMet, rows, type Figure, type RowName } from './rows.ts'

test('a bar is met at its own value and missed beyond it', () => {
  assert.equal(isMet(rows.redirect.bar, 0.5), true)
  assert.equal(isMet(rows.redirect.bar, 0.499), false)
  assert.equal(isMet(rows.latency.bar, 10), true)
  assert.equal(isMet(rows.latency.bar, 10.01), false)
})

test('the table says for each row what, bar, figure and whether it is met', () => {
  const figures = new Map<RowName, Figure>([
    ['drain', { value: 23_456, note: 'one run', details: {} }],
    ['latency', { value: 12.34, note: 'one run', details: {} }],
  ])
  const lines = formatTable(figures).split('\n')
  assert.equal(lines.length, 4)
  assert.match(lines[2]!, /≥ 20,000 records\/s \| 23,500 records\/s \| met \|/)
  assert.match(lines[3]!, /≤ 10 ms \| 12\.3 ms \| \*\*not met\*\* \|/)
})
