import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { startTcpProxy } from './tcp-proxy.ts'

async function startGreeter(t: TestContext, greeting: string): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.write(greeting)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A reset counts as an end like any other; `once` of node:events would throw it. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', () => resolve())))

const greet = async (port: number): Promise<{ text: string; socket: Socket }> => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy())
  const [chunk] = (await Promise.race([once(socket, 'data').catch(() => ['']), closed(socket).then(() => [''])])) as [
    Buffer | string,
  ]
  // A socket that nobody reads does not notice its end.
  return { text: chunk.toString(), socket: socket.resume() }
}

test('a proxy cuts what is open, refuses what is new, and leads elsewhere afterwards', async (t) => {
  const proxy = await startTcpProxy(await startGreeter(t, 'first'))
  const { text, socket } = await greet(proxy.port)
  assert.equal(text, 'first')
  proxy.cut()
  await closed(socket)
  assert.equal((await greet(proxy.port)).text, '')
  proxy.setTarget(await startGreeter(t, 'second'))
  proxy.restore()
  const again = await greet(proxy.port)
  assert.equal(again.text, 'second')
  await proxy.stop()
  await closed(again.socket)
})
