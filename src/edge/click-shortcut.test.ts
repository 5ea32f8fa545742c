import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { describe, test } from 'node:test'

import type { ClickRecord } from '#records'
import { snapshot } from '#routing/test-snapshots'
import { heldAppends, withEdge } from './test-edge.ts'

const config = snapshot({ links: [{ code: 'go-1_A', campaign_id: 'summer', affiliate_id: 'ann' }] })

describe('the same link is the same click, whichever way it takes', () => {
  for (const path of ['/go-1_A', '/go-1_A?sub1=x', '/go%2d1_A', '/%67o-1_A?sub1=x']) {
    test(path, async (t) => {
      const { ask, records } = await withEdge(t, config)
      assert.equal((await ask(path)).status, 302)
      const [record] = await records()
      assert.equal((record as ClickRecord).link_code, 'go-1_A')
    })
  }
})

test('an address of the edge itself is no link, and neither is another method, a deeper path or a code longer than any', async (t) => {
  const { ask, records } = await withEdge(t, config)
  const statuses = {
    '/metrics': 200,
    '/readyz?x=1': 200,
    '/hop': 404,
    '/t.js?v=1': 200,
    '/click/': 404,
    '/go-1_A/': 404,
    [`/${'a'.repeat(300)}`]: 414,
  }
  const answered = await Promise.all(
    Object.keys(statuses).map(async (path) => [path, (await ask(path)).status] as const),
  )
  assert.deepEqual(Object.fromEntries(answered), statuses)
  assert.equal((await ask('/go-1_A', { method: 'POST' })).status, 404)
  assert.deepEqual(await records(), [])
})

test('a click that comes on an open connection while the edge stops is sent to another one', async (t) => {
  const { append, asked, release } = heldAppends()
  const { edge, records } = await withEdge(t, config, { append })
  const socket = createConnection({ port: edge.port, host: '127.0.0.1' })
  let answers = ''
  socket.setEncoding('utf8').on('data', (text: string) => (answers += text))
  socket.write('GET /go-1_A HTTP/1.1\r\nHost: x\r\n\r\n')
  await asked
  const stopping = edge.stop()
  socket.write('GET /go-1_A HTTP/1.1\r\nHost: x\r\n\r\n')
  release()
  await once(socket, 'close')
  await stopping
  assert.deepEqual(answers.match(/^HTTP\/1.1 \d+/gm), ['HTTP/1.1 302', 'HTTP/1.1 503'])
  assert.equal((await records()).length, 1)
})
