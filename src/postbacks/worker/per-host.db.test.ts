import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localEndpoint, manyCauses, openBench } from '../test-bench.ts'
import { startReceiver } from '../test-receiver.ts'

/** How long the receiver takes: long enough for all that may come to be there at once. */
const ANSWER_MS = 40

test('all endpoints on a host together have no more under way than the operator allows', async (t) => {
  let open = 0
  let mostOpen = 0
  const receiver = await startReceiver(t, (response) => {
    mostOpen = Math.max(mostOpen, ++open)
    setTimeout(() => {
      open--
      response.end('ok')
    }, ANSWER_MS)
  })
  const endpoints = Array.from({ length: 6 }, (_, index) =>
    localEndpoint({ endpoint_id: `e${index}`, url: `${receiver.url}/${index}?c={click_id}`, max_concurrency: 4 }),
  )
  await using bench = await openBench(t, endpoints)
  await bench.enqueue(manyCauses(3))
  await bench.start({ perHostMax: 3 })
  const completions = await bench.recorded(18)
  assert.deepEqual(new Set(completions.map(({ outcome }) => outcome)), new Set(['delivered']))
  assert.equal(mostOpen, 3)
})
