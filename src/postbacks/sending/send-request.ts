import type { Dispatcher } from 'undici'
import type { PostbackAllow } from '#routing'
import { textOf } from './answer-text.ts'
import { allowsHost } from './allow-list.ts'
import { checkRequest } from './check-request.ts'
import { classifyError } from './classify-error.ts'
import { createConnections, type Connection, type ConnectionOptions, type Lane } from './connections.ts'
import type { AttemptResult } from './decide-outcome.ts'
import { headersForPeople } from './headers-for-people.ts'
import type { AttemptError } from '../reasons.ts'
import type { Target } from './target.ts'

/** A longer answer is cut off: a receiver that never stops talking must not hold memory or a slot. What `success` of an endpoint
 * asks of the body is asked of this part.
 */
export const RESPONSE_BYTES_MAX = 65_536
/** What is kept of an answer for people to read. */
export const RESPONSE_HEAD_BYTES = 2_048
/** A deadline is met so much too late at most. */
const DEADLINE_STEP_MS = 20
/** A receiver that never comes to its answer would keep the process at reading its announcements, and everybody else waiting. */
const INFORMATIONAL_MAX = 16

export type OutgoingRequest = {
  readonly target: Target
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** For the whole attempt: name, connection, TLS, request and answer. */
  readonly timeoutMs: number
  readonly allowsPrivate: boolean
  /** Whether the body of the answer is judged: then all that is read of it is in the result. */
  readonly isBodyJudged?: boolean
  /** The advertiser's list of places; undefined: it has none. */
  readonly allow?: PostbackAllow | undefined
  /** Undefined: through the proxy where there is one. */
  readonly viaProxy?: boolean | undefined
  /** It must not be written a second time, also not by a client that opens another connection for it. */
  readonly isOnce?: boolean | undefined
}

