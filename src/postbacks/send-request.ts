import { subscribe } from 'node:diagnostics_channel'
import type { LookupFunction, Socket } from 'node:net'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { checkDestination, isAllowedAddress } from './check-destination.ts'
import { classifyError, DestinationRefused } from './classify-error.ts'
import type { AttemptResult } from './decide-outcome.ts'
import type { AttemptError } from './reasons.ts'
import type { ResolveHost } from './resolve-host.ts'

/** A longer answer is cut off: a receiver that never stops talking must not hold memory or a slot. */
export const RESPONSE_BYTES_MAX = 65_536
/** What is kept of an answer for people to read. */
export const RESPONSE_HEAD_BYTES = 2_048
/** No handshake takes longer; the endpoint's deadline usually comes first. */
const CONNECT_TIMEOUT_MS = 10_000
/** An idle connection is kept this long; most servers close theirs after 5 s or more. */
const KEEP_ALIVE_MS = 4_000
/** A connection is pinned to the address that was checked when it opened; after this it is opened, and checked, again. */
const CONNECTION_AGE_MS_MAX = 5 * 60_000
const RESPONSE_HEADER_BYTES_MAX = 16_384
/** A receiver that never comes to its answer would keep the process at reading its announcements, and everybody else waiting. */
const INFORMATIONAL_MAX = 16

export type OutgoingRequest = {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** For the whole attempt: name, connection, TLS, request and answer. */
  readonly timeoutMs: number
  readonly allowsPrivate: boolean
}

/** What was seen of one try. */
export type Exchange = {
  readonly result: AttemptResult
  readonly status: number | undefined
  readonly error: AttemptError | undefined
  readonly errorDetail: string | undefined
  readonly firstByteMs: number | undefined
  readonly totalMs: number
  readonly remoteAddress: string | undefined
  readonly responseHead: Buffer
  readonly responseBytes: number
}

export type Sender = {
  /** Sends once; never rejects. Redirects are not followed. */
  readonly send: (request: OutgoingRequest) => Promise<Exchange>
  /** Breaks off what is under way; those attempts end as `interrupted`. */
  readonly interrupt: () => void
  readonly close: () => Promise<void>
}

/** A sender with its own connections. Endpoints that may be private have connections of their own: a kept connection to a
 * private address must never serve an endpoint that may not go there.
 */
export function createSender(options: { readonly resolveHost: ResolveHost }): Sender {
  const publicAgent = createAgent(options.resolveHost, false)
  const privateAgent = createAgent(options.resolveHost, true)
  const underWay = new Set<Try>()
  return {
    send: (request) => {
      const wrong = checkDestination(request.url, request.allowsPrivate)
      if (wrong !== undefined) return Promise.resolve(refusedExchange(wrong))
      return sendOnce(request.allowsPrivate ? privateAgent : publicAgent, request, underWay)
    },
    interrupt: () => underWay.forEach((exchange) => exchange.interrupt()),
    close: async () => void (await Promise.all([publicAgent.destroy(), privateAgent.destroy()])),
  }
}

