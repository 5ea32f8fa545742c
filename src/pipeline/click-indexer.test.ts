import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { openLmdbHotState, type HotState } from '#hot-state'
import { openFileLog } from '#log'
import { createLogLines } from '#platform/log-lines'
import { encodeRecord } from '#records'
import { withTempDir } from '#test-kit'

import { startClickIndexer, type ClickIndexer } from './click-indexer.ts'
import { Stopped } from './retry.ts'
import { clickWith } from './test-installation.ts'

/** What the indexer takes in one step, and one more. */
const RECORDS = 10_001

async function indexing(t: TestContext): Promise<{ indexer: ClickIndexer; hotState: HotState }> {
  const closings: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const close of closings.toReversed()) await close()
  })
  const directory = withTempDir(t)
  const logLines = createLogLines('test', 'silent')
  const log = await openFileLog({ directory: `${directory}/log`, logLines })
  closings.push(() => log.close())
  const writer = await log.openWriter('edge-0')
  closings.push(() => writer.close())
  await Promise.all(Array.from({ length: RECORDS }, () => writer.append(encodeRecord(clickWith()))))
  const hotState = openLmdbHotState({ directory: `${directory}/hot-state` })
  closings.push(() => hotState.close())
  const indexer = startClickIndexer({ log, hotState, logLines })
  closings.push(() => indexer.stop())
  return { indexer, hotState }
}

test('who needs the beginning of a long log does not wait for its end', async (t) => {
  const { indexer, hotState } = await indexing(t)
  await indexer.hasPassed('edge-0', 1)
  assert.equal(hotState.indexPosition('edge-0')?.nextOffset, RECORDS - 1)
  await indexer.isComplete()
  assert.equal(hotState.indexPosition('edge-0')?.nextOffset, RECORDS)
})

test('who waits for an indexer that is stopped is told so', async (t) => {
  const { indexer } = await indexing(t)
  const tooFar = indexer.hasPassed('edge-0', RECORDS + 1)
  await Promise.all([indexer.stop(), assert.rejects(tooFar, Stopped)])
  await assert.rejects(indexer.hasPassed('edge-0', 1), Stopped)
  await assert.rejects(indexer.isComplete(), Stopped)
})
