import { once } from 'node:events'
import { createServer as createHttp2, createSecureServer } from 'node:http2'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { gzipSync } from 'node:zlib'
import type { Certificates } from './certificates.ts'

/** What one try at a receiver must come to. */
export type Expectation = {
  /** Undefined: no status was received. */
  readonly status?: number
  /** Class on record; several where it depends on which of two things is noticed first; empty: none. */
  readonly error: readonly string[]
  readonly outcome: 'delivered' | 'retry' | 'gave_up'
  /** Of a retry: bounds of the wait, seconds. */
  readonly waitSeconds?: readonly [number, number]
  /** Of the answer's body at most, as far as it is counted. */
  readonly bytesMax?: number
}

/** A receiver that does one thing wrong, or right. */
export type BadReceiver = Expectation & {
  readonly name: string
  readonly scheme: 'http' | 'https'
  /** Undefined: nobody listens. */
  readonly server: ((trap: string) => Server) | undefined
}

/** First step of the long ladder, 5 s, and of the short one, 5 min; each ±20 %. */
const LONG_STEP = [4, 6] as const
const SHORT_STEP = [240, 360] as const
/** 429 and 503 wait a minute at least, and an hour at most where the receiver asks for more. */
const OVERLOADED = [60, 60] as const
const HOUR = [3_600, 3_600] as const

const HEAD = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = 'transfer-encoding: chunked\r\n\r\n'
const failed = (...error: readonly string[]): Expectation => ({ error, outcome: 'retry', waitSeconds: LONG_STEP })
const delivered = (...error: readonly string[]): Expectation => ({ status: 200, error, outcome: 'delivered' })

