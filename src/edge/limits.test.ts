import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'

import { newClickId } from '#platform/ids'
import { snapshot } from '#routing/test-snapshots'
import { edgeLimits } from './limits.ts'
import { withEdge, type TestEdge } from './test-edge.ts'

const JSON_HEADERS = { 'content-type': 'application/json' }

/** A connection on which a test writes byte by byte. */
async function dial(t: TestContext, { edge }: TestEdge): Promise<Socket> {
  const socket = connect(edge.port, '127.0.0.1')
  socket.on('error', () => undefined)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** All that the edge says until it closes the connection. */
async function readToEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}

const eventBody = (bytes: number): string => {
  const event = { type: 'open', clickid: newClickId(Date.now()), padding: '' }
  return JSON.stringify({ ...event, padding: 'x'.repeat(bytes - JSON.stringify(event).length) })
}

describe('a limit', () => {
  test('urlCharactersMax: a longer URL of a click, postback or pixel is answered 414', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const url = (path: string, length: number): string => path + 'x'.repeat(length - path.length)
    for (const path of ['/click?o=o1&x=', '/postback?x=', '/pixel.gif?x=']) {
      assert.equal((await ask(url(path, edgeLimits.urlCharactersMax + 1))).status, 414, path)
    }
    assert.equal((await ask(url('/click?o=o1&x=', edgeLimits.urlCharactersMax))).status, 302)
  })

  test('headerBytesMax: larger headers are answered 431', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const headers = (bytes: number) => ({ headers: { cookie: 'x'.repeat(bytes) } })
    assert.equal((await ask('/click?o=o1', headers(edgeLimits.headerBytesMax))).status, 431)
    assert.equal((await ask('/click?o=o1', headers(edgeLimits.headerBytesMax - 500))).status, 302)
  })

  test('bodyBytesMax: a larger body is answered 413, told by its length or not', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const body = eventBody(edgeLimits.bodyBytesMax + 1)
    for (const path of ['/event', '/postback', '/pixel.gif']) {
      for (const headers of [JSON_HEADERS, { ...JSON_HEADERS, 'transfer-encoding': 'chunked' }]) {
        const answer = await ask(path, { method: 'POST', headers, body })
        assert.equal(answer.status, 413, path)
        assert.equal((JSON.parse(answer.body) as { code: string }).code, 'body_too_large')
      }
    }
    const allowed = { method: 'POST', headers: JSON_HEADERS, body: eventBody(edgeLimits.bodyBytesMax) }
    assert.equal((await ask('/event', allowed)).status, 204)
  })

  test('eventsPerRequestMax: a longer array is answered 413 as a whole', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const events = (count: number): string =>
      JSON.stringify(Array.from({ length: count }, () => ({ type: 'open', clickid: newClickId(Date.now()) })))
    const answer = await ask('/event', { method: 'POST', headers: JSON_HEADERS, body: events(51) })
    assert.equal(answer.status, 413)
    assert.deepEqual(await records(), [])
    assert.equal((await ask('/event', { method: 'POST', headers: JSON_HEADERS, body: events(50) })).status, 204)
    assert.equal((await records()).length, 50)
  })

  test('connectionsMax: further connections are closed at once', async (t) => {
    const edge = await withEdge(t, snapshot(), { limits: { connectionsMax: 2 } })
    const [first] = [await dial(t, edge), await dial(t, edge)]
    assert.equal(await readToEnd(await dial(t, edge)), '')
    first.destroy()
    await once(first, 'close')
    // The server notices the end of a connection a moment later than its client.
    let answer = 0
    while (answer !== 200) answer = await edge.ask('/healthz').then(({ status }) => status, () => 0) // prettier-ignore
  })

  test('headersTimeoutMs: a client that does not finish its headers is answered 408 and cut off', async (t) => {
    const limits = { headersTimeoutMs: 100, requestTimeoutMs: 5_000, slowClientCheckMs: 50 }
    const socket = await dial(t, await withEdge(t, snapshot(), { limits }))
    socket.write('GET /click?o=o1 HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    assert.match(await readToEnd(socket), /^HTTP\/1.1 408 /)
  })

  test('requestTimeoutMs: a client that does not finish its body is answered 408 and cut off', async (t) => {
    const limits = { headersTimeoutMs: 100, requestTimeoutMs: 200, slowClientCheckMs: 50 }
    const socket = await dial(t, await withEdge(t, snapshot(), { limits }))
    socket.write('POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{')
    assert.match(await readToEnd(socket), /^HTTP\/1.1 408 /)
  })

  test('keepAliveTimeoutMs: an idle connection is closed', async (t) => {
    const socket = await dial(t, await withEdge(t, snapshot(), { limits: { keepAliveTimeoutMs: 50 } }))
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await readToEnd(socket), /^HTTP\/1.1 200 /)
  })

  test('drainTimeoutMs: a stop cuts off what is still under way then', async (t) => {
    const edge = await withEdge(t, snapshot(), { limits: { drainTimeoutMs: 50 } })
    const socket = await dial(t, edge)
    socket.write('POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{')
    await edge.ask('/healthz')
    await Promise.all([edge.edge.stop(), once(socket, 'close')])
  })
})
