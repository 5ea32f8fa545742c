import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'

import { WaypostError } from '#platform/errors'
import { newClickId } from '#platform/ids'
import { snapshot } from '#routing/test-snapshots'
import { heldAppends, send, withEdge, type Answer, type Ask } from './test-edge.ts'

const clickId = newClickId(Date.now())
const event: Ask = {
  method: 'POST',
  headers: { 'content-type': 'text/plain' },
  body: JSON.stringify({ type: 'open', clickid: clickId }),
}

describe('while the log takes nothing', () => {
  const routes: Readonly<Record<string, readonly [path: string, options?: Ask]>> = {
    click: ['/click?o=o1'],
    event: ['/event', event],
    postback: [`/postback?clickid=${clickId}&status=sale`],
    pixel: [`/pixel.gif?clickid=${clickId}&status=sale`],
  }
  for (const [route, [path, options]] of Object.entries(routes)) {
    for (const code of ['log_full', 'log_unavailable'] as const) {
      test(`a ${route} is answered 503 ${code} and not as if it were recorded`, async (t) => {
        const append = () => () => Promise.reject(new WaypostError(code))
        const { ask, records } = await withEdge(t, snapshot(), { append })
        const answer = await ask(path, options)
        assert.equal(answer.status, 503)
        assert.equal((JSON.parse(answer.body) as { code: string }).code, code)
        assert.ok(Number(answer.headers['retry-after']) > 0)
        assert.deepEqual(await records(), [])
      })
    }
  }

  test('the edge says that it is not ready, until a record gets through or five seconds later', async (t) => {
    let isFull = true
    const { ask } = await withEdge(t, snapshot(), {
      append: (append) => (payload) => (isFull ? Promise.reject(new WaypostError('log_full')) : append(payload)),
    })
    assert.equal((await ask('/readyz')).status, 200)
    await ask('/click?o=o1')
    assert.equal((await ask('/readyz')).status, 503)
    isFull = false
    await ask('/click?o=o1')
    assert.equal((await ask('/readyz')).status, 200)
  })

  test('a mistake of ours is answered 500', async (t) => {
    const { ask } = await withEdge(t, snapshot(), { append: () => () => Promise.reject(new RangeError('too long')) })
    assert.equal((await ask('/click?o=o1')).status, 500)
    assert.equal((await ask('/readyz')).status, 200)
  })
})

describe('a stop', () => {
  test('answers what is under way, takes nothing new and gives the partition free', async (t) => {
    const { append, asked, release } = heldAppends()
    const { ask, edge, log, records } = await withEdge(t, snapshot(), { append })
    const answering = ask('/click?o=o1')
    await asked
    const stopping = edge.stop()
    await assert.rejects(ask('/healthz'), { code: 'ECONNREFUSED' })
    release()
    assert.equal((await answering).status, 302)
    await stopping
    assert.equal((await records()).length, 1)
    const writer = await log.openWriter('edge-0')
    await writer.close()
  })

  test('answers who has connected and whose request is still on its way', async (t) => {
    const { edge, records } = await withEdge(t, snapshot())
    const visitor = connect(edge.port, '127.0.0.1')
    await once(visitor, 'connect')
    // Answered by the same loop as the connection is taken by: after it the edge has it.
    assert.equal((await send(edge.port, '/healthz')).status, 200)
    const stopping = edge.stop()
    visitor.write('GET /click?o=o1 HTTP/1.1\r\nHost: go.example.com\r\nConnection: close\r\n\r\n')
    const [answer] = (await once(visitor, 'data')) as [Buffer]
    assert.match(answer.toString(), /^HTTP\/1\.1 302 /)
    await stopping
    assert.equal((await records()).length, 1)
  })

  test('does not wait for long for who has connected and says nothing', async (t) => {
    const { edge } = await withEdge(t, snapshot())
    const silent = connect(edge.port, '127.0.0.1')
    t.after(() => silent.destroy())
    await once(silent, 'connect')
    const startedAt = performance.now()
    await edge.stop()
    assert.ok(performance.now() - startedAt < 2_000)
  })

  test('does not wait for idle connections', async (t) => {
    const { edge } = await withEdge(t, snapshot())
    const answered = await new Promise<boolean>((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port: edge.port, path: '/healthz' }, (response) => {
        response.resume().on('end', () => resolve(true))
      })
      outgoing.on('error', reject)
      outgoing.setHeader('Connection', 'keep-alive')
      outgoing.end()
    })
    assert.ok(answered)
    await edge.stop()
  })
})

describe('the snippet', () => {
  const built = readFileSync(new URL('../../sdk/web/t.js', import.meta.url), 'utf8')

  test('is served as it was built, for an hour, to every page', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const answer = await ask('/t.js')
    assert.equal(answer.body, built)
    assert.equal(answer.headers['content-type'], 'text/javascript; charset=utf-8')
    assert.equal(answer.headers['cache-control'], 'public, max-age=3600')
    assert.equal(answer.headers['access-control-allow-origin'], '*')
  })

  test('is not sent again to who has it', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const { etag } = (await ask('/t.js')).headers
    const again: Answer = await ask('/t.js', { headers: { 'if-none-match': `W/"other", ${etag}` } })
    assert.equal(again.status, 304)
    assert.equal(again.body, '')
    assert.equal((await ask('/t.js', { headers: { 'if-none-match': '"other"' } })).status, 200)
  })

  test('is packed for who can unpack it', async (t) => {
    const { edge } = await withEdge(t, snapshot())
    const response = await fetch(`http://127.0.0.1:${edge.port}/t.js`, { headers: { 'accept-encoding': 'gzip' } })
    assert.equal(response.headers.get('content-encoding'), 'gzip')
    assert.equal(await response.text(), built)
    assert.equal(response.headers.get('content-length'), String(packedLength(built)))
  })
})

const packedLength = (text: string): number => {
  const packed = gzipSync(text, { level: 9 })
  assert.equal(gunzipSync(packed).toString(), text)
  return packed.length
}

describe('the operator', () => {
  test('sees that the process answers', async (t) => {
    const { ask } = await withEdge(t, undefined)
    assert.deepEqual(JSON.parse((await ask('/healthz')).body), { status: 'ok' })
  })

  test('sees which configuration is in use', async (t) => {
    const { ask } = await withEdge(t, { ...snapshot(), version: 7 })
    assert.deepEqual(JSON.parse((await ask('/readyz')).body), {
      status: 'ready',
      config_version: 7,
      is_config_fresh: true,
      is_log_writable: true,
    })
  })

  test('sees requests by route and outcome, and how long they took', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    await ask('/click?o=o1')
    await ask('/nope')
    await ask('/click?o=o1', { method: 'HEAD' })
    await ask('/event', event)
    await ask('/postback?status=sale')
    const { body, headers } = await ask('/metrics')
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    for (const line of [
      'waypost_edge_requests_total{route="click",outcome="redirected"} 1',
      'waypost_edge_requests_total{route="click",outcome="not_found"} 1',
      'waypost_edge_requests_total{route="click",outcome="head"} 1',
      'waypost_edge_requests_total{route="event",outcome="recorded"} 1',
      'waypost_edge_requests_total{route="postback",outcome="refused"} 1',
      'waypost_edge_request_seconds_bucket{route="click",le="+Inf"} 3',
      'waypost_edge_request_seconds_count{route="click"} 3',
      'waypost_edge_config_version 1',
      'waypost_edge_log_writable 1',
      'waypost_edge_log_pending 0',
    ]) {
      assert.ok(body.includes(`${line}\n`), line)
    }
  })
})
