import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localEndpoint, manyCauses, openBench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'

test('large messages that may not go yet do not keep those of others out of memory', async (t) => {
  const receiver = await startReceiver(t)
  const slow = Array.from({ length: 60 }, (_, index) =>
    localEndpoint({
      ...{ endpoint_id: `slow_${index}`, method: 'POST', url: receiver.url, body: '{txid}'.repeat(200) },
      ...{ max_concurrency: 1, max_per_minute: 1 },
    }),
  )
  const other = localEndpoint({ endpoint_id: 'other', url: receiver.url })
  await using bench = await openBench(t, slow)
  // What is read ahead for one endpoint, times as many as fill the memory, and one more each, that goes at once.
  await bench.enqueue(manyCauses(17, { txid: 'x'.repeat(300) }))
  await bench.start()
  await bench.recorded(slow.length)
  bench.setEndpoints([...slow, other], 2)
  await bench.enqueue([sampleCause({ revision: 2 })])
  const isOther = ({ claimed }: { readonly claimed: { readonly endpointId: string } }): boolean =>
    claimed.endpointId === 'other'
  const completions = await bench.recorded(slow.length + 1)
  assert.ok(completions.some(isOther))
})

test('requests of many large messages go when they have waited, although they fill the memory meanwhile', async (t) => {
  const receiver = await startReceiver(t)
  const together = Array.from({ length: 60 }, (_, index) =>
    localEndpoint({
      ...{ endpoint_id: `many_${index}`, method: 'POST', url: receiver.url, body: '{txid}'.repeat(200) },
      batch: {
        format: 'json_array',
        wrapper_key: 'events',
        max_events: 100,
        max_wait_ms: 3_000,
        max_bytes: 10_000_000,
      },
    }),
  )
  await using bench = await openBench(t, together)
  await bench.enqueue(manyCauses(16, { txid: 'x'.repeat(300) }))
  await bench.start()
  await bench.recorded(16 * together.length)
})
