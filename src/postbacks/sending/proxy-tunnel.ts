import { connect, isIPv6, type Socket } from 'node:net'
import { ProxyFailed } from './classify-error.ts'

/** An HTTP proxy that opens tunnels (CONNECT), for installations whose partners know them by one fixed address. */
export type PostbackProxy = {
  readonly host: string
  readonly port: number
  /** Value of Proxy-Authorization; undefined: the proxy asks for none. */
  readonly authorization: string | undefined
}

/** A proxy that does not even take a connection in this time is down. Shorter than the usual deadline of an endpoint, so that its
 * silence is not taken for the receiver's.
 */
const PROXY_CONNECT_MS = 3_000
/** For the proxy to reach the receiver. */
const TUNNEL_MS = 10_000
const ANSWER_BYTES_MAX = 8_192
/** Addresses of one name that are tried. */
const ADDRESSES_MAX = 4

/** The proxy says that it could not reach the receiver: that is the receiver's failure. */
const UNREACHABLE: ReadonlySet<number> = new Set([502, 503, 504])

/** Reads `http://user:password@host:port`. */
export function parseProxy(url: URL): PostbackProxy {
  const { hostname, port, username, password } = url
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 80 : Number(port),
    authorization: username === '' ? undefined : `Basic ${Buffer.from(user).toString('base64')}`,
  }
}

/** Opens a tunnel to the first of the addresses that the proxy reaches. It is told addresses only, never a name, so that what was
 * checked is where the request goes.
 * @param addresses checked ones, at least one
 * @returns the socket, and the address at its other end
 * @throws {ProxyFailed} the proxy is away, refuses, or talks nonsense
 * @throws {Error} with code EHOSTUNREACH: it says that it cannot reach the receiver; ETIMEDOUT: it never says
 */
export async function openTunnel(
  proxy: PostbackProxy,
  addresses: readonly string[],
  port: number,
): Promise<readonly [Socket, string]> {
  let failure: unknown
  for (const address of addresses.slice(0, ADDRESSES_MAX)) {
    try {
      return [await openOne(proxy, isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`), address]
    } catch (error) {
      if (error instanceof ProxyFailed) throw error
      failure = error
    }
  }
  throw failure
}

async function openOne(proxy: PostbackProxy, authority: string): Promise<Socket> {
  const socket = await connectToProxy(proxy)
  try {
    const authorization = proxy.authorization === undefined ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`)
    judge(await readAnswer(socket))
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function connectToProxy({ host, port }: PostbackProxy): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true })
    const fail = (why: string): void => {
      socket.destroy()
      reject(new ProxyFailed(why))
    }
    const timer = setTimeout(fail, PROXY_CONNECT_MS, 'it takes no connection')
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      fail(`no connection to it (${code ?? 'unknown'})`)
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      // Between the tunnel's opening and its use nobody else listens, and an error without a listener ends the process.
      socket.removeAllListeners('error').on('error', () => undefined)
      resolve(socket)
    })
  })
}

/** @returns the head of the answer; what follows it stays in the socket */
function readAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const end = (finish: () => void): void => {
      clearTimeout(timer)
      socket.off('data', take).off('error', fail).off('close', close).pause()
      finish()
    }
    const fail = ({ code }: NodeJS.ErrnoException): void =>
      end(() => reject(new ProxyFailed(`the connection to it broke (${code ?? 'unknown'})`)))
    const close = (): void => end(() => reject(new ProxyFailed('it closed the connection without an answer')))
    const take = (chunk: Buffer): void => {
      chunks.push(chunk)
      const text = Buffer.concat(chunks)
      const length = text.indexOf('\r\n\r\n')
      if (length < 0 && text.length <= ANSWER_BYTES_MAX) return
      if (length < 0) return end(() => reject(new ProxyFailed('its answer is too long')))
      end(() => {
        const rest = text.subarray(length + 4)
        if (rest.length > 0) socket.unshift(rest)
        resolve(text.toString('latin1', 0, length))
      })
    }
    const timer = setTimeout(
      () => end(() => reject(Object.assign(new Error('the proxy opened no tunnel in time'), { code: 'ETIMEDOUT' }))),
      TUNNEL_MS,
    )
    socket.on('data', take).on('error', fail).on('close', close)
  })
}

/** @throws {Error} where the answer is no 2xx */
function judge(head: string): void {
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1])
  if (status >= 200 && status < 300) return
  if (UNREACHABLE.has(status))
    throw Object.assign(new Error(`the proxy answered ${status}: it cannot reach the receiver`), {
      code: 'EHOSTUNREACH',
    })
  throw new ProxyFailed(Number.isNaN(status) ? 'its answer is no HTTP' : `it answered ${status}`)
}
