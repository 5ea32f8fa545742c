import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** What the proxy does with a CONNECT. */
export type ProxyBehaviour =
  /** Opens a tunnel to this port of loopback, whatever was asked for. */
  | { readonly kind: 'tunnel'; readonly port: number }
  | { readonly kind: 'status'; readonly status: number }
  /** Says this, whatever it is. */
  | { readonly kind: 'say'; readonly text: string }
  /** Takes the connection and is silent. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'hang_up' }

export type TestProxy = {
  readonly url: URL
  /** Heads of the requests as they came. */
  readonly requests: readonly string[]
  /** `host:port` of each CONNECT. */
  readonly targets: () => readonly string[]
  readonly behave: (behaviour: ProxyBehaviour) => void
  readonly close: () => Promise<void>
}

/** A CONNECT proxy on loopback. Nothing that goes through it leaves the machine: it has the test's word for where a tunnel ends. */
export async function startTestProxy(first: ProxyBehaviour): Promise<TestProxy> {
  let behaviour = first
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
  }
  const server = createServer((socket) => {
    keep(socket).once('data', (chunk) => {
      requests.push(chunk.toString('latin1'))
      act(socket, behaviour, keep)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    requests,
    targets: () => requests.map((request) => /^CONNECT (\S+) /.exec(request)?.[1] ?? request),
    behave: (next) => void (behaviour = next),
    close: async () => {
      sockets.forEach((socket) => socket.destroy())
      server.close()
      await once(server, 'close')
    },
  }
}

function act(socket: Socket, behaviour: ProxyBehaviour, keep: (socket: Socket) => Socket): void {
  switch (behaviour.kind) {
    case 'tunnel': {
      const onwards = keep(connect(behaviour.port, '127.0.0.1'))
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(onwards).pipe(socket)
      return
    }
    case 'status':
      return void socket.end(`HTTP/1.1 ${behaviour.status} No\r\nContent-Length: 0\r\n\r\n`)
    case 'say':
      return void socket.end(behaviour.text)
    case 'hang':
      return
    case 'hang_up':
      return void socket.destroy()
    default:
      return behaviour satisfies never
  }
}
