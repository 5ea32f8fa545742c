/** An open-loop client as a process of its own: requests leave by the clock, not when the answer before has come.
 *
 * Latency counts from the moment at which the request was due, so a stalled server is charged for everything that queued
 * up behind the stall (no coordinated omission). Its own timer's granularity (about 1 ms) and its own work are in the
 * figure too: it can only be too high.
 */
import { connect, type Socket } from 'node:net'
import { percentile } from './statistics.ts'

export type ConstantRateInput = {
  readonly port: number
  /** Requests as bytes of HTTP/1.1, sent round and round. */
  readonly requests: readonly string[]
  readonly requestsPerSecond: number
  readonly seconds: number
  /** Not counted: the server's compiler and caches get warm. */
  readonly warmUpSeconds: number
  readonly connections: number
  /** Every answer must have it; others are errors. */
  readonly status: number
}

export type ConstantRateResult = {
  readonly p50_ms: number
  readonly p99_ms: number
  readonly p999_ms: number
  readonly max_ms: number
  readonly answered: number
  readonly errors: number
  /** Requests a second that really were answered within the measured time. */
  readonly requests_per_second: number
}

const HEADER_END = Buffer.from('\r\n\r\n')
/** After the last request is sent, answers are waited for this long. */
const DRAIN_MS_MAX = 10_000

export async function sendAtConstantRate(input: ConstantRateInput): Promise<ConstantRateResult> {
  const payloads = input.requests.map((text) => Buffer.from(text))
  const total = Math.floor(input.requestsPerSecond * (input.seconds + input.warmUpSeconds))
  const firstCounted = Math.floor(input.requestsPerSecond * input.warmUpSeconds)
  const latencies = new Float64Array(total - firstCounted)
  const idle: Connection[] = []
  let sent = 0
  let answered = 0
  let counted = 0
  let errors = 0
  let startMs = 0
  let finish: () => void = () => undefined

  const dueMs = (index: number): number => startMs + (index * 1000) / input.requestsPerSecond
  const sendDue = (): void => {
    const nowMs = performance.now()
    while (sent < total && idle.length > 0 && dueMs(sent) <= nowMs) {
      idle.pop()!.send(sent, payloads[sent % payloads.length]!)
      sent++
    }
  }
  const onAnswer = (connection: Connection, index: number, status: number): void => {
    answered++
    if (status !== input.status) errors++
    else if (index >= firstCounted) latencies[counted++] = performance.now() - dueMs(index)
    idle.push(connection)
    sendDue()
    if (answered === total) finish()
  }

  const connections = await Promise.all(
    Array.from({ length: input.connections }, () => openConnection(input.port, onAnswer)),
  )
  idle.push(...connections)
  startMs = performance.now()
  const ticks = setInterval(sendDue, 1)
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const deadline = setTimeout(() => finish(), (total / input.requestsPerSecond) * 1000 + DRAIN_MS_MAX)
  await finished
  const tookSeconds = (performance.now() - dueMs(firstCounted)) / 1000
  clearInterval(ticks)
  clearTimeout(deadline)
  for (const connection of connections) connection.close()
  // Without a single good answer every request waited for ever.
  const measured = counted === 0 ? [Number.POSITIVE_INFINITY] : latencies.subarray(0, counted)
  return {
    p50_ms: percentile(measured, 0.5),
    p99_ms: percentile(measured, 0.99),
    p999_ms: percentile(measured, 0.999),
    max_ms: percentile(measured, 1),
    answered,
    errors: errors + (total - answered),
    requests_per_second: counted / tookSeconds,
  }
}

type Connection = { readonly send: (index: number, payload: Buffer) => void; readonly close: () => void }

/** A kept-alive connection with one request at a time. Reads only what it must: the status line and the body's length. */
async function openConnection(
  port: number,
  onAnswer: (connection: Connection, index: number, status: number) => void,
): Promise<Connection> {
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let current = -1
  let pending: Buffer = Buffer.alloc(0)
  const connection: Connection = {
    send: (index, payload) => {
      current = index
      socket.write(payload)
    },
    close: () => socket.destroy(),
  }
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    const size = answerBytes(pending)
    if (size === undefined || pending.length < size) return
    const status = Number(pending.toString('latin1', 9, 12))
    pending = Buffer.alloc(0)
    onAnswer(connection, current, status)
  })
  // A broken connection leaves its request unanswered; unanswered requests are counted as errors at the end.
  socket.on('error', () => socket.destroy())
  return connection
}

function answerBytes(bytes: Buffer): number | undefined {
  const end = bytes.indexOf(HEADER_END)
  if (end < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, end))
  return end + HEADER_END.length + (length === null ? 0 : Number(length[1]))
}

if (process.send !== undefined && import.meta.main) {
  process.once('message', (input: ConstantRateInput) => {
    void sendAtConstantRate(input).then((result) => process.send!(result))
  })
  process.on('disconnect', () => process.exit(0))
}
