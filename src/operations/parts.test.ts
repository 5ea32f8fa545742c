import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogLines } from '#platform/log-lines'

import { Parts } from './parts.ts'

test('stops each part after what feeds it, whatever the order of the start, and once', async () => {
  const parts = new Parts(createLogLines('test', 'silent'))
  const stopped: string[] = []
  for (const name of ['postgres', 'facts', 'api', 'delivery', 'pipeline', 'edge'] as const) {
    parts.add(name, async () => stopped.push(name))
  }
  await parts.stop()
  await parts.stop()
  assert.deepEqual(stopped, ['edge', 'pipeline', 'delivery', 'api', 'facts', 'postgres'])
})

test('a part that fails to stop does not keep the others running', async () => {
  const parts = new Parts(createLogLines('test', 'silent'))
  const stopped: string[] = []
  parts.add('edge', () => Promise.reject(new Error('stuck')))
  parts.add('postgres', async () => stopped.push('postgres'))
  await parts.stop()
  assert.deepEqual(stopped, ['postgres'])
})
