import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { createSender, type Exchange } from './send-request.ts'
import { Target } from './target.ts'

type Receiver = {
  readonly origin: string
  /** Connections that are open. */
  readonly open: ReadonlySet<Socket>
  /** Of each request the connection that it came over, the first that there was being 1. */
  readonly cameOver: number[]
}

async function startReceiver(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Receiver> {
  const open = new Set<Socket>()
  const numbers = new Map<Socket, number>()
  const cameOver: number[] = []
  const server = createServer((request, response) => {
    cameOver.push(numbers.get(request.socket)!)
    answer(request, response)
  })
  server.on('connection', (socket) => {
    numbers.set(socket, numbers.size + 1)
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, open, cameOver }
}

/** What is closed here is seen there a moment later. */
async function untilOpen(receiver: Receiver, count: number): Promise<void> {
  const deadline = AbortSignal.timeout(2_000)
  while (receiver.open.size !== count && !deadline.aborted) await delay(2)
  assert.equal(receiver.open.size, count, 'connections that are open')
}

function openSender(t: TestContext, options: { readonly connectionAgeMsMax?: number } = {}) {
  const sender = createSender({ resolveHost: () => Promise.resolve(['127.0.0.1']), ...options })
  t.after(() => sender.close())
  const post = (url: string, timeoutMs = 5_000): Promise<Exchange> =>
    sender.send({
      ...{ target: new Target(url), method: 'POST', headers: {}, body: '{}', timeoutMs },
      ...{ allowsPrivate: true, viaProxy: false },
    })
  return { sender, post }
}

test('of several open connections the one used last is used next, so that the others can end', async (t) => {
  const receiver = await startReceiver(t, (_, response) => setTimeout(() => response.end('ok'), 20))
  const { post } = openSender(t)
  const together = await Promise.all(Array.from({ length: 4 }, () => post(receiver.origin)))
  assert.deepEqual(new Set(together.map(({ isReused }) => isReused)), new Set([false]))
  assert.equal(receiver.open.size, 4)
  for (let count = 0; count < 6; count += 1) assert.equal((await post(receiver.origin)).isReused, true)
  const [used, ...others] = new Set(receiver.cameOver.slice(4))
  assert.ok(used !== undefined)
  assert.deepEqual(others, [])
})

test('a connection that the receiver closed while it was idle is forgotten, and another is opened', async (t) => {
  const receiver = await startReceiver(t, (_, response) => response.end('ok'))
  const { post } = openSender(t)
  await post(receiver.origin)
  for (const socket of receiver.open) socket.destroy()
  await untilOpen(receiver, 0)
  // The sender hears of it in a turn of its own.
  await delay(20)
  const after = await post(receiver.origin)
  assert.equal(after.status, 200)
  assert.equal(after.isReused, false)
  assert.ok(after.connectMs !== undefined)
  assert.deepEqual(receiver.cameOver, [1, 2])
})

test('an idle connection is kept for four seconds, whatever the receiver hints at', async (t) => {
  const receiver = await startReceiver(t, (_, response) => {
    response.setHeader('keep-alive', 'timeout=60')
    response.end('ok')
  })
  const { post } = openSender(t)
  await post(receiver.origin)
  await delay(3_500)
  await untilOpen(receiver, 0)
})

test('what comes after a deadline does not come over the connection whose answer was not waited for', async (t) => {
  let isSlow = true
  const receiver = await startReceiver(t, (_, response) => {
    if (isSlow) return
    response.end('ok')
  })
  const { post } = openSender(t)
  assert.equal((await post(receiver.origin, 100)).error, 'timeout')
  isSlow = false
  const after = await post(receiver.origin)
  assert.equal(after.status, 200)
  assert.equal(after.isReused, false)
  // The one that was broken off is closed.
  await untilOpen(receiver, 1)
})

test('a connection that is too old is closed instead of used', async (t) => {
  const receiver = await startReceiver(t, (_, response) => response.end('ok'))
  const { post } = openSender(t, { connectionAgeMsMax: 100 })
  await post(receiver.origin)
  assert.equal((await post(receiver.origin)).isReused, true)
  await delay(150)
  assert.equal((await post(receiver.origin)).isReused, false)
  await untilOpen(receiver, 1)
})

test('who may reach other addresses does not share connections', async (t) => {
  const receiver = await startReceiver(t, (_, response) => response.end('ok'))
  const { sender } = openSender(t)
  const target = new Target(receiver.origin)
  const request = { target, method: 'POST', headers: {}, body: '{}', timeoutMs: 5_000, viaProxy: false } as const
  const allow = { addresses: ['127.0.0.0/8'] }
  await sender.send({ ...request, allowsPrivate: true })
  const ofList = await sender.send({ ...request, allowsPrivate: true, allow })
  assert.equal(ofList.status, 200)
  assert.equal(ofList.isReused, false)
  assert.deepEqual(receiver.cameOver, [1, 2])
})

test('of more than a thousand kinds of connections the oldest goes', async (t) => {
  const receiver = await startReceiver(t, (_, response) => response.end('ok'))
  const { sender } = openSender(t)
  const target = new Target(receiver.origin)
  const request = { target, method: 'POST', headers: {}, body: '{}', timeoutMs: 5_000, viaProxy: false } as const
  const post = (kind: number): Promise<Exchange> => {
    const addresses = ['127.0.0.0/8', `10.0.${kind >> 8}.${kind & 255}/32`]
    return sender.send({ ...request, allowsPrivate: true, allow: { addresses } })
  }
  // No more at once than the receiver's backlog takes.
  for (let kind = 0; kind < 1_000; kind += 200)
    await Promise.all(Array.from({ length: 200 }, (_, index) => post(kind + index)))
  const [first, second] = receiver.open
  assert.equal(receiver.open.size, 1_000)
  await post(1_000)
  await untilOpen(receiver, 1_000)
  assert.ok(!receiver.open.has(first!), 'the oldest is closed')
  assert.ok(receiver.open.has(second!), 'the next is kept')
})

test('a sender that is closed leaves nothing open', async (t) => {
  const receiver = await startReceiver(t, (request, response) => {
    if (request.url === '/slow') return
    response.end('ok')
  })
  const { sender, post } = openSender(t)
  await post(receiver.origin)
  const slow = post(`${receiver.origin}/slow`)
  await untilOpen(receiver, 1)
  const other = post(`${receiver.origin}/slow`)
  await untilOpen(receiver, 2)
  sender.interrupt()
  await sender.close()
  assert.deepEqual([(await slow).error, (await other).error], ['interrupted', 'interrupted'])
  await untilOpen(receiver, 0)
})
