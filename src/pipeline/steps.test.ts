import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { openLmdbHotState } from '#hot-state'
import { createLogLines } from '#platform/log-lines'
import { encodeRecord } from '#records'
import { withTempDir } from '#test-kit'

import type { Batch } from './batch.ts'
import { steps, type StepTools } from './steps.ts'
import { clickWith, eventWith } from './test-installation.ts'

const identify = steps.find(({ name }) => name === 'identify')!
const click = clickWith()

const batchWithEvent = (): Batch => ({
  partition: 'edge-0',
  from: 40,
  to: 42,
  payloads: [],
  damaged: [],
  isResent: false,
  appendedAt: 0,
  clicks: [],
  events: [
    {
      offset: 41,
      record: eventWith(click.click_id, 'lead'),
      click: undefined,
      verdict: { kind: 'refused', reason: 'click_unknown' },
      isDuplicate: false,
    },
  ],
  postbacks: [],
  undecodable: 0,
})

/** Runs the step over an index that gets the event's click at one of the waits, or had it before.
 * @returns what was waited for, in order
 */
async function waitsOf(t: TestContext, indexedAt: string): Promise<{ waits: readonly string[]; batch: Batch }> {
  const hotState = openLmdbHotState({ directory: withTempDir(t) })
  t.after(() => hotState.close())
  const waits: string[] = []
  const reach = async (what: string): Promise<void> => {
    const position = { partition: 'edge-0', nextOffset: 0, appendedAt: 0 }
    const payload = encodeRecord(click)
    if (what === indexedAt) await hotState.indexClicks([{ clickId: click.click_id, payload }], position)
  }
  const waitFor = async (what: string): Promise<void> => {
    waits.push(what)
    await reach(what)
  }
  await reach('before')
  const tools: StepTools = {
    hotState,
    logLines: createLogLines('test', 'silent'),
    plan: { offers: new Map(), campaignTtlHours: new Map() },
    clickIndexHasPassed: (partition, offset) => waitFor(`${partition} ${offset}`),
    clickIndexIsComplete: () => waitFor('all'),
  }
  const batch = batchWithEvent()
  await identify.run(batch, tools)
  return { waits, batch }
}

test('an event whose click is in the index waits for nothing', async (t) => {
  const { waits, batch } = await waitsOf(t, 'before')
  assert.deepEqual(waits, [])
  assert.deepEqual(batch.events[0]!.click, click)
})

test('an event whose click stands in its own batch waits until the index has passed that, not for the whole log', async (t) => {
  const { waits, batch } = await waitsOf(t, 'edge-0 42')
  assert.deepEqual(waits, ['edge-0 42'])
  assert.deepEqual(batch.events[0]!.click, click)
})

test('an event whose click stands further on or in another partition waits for all that is in the log', async (t) => {
  const { waits, batch } = await waitsOf(t, 'all')
  assert.deepEqual(waits, ['edge-0 42', 'all'])
  assert.deepEqual(batch.events[0]!.click, click)
})

test('an event whose click is nowhere is left without one', async (t) => {
  const { waits, batch } = await waitsOf(t, 'never')
  assert.deepEqual(waits, ['edge-0 42', 'all'])
  assert.equal(batch.events[0]!.click, undefined)
})