function createAgent(resolveHost: ResolveHost, allowsPrivate: boolean): Agent {
  return new Agent({
    connect: guardedConnector(resolveHost, allowsPrivate),
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    clientTtl: CONNECTION_AGE_MS_MAX,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    // One deadline per attempt covers both.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
}

/** Opens connections to checked addresses only. The addresses that were checked are those that are connected to, so a name
 * server that answers differently a moment later gains nothing; the socket's own address is checked once more.
 */
function guardedConnector(resolveHost: ResolveHost, allowsPrivate: boolean): buildConnector.connector {
  const connect = buildConnector({
    allowH2: false,
    timeout: CONNECT_TIMEOUT_MS,
    minVersion: 'TLSv1.2',
    lookup: checkedLookup(resolveHost, allowsPrivate),
  })
  return (target, callback) => {
    connect(target, (...outcome) => {
      const [error, socket] = outcome
      if (error !== null) return callback(error, null)
      if (isAllowedAddress(socket.remoteAddress ?? '', allowsPrivate)) return callback(null, socket)
      socket.destroy()
      callback(new DestinationRefused(socket.remoteAddress ?? 'unknown'), null)
    })
  }
}

/** Gives all addresses of a name, or none where a single one is not allowed: a mixed answer is an attack or a mistake. */
function checkedLookup(resolveHost: ResolveHost, allowsPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolveHost(hostname).then(
      (addresses) => {
        const refused = addresses.find((address) => !isAllowedAddress(address, allowsPrivate))
        if (refused !== undefined) return callback(new DestinationRefused(refused), '')
        const records = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
        const [first] = records
        if (first === undefined) return callback(Object.assign(new Error('no address'), { code: 'ENODATA' }), '')
        if (options.all === true) return callback(null, records)
        callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    )
  }
}

/** undici writes a request's head right after onRequestStart, in the same turn: whoever started last hears on which socket. */
let onHeadWritten: ((address: string | undefined) => void) | undefined
subscribe('undici:client:sendHeaders', (message) => {
  onHeadWritten?.((message as { socket: Socket }).socket.remoteAddress)
  onHeadWritten = undefined
})

function sendOnce(agent: Agent, request: OutgoingRequest, underWay: Set<Try>): Promise<Exchange> {
  const { url, method, headers, body } = request
  return new Promise((resolve) => {
    const exchange = new Try(request.timeoutMs, (seen) => {
      underWay.delete(exchange)
      resolve(seen)
    })
    underWay.add(exchange)
    const path = url.pathname + url.search
    agent.dispatch({ origin: url.origin, path, method, headers, body: body ?? null }, exchange)
  })
}

/** A try that was not made. */
export const refusedExchange = (detail: string): Exchange => ({
  result: { kind: 'failed', error: 'destination_refused' },
  status: undefined,
  error: 'destination_refused',
  errorDetail: detail,
  firstByteMs: undefined,
  totalMs: 0,
  remoteAddress: undefined,
  responseHead: Buffer.alloc(0),
  responseBytes: 0,
})

/** One request and what comes back. It ends once: by the answer's end, an error, the deadline, or too long an answer. */
class Try implements Dispatcher.DispatchHandler {
  readonly #startedAt = performance.now()
  readonly #deadline: NodeJS.Timeout
  readonly #settle: (exchange: Exchange) => void
  #isSettled = false
  #controller: Dispatcher.DispatchController | undefined
  #status: number | undefined
  #retryAfter: string | undefined
  #firstByteMs: number | undefined
  #remoteAddress: string | undefined
  #head: Buffer[] = []
  #bytes = 0
  #informational = 0

  constructor(timeoutMs: number, settle: (exchange: Exchange) => void) {
    this.#settle = settle
    this.#deadline = setTimeout(() => this.#breakOff('timeout'), timeoutMs)
  }

  interrupt(): void {
    this.#breakOff('interrupted')
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // The deadline passed while the connection was being made: the request must not go out any more.
    if (this.#isSettled) return controller.abort(new Error('deadline'))
    this.#controller = controller
    onHeadWritten = (address) => void (this.#remoteAddress = address)
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
    if (status < 200) return this.#countInformational()
    this.#status = status
    this.#firstByteMs = this.#elapsedMs()
    const retryAfter = headers['retry-after']
    this.#retryAfter = typeof retryAfter === 'string' ? retryAfter : undefined
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const kept = Math.min(this.#bytes, RESPONSE_HEAD_BYTES)
    if (kept < RESPONSE_HEAD_BYTES) this.#head.push(Buffer.from(chunk.subarray(0, RESPONSE_HEAD_BYTES - kept)))
    this.#bytes += chunk.length
    if (this.#bytes > RESPONSE_BYTES_MAX) this.#breakOff('body_too_large')
  }

  onResponseEnd(): void {
    this.#end(undefined, undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#end(classifyError(error), error.message)
  }

  #countInformational(): void {
    this.#informational += 1
    if (this.#informational > INFORMATIONAL_MAX) this.#breakOff('protocol_error')
  }

  #elapsedMs(): number {
    return Math.round(performance.now() - this.#startedAt)
  }

  #breakOff(error: AttemptError): void {
    this.#end(error, undefined)
    this.#controller?.abort(new Error(error))
  }

  #end(error: AttemptError | undefined, detail: string | undefined): void {
    if (this.#isSettled) return
    this.#isSettled = true
    clearTimeout(this.#deadline)
    this.#settle({
      result: this.#result(error),
      status: this.#status,
      error: this.#errorOnRecord(error),
      errorDetail: detail,
      firstByteMs: this.#firstByteMs,
      totalMs: this.#elapsedMs(),
      remoteAddress: this.#remoteAddress,
      responseHead: Buffer.concat(this.#head),
      responseBytes: this.#bytes,
    })
  }

  /** A status once received counts, whatever happens to the rest: the receiver has taken the message, or said that it has not. */
  #result(error: AttemptError | undefined): AttemptResult {
    if (this.#status !== undefined) return { kind: 'answered', status: this.#status, retryAfter: this.#retryAfter }
    return { kind: 'failed', error: error ?? 'protocol_error' }
  }

  #errorOnRecord(error: AttemptError | undefined): AttemptError | undefined {
    if (this.#status === undefined) return error ?? 'protocol_error'
    if (error !== undefined) return error === 'body_too_large' ? error : 'body_broken'
    if (this.#status < 300) return undefined
    return this.#status < 400 ? 'redirect' : 'http_error'
  }
}
