/** The receiver of the delivery rows as a process of its own: takes every POST, answers 200 and keeps books. A path under HANGING_PATH
 * is never answered.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { answerParent, startAnswering, type AnsweringProcess } from './answering-process.ts'
import { Arrivals, type ArrivalReport } from './arrivals.ts'
import type { Certificate } from './certificate.ts'
import { numberOf } from './message.ts'
import { monotonicMs } from './monotonic-clock.ts'

/** Under it nothing is ever answered. */
export const HANGING_PATH = '/hanging'

export type ReceiverInput = {
  /** Ports to listen on: each is an origin of its own for the clients. */
  readonly origins: number
  readonly certificate: Certificate | undefined
}

export type Receiver = {
  /** Addresses without a path. */
  readonly origins: readonly string[]
  readonly report: () => Promise<ArrivalReport & { readonly processorMicros: number }>
  readonly firstArrivals: (from: number, to: number) => Promise<Float64Array>
  readonly forget: () => Promise<void>
  readonly stop: () => Promise<void>
}

const arrivals = new Arrivals()

const receive: RequestListener = (request, response) => {
  const at = monotonicMs()
  let message: Buffer | undefined
  request.on('data', (chunk: Buffer) => (message = message === undefined ? chunk : Buffer.concat([message, chunk])))
  request.on('end', () => answer(request, response, message, at))
}

function answer(request: IncomingMessage, response: ServerResponse, message: Buffer | undefined, at: number): void {
  // What hangs is no part of the books: it is what the others are compared without.
  if (request.url!.startsWith(HANGING_PATH)) return
  arrivals.note(message === undefined ? undefined : numberOf(message), at)
  response.writeHead(200, { 'content-length': 2 })
  response.end('ok')
}

async function listen({ origins, certificate }: ReceiverInput): Promise<readonly string[]> {
  const scheme = certificate === undefined ? 'http' : 'https'
  const ports = await Promise.all(Array.from({ length: origins }, () => listenOnce(createOne(certificate))))
  return ports.map((port) => `${scheme}://127.0.0.1:${port}`)
}

function createOne(certificate: Certificate | undefined): Server {
  // Idle connections stay open for longer than any pause of the bench: it measures deliveries, not handshakes.
  const keepAlive = { keepAliveTimeout: 120_000, requestTimeout: 0 }
  if (certificate === undefined) return createServer(keepAlive, receive)
  const files = { key: readFileSync(certificate.keyFile), cert: readFileSync(certificate.certificateFile) }
  return createTlsServer({ ...keepAlive, ...files }, receive)
}

async function listenOnce(server: Server): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

let processorBefore = process.cpuUsage()

const answers = {
  listen,
  report: () => {
    const { user, system } = process.cpuUsage(processorBefore)
    return { ...arrivals.report(), processorMicros: user + system }
  },
  firstArrivals: ({ from, to }: { readonly from: number; readonly to: number }) => arrivals.firstArrivals(from, to),
  forget: () => {
    arrivals.forget()
    processorBefore = process.cpuUsage()
  },
}

if (process.send !== undefined && import.meta.main) answerParent(answers)

/** Starts a receiver process and lets it listen. */
export async function startReceiver(input: ReceiverInput): Promise<Receiver> {
  const receiver: AnsweringProcess<typeof answers> = startAnswering<typeof answers>(new URL(import.meta.url))
  const origins = await receiver.ask('listen', input)
  return {
    origins,
    report: () => receiver.ask('report'),
    firstArrivals: (from, to) => receiver.ask('firstArrivals', { from, to }),
    forget: () => receiver.ask('forget'),
    stop: receiver.stop,
  }
}