/** A status once received counts, whatever happens to the rest: that is why some of these are delivered. */
export function badReceivers(certificates: Certificates): readonly BadReceiver[] {
  const { good, expired, misnamed, selfSigned } = certificates
  return [
    plain('good', (socket) => socket.end(`${HEAD}content-length: 2\r\n\r\nok`), delivered()),
    plain('204', (socket) => socket.end('HTTP/1.1 204 No Content\r\n\r\n'), { ...delivered(), status: 204 }),
    plain('half-close-after-answer', (socket) => socket.end(`${HEAD}connection: close\r\n\r\nuntil the end`), delivered()),
    { name: 'refuse', scheme: 'http', server: undefined, ...failed('connection_refused') },
    plain('reset-in-headers', (socket) => socket.write('HTTP/1.1 200 OK\r\nconte', () => socket.resetAndDestroy()), failed('connection_reset')),
    plain('reset-in-body', (socket) => socket.write(`${HEAD}content-length: 99\r\n\r\nsome`, () => setTimeout(() => socket.resetAndDestroy(), 50)), delivered('body_broken')),
    plain('closes-without-answer', (socket) => socket.destroy(), failed('connection_reset')),
    plain('half-close-without-answer', (socket) => socket.end(), failed('connection_reset')),
    plain('never-answers', () => undefined, failed('timeout')),
    plain('slow-headers', (socket) => drip(socket, `${HEAD}x: ${'y'.repeat(1_000)}`), failed('timeout')),
    plain('slow-body', (socket) => drip(socket, 'a'.repeat(1_000), `${HEAD}content-length: 1000\r\n\r\n`), delivered('body_broken')),
    plain('endless-body', (socket) => flood(socket, `${HEAD}${CHUNKED}`, `4000\r\n${'z'.repeat(0x4000)}\r\n`), { ...delivered('body_too_large'), bytesMax: 262_144 }),
    plain('endless-body-of-500', (socket) => flood(socket, `HTTP/1.1 500 Oh\r\n${CHUNKED}`, `4000\r\n${'z'.repeat(0x4000)}\r\n`), { ...failed('body_too_large'), status: 500, bytesMax: 262_144 }),
    plain('gzip-bomb', (socket) => socket.end(Buffer.concat([Buffer.from(`${HEAD}content-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n`), BOMB])), { ...delivered(), bytesMax: BOMB.length }),
    plain('flood-of-1xx', (socket) => flood(socket, '', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'), failed('protocol_error')),
    plain('unasked-100', (socket) => flood(socket, '', 'HTTP/1.1 100 Continue\r\n\r\n'), failed('timeout', 'protocol_error', 'connection_reset')),
    plain('huge-headers', (socket) => flood(socket, HEAD, `x-${'h'.repeat(1_000)}: ${'v'.repeat(15_000)}\r\n`), failed('protocol_error')),
    plain('bad-chunks', (socket) => socket.write(`${HEAD}${CHUNKED}ZZZZ\r\nnonsense`), delivered('body_broken')),
    plain('no-http', (socket) => socket.write('SSH-2.0-OpenSSH_9.9\r\n'), failed('protocol_error')),
    plain('two-lengths', (socket) => socket.write(`${HEAD}content-length: 5\r\ncontent-length: 7\r\n\r\nhello`), failed('protocol_error')),
    answering('301-to-metadata', 301, ['location: http://169.254.169.254/latest/meta-data/'], { error: ['redirect'], outcome: 'retry', waitSeconds: SHORT_STEP }),
    { ...answering('302-to-a-trap', 302, [], { error: ['redirect'], outcome: 'retry', waitSeconds: SHORT_STEP }), server: (trap) => rawServer((socket) => socket.end(statusLines(302, [`location: ${trap}`]))) },
    answering('400', 400, [], { error: ['http_error'], outcome: 'retry', waitSeconds: SHORT_STEP }),
    answering('410', 410, [], { error: ['http_error'], outcome: 'gave_up' }),
    answering('500', 500, [], failed('http_error')),
    answering('503', 503, [], { ...failed('http_error'), waitSeconds: OVERLOADED }),
    answering('429', 429, [], { ...failed('http_error'), waitSeconds: OVERLOADED }),
    answering('429-in-120-s', 429, ['retry-after: 120'], { ...failed('http_error'), waitSeconds: [120, 120] }),
    answering('429-at-a-date', 429, () => [`retry-after: ${new Date(Date.now() + 300_000).toUTCString()}`], { ...failed('http_error'), waitSeconds: [297, 301] }),
    answering('429-at-a-date-gone-by', 429, ['retry-after: Wed, 21 Oct 2015 07:28:00 GMT'], { ...failed('http_error'), waitSeconds: OVERLOADED }),
    answering('429-in-a-century', 429, ['retry-after: 3155760000'], { ...failed('http_error'), waitSeconds: HOUR }),
    answering('429-in-many-digits', 429, [`retry-after: ${'9'.repeat(400)}`], { ...failed('http_error'), waitSeconds: [60, 3_600] }),
    answering('429-negative', 429, ['retry-after: -5'], { ...failed('http_error'), waitSeconds: OVERLOADED }),
    answering('429-nonsense', 429, ['retry-after: soon'], { ...failed('http_error'), waitSeconds: OVERLOADED }),
    answering('429-twice', 429, ['retry-after: 90', 'retry-after: 90'], { ...failed('http_error'), waitSeconds: [60, 90] }),
    tls('tls-good', good, delivered()),
    tls('tls-expired', expired, failed('tls_error')),
    tls('tls-wrong-host', misnamed, failed('tls_error')),
    tls('tls-self-signed', selfSigned, failed('tls_error')),
    tls('tls-too-old', { ...good, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, failed('tls_error')),
    { name: 'tls-to-plain-http', scheme: 'https', server: () => rawServer((socket) => socket.end(`${HEAD}\r\n`)), ...failed('tls_error', 'connection_reset') },
    { name: 'http2-only-over-tls', scheme: 'https', server: () => createSecureServer({ ...good, allowHTTP1: false }), ...failed('tls_error', 'connection_reset', 'protocol_error') },
    { name: 'http2-only', scheme: 'http', server: () => createHttp2(), ...failed('protocol_error', 'connection_reset') },
  ] // prettier-ignore
}

/** 40 MB of nothing in 40 KB. */
const BOMB = gzipSync(Buffer.alloc(40 << 20))

type Serve = (socket: Socket) => unknown

const plain = (name: string, serve: Serve, expected: Expectation): BadReceiver => ({
  name,
  scheme: 'http',
  server: () => rawServer(serve),
  ...expected,
})

const answering = (
  name: string,
  status: number,
  headers: readonly string[] | (() => readonly string[]),
  expected: Expectation,
): BadReceiver =>
  plain(name, (socket) => socket.end(statusLines(status, typeof headers === 'function' ? headers() : headers)), {
    ...expected,
    status,
  })

const statusLines = (status: number, headers: readonly string[]): string =>
  `${[`HTTP/1.1 ${status} Status`, ...headers, 'content-length: 0'].join('\r\n')}\r\n\r\n`

const tls = (name: string, options: TlsOptions, expected: Expectation): BadReceiver => ({
  name,
  scheme: 'https',
  server: () =>
    createTlsServer(options, (socket) => onRequest(socket, () => socket.end(`${HEAD}content-length: 2\r\n\r\nok`))),
  ...expected,
})

const rawServer = (serve: Serve): Server =>
  createServer({ allowHalfOpen: true }, (socket) => onRequest(socket, () => serve(socket)))

/** Once a request has begun to come in. */
function onRequest(socket: Socket, serve: () => unknown): void {
  // Senders break off what takes too long: that is what is being tried.
  socket.on('error', () => undefined)
  socket.once('data', serve)
}

/** One byte each tenth of a second. */
function drip(socket: Socket, text: string, first = ''): void {
  socket.write(first)
  let position = 0
  const timer = setInterval(() => {
    if (socket.destroyed || position === text.length) return clearInterval(timer)
    socket.write(text[position]!)
    position += 1
  }, 100)
  socket.on('close', () => clearInterval(timer))
}

/** The same again and again, as fast as it is taken. */
function flood(socket: Socket, first: string, again: string): void {
  if (first !== '') socket.write(first)
  const more = (): void => {
    while (!socket.destroyed && socket.write(again));
  }
  // Not at once: as long as the kernel takes everything, nobody else would get a turn.
  socket.on('drain', () => setImmediate(more))
  more()
}

export type OpenReceiver = { readonly url: string; readonly close: () => void }

/** @param trap an address that nobody may be led to */
export async function openBadReceiver(
  { scheme, server }: BadReceiver,
  host: string,
  trap: string,
): Promise<OpenReceiver> {
  const listening = server?.(trap) ?? createServer()
  const sockets = new Set<Socket>()
  listening.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  // A handshake that fails is what some of these are for.
  listening.on('tlsClientError', () => undefined)
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  if (server === undefined) listening.close()
  return {
    url: `${scheme}://${host}:${port}/`,
    close: () => {
      for (const socket of sockets) socket.destroy()
      listening.close()
    },
  }
}