/** What was seen of one try. */
export type Exchange = {
  readonly result: AttemptResult
  /** The receiver may have seen it: its head was given to a connection. */
  readonly wasSent: boolean
  readonly status: number | undefined
  readonly error: AttemptError | undefined
  readonly errorDetail: string | undefined
  /** Times of the opening of the connection, milliseconds; undefined: it was open already, or was never opened. */
  readonly dnsMs?: number | undefined
  readonly connectMs?: number | undefined
  readonly tlsMs?: number | undefined
  readonly tlsVersion?: string | undefined
  /** The connection had carried a request before; undefined: there was none. */
  readonly isReused?: boolean | undefined
  readonly firstByteMs: number | undefined
  readonly totalMs: number
  readonly remoteAddress: string | undefined
  /** Of an answer that is no success: its headers, masked, 2 KiB at most. */
  readonly responseHeaders?: string | undefined
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

/** A sender with its own connections. What may not be sent is refused before anything is looked up. */
export function createSender(options: ConnectionOptions): Sender {
  const connections = createConnections(options)
  const underWay = new UnderWay()
  return {
    send: (request) => {
      const { target, allowsPrivate, allow, viaProxy } = request
      const wrong =
        target.wrongFor(allowsPrivate) ?? (allow && !allowsHost(allow, target.url) ? 'not_allowed' : undefined)
      if (wrong !== undefined) return Promise.resolve(unsentExchange('destination_refused', wrong))
      const invalid = checkRequest(target.path, request.headers)
      if (invalid !== undefined) return Promise.resolve(unsentExchange('request_invalid', invalid))
      const isProxied = viaProxy ?? options.proxy !== undefined
      const reach = { allowsPrivate, addresses: allow?.addresses, isProxied }
      return new Promise((resolve) => {
        const lane = connections.take(reach, target.origin, performance.now())
        const one = new Try(request, lane, (seen, isWhole) => {
          underWay.delete(one)
          connections.giveBack(lane, isWhole)
          resolve(seen)
        })
        underWay.add(one)
        const { method, headers, body = null } = request
        lane.client.dispatch({ path: target.path, method, headers, body }, one)
      })
    },
    interrupt: () => underWay.interrupt(),
    close: connections.close,
  }
}

/** Requests under way. In a Set the table of every moment is kept by the one before it (V8 lets iterators go on from an old table to the
 * new one), so that what has once grown old keeps each request and all that hangs on it from being collected young.
 */
class UnderWay {
  readonly #tries: Try[] = []
  #looking: NodeJS.Timeout | undefined

  add(one: Try): void {
    one.place = this.#tries.length
    this.#tries.push(one)
    this.#looking ??= setInterval(() => this.#endLate(), DEADLINE_STEP_MS)
  }

  delete({ place }: Try): void {
    const last = this.#tries.pop()!
    if (place === this.#tries.length) return
    this.#tries[place] = last
    last.place = place
  }

  interrupt(): void {
    for (const one of [...this.#tries]) one.interrupt()
  }

  /** One timer for all: one for each would cost more than the deadline is worth, which hardly any of them meets. */
  #endLate(): void {
    if (this.#tries.length === 0) {
      clearInterval(this.#looking)
      this.#looking = undefined
    }
    const now = performance.now()
    for (const one of this.#tries.filter(({ deadline }) => deadline <= now)) one.expire()
  }
}

/** A try that was not made. */
export const unsentExchange = (error: 'destination_refused' | 'request_invalid', detail: string): Exchange => ({
  result: { kind: 'failed', error },
  wasSent: false,
  status: undefined,
  error,
  errorDetail: detail,
  firstByteMs: undefined,
  totalMs: 0,
  remoteAddress: undefined,
  responseHead: Buffer.alloc(0),
  responseBytes: 0,
})

/** One request and what comes back. It ends once: by the answer's end, an error, the deadline, or too long an answer. */
class Try implements Dispatcher.DispatchHandler {
  /** Among those under way. */
  place = 0
  readonly #startedAt = performance.now()
  /** On performance.now(). */
  readonly deadline: number
  readonly #lane: Lane
  readonly #settle: (exchange: Exchange, isWhole: boolean) => void
  #isSettled = false
  #controller: Dispatcher.DispatchController | undefined
  #status: number | undefined
  #retryAfter: string | readonly string[] | undefined
  #isAborted = false
  #encoding: string | readonly string[] | undefined
  #firstByteMs: number | undefined
  #kept: Buffer[] = []
  readonly #keptMax: number
  readonly #isOnce: boolean
  #connection: Connection | undefined
  #isReused: boolean | undefined
  #responseHeaders: string | undefined
  #bytes = 0
  #informational = 0

  constructor(
    { timeoutMs, isBodyJudged = false, isOnce = false }: OutgoingRequest,
    lane: Lane,
    settle: (exchange: Exchange, isWhole: boolean) => void,
  ) {
    this.#lane = lane
    this.#settle = settle
    this.#isOnce = isOnce
    this.#keptMax = isBodyJudged ? RESPONSE_BYTES_MAX : RESPONSE_HEAD_BYTES
    this.deadline = this.#startedAt + timeoutMs
  }

  interrupt(): void {
    this.#breakOff('interrupted')
  }

  expire(): void {
    this.#breakOff('timeout')
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // The deadline passed while the connection was being made: the request must not go out any more.
    if (this.#isSettled) return controller.abort(new Error('deadline'))
    if (this.#isOnce && this.#controller !== undefined) return controller.abort(new Error('sent before'))
    this.#controller = controller
    this.#connection = this.#lane.connection
    this.#isReused = this.#lane.countRequest() > 1
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
    if (status < 200) return this.#countInformational()
    this.#status = status
    this.#firstByteMs = this.#elapsedMs()
    this.#retryAfter = headers['retry-after'] as string | readonly string[] | undefined
    this.#isAborted = [headers['webhook-delivery']].flat().includes('abort-message')
    this.#encoding = headers['content-encoding'] as string | readonly string[] | undefined
    if (status >= 300) this.#responseHeaders = headersForPeople(headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const kept = Math.min(this.#bytes, this.#keptMax)
    const room = this.#keptMax - kept
    if (room > 0) this.#kept.push(Buffer.from(chunk.length <= room ? chunk : chunk.subarray(0, room)))
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
    const body = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
    const connection = this.#connection
    const opened = this.#isReused === false ? connection : undefined
    const seen: Exchange = {
      result: this.#result(error, body),
      wasSent: this.#controller !== undefined,
      status: this.#status,
      error: this.#errorOnRecord(error),
      errorDetail: detail,
      firstByteMs: this.#firstByteMs,
      totalMs: this.#elapsedMs(),
      dnsMs: opened?.dnsMs,
      connectMs: opened?.connectMs,
      tlsMs: opened?.tlsMs,
      tlsVersion: connection?.tlsVersion,
      isReused: this.#isReused,
      remoteAddress: connection?.remoteAddress,
      responseHeaders: this.#responseHeaders,
      responseHead: body.length <= RESPONSE_HEAD_BYTES ? body : body.subarray(0, RESPONSE_HEAD_BYTES),
      responseBytes: this.#bytes,
    }
    this.#settle(seen, error === undefined)
  }

  /** A status once received counts, whatever happens to the rest: the receiver has taken the message, or said that it has not. */
  #result(error: AttemptError | undefined, body: Buffer): AttemptResult {
    if (this.#status === undefined) return { kind: 'failed', error: error ?? 'protocol_error' }
    const answered = {
      kind: 'answered',
      status: this.#status,
      retryAfter: this.#retryAfter,
      isAborted: this.#isAborted,
      isBodyWhole: error === undefined || error === 'body_too_large',
    } as const
    if (this.#keptMax !== RESPONSE_BYTES_MAX) return answered
    const text = textOf(body, this.#encoding, RESPONSE_BYTES_MAX)
    return text === undefined ? { ...answered, isBodyWhole: false } : { ...answered, body: text }
  }

  #errorOnRecord(error: AttemptError | undefined): AttemptError | undefined {
    if (this.#status === undefined) return error ?? 'protocol_error'
    if (error !== undefined) return error === 'body_too_large' ? error : 'body_broken'
    if (this.#status < 300) return undefined
    return this.#status < 400 ? 'redirect' : 'http_error'
  }
}
