import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, fdatasync, openSync, writeSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { epochMs } from './latencies.ts'

/** A request as it came in; kept in memory and, before it is answered, on the disk. */
export type Arrival = {
  readonly endpointId: string
  readonly webhookId: string
  readonly txid: string
  /** Loopback address that it came in at: which life of a worker sent it. */
  readonly address: string
  /** Milliseconds since the epoch, with fractions. */
  readonly at: number
  readonly isSigned: boolean
  /** Undefined while it is not answered. */
  status: number | undefined
  /** When it was answered, as `at`; undefined: not yet. */
  answeredAt: number | undefined
}

export type Answer = { readonly status: number; readonly delayMs?: number }

export type JournalReceiver = {
  readonly port: number
  readonly arrivals: readonly Arrival[]
  /** Listens at another loopback address, on the same port. */
  readonly listenAt: (address: string) => Promise<void>
  readonly stop: () => Promise<void>
}

export type ReceiverOptions = {
  readonly journalFile: string
  /** `whsec_…` */
  readonly secret: string
  /** What to answer: at once, after a while, or whenever the promise resolves. */
  readonly answer: (arrival: Arrival, nth: number) => Answer | Promise<Answer>
}

/** A partner's server that believes nothing but its own journal. Endpoints are told apart by their path, `/e/<endpoint_id>`. */
export async function startJournalReceiver(options: ReceiverOptions): Promise<JournalReceiver> {
  const key = Buffer.from(options.secret.slice('whsec_'.length), 'base64')
  const journal = openFlushedFile(options.journalFile)
  const arrivals: Arrival[] = []
  const counts = new Map<string, number>()
  const servers: Server[] = []

  const receive = async (request: IncomingMessage, body: Buffer): Promise<Answer> => {
    const arrival = arrivalOf(request, body, key)
    arrivals.push(arrival)
    const identity = `${arrival.endpointId} ${arrival.webhookId}`
    const nth = (counts.get(identity) ?? 0) + 1
    counts.set(identity, nth)
    await journal.write(JSON.stringify(arrival))
    const answer = await options.answer(arrival, nth)
    if (answer.delayMs !== undefined) await new Promise((done) => setTimeout(done, answer.delayMs))
    arrival.status = answer.status
    arrival.answeredAt = epochMs()
    return answer
  }
  const listenAt = async (address: string, port: number): Promise<number> => {
    const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      // A sender that dies within its request has not delivered it.
      request.on('error', () => undefined)
      request.on('end', () => {
        void receive(request, Buffer.concat(chunks)).then(({ status }) => {
          response.writeHead(status, { 'content-length': 0 }).end()
        })
      })
    })
    servers.push(server)
    server.listen({ host: address, port, backlog: 1_024 })
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const port = await listenAt('127.0.0.1', 0)
  return {
    port,
    arrivals,
    listenAt: async (address) => void (await listenAt(address, port)),
    stop: async () => {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
      await journal.close()
    },
  }
}

function arrivalOf(request: IncomingMessage, body: Buffer, key: Buffer): Arrival {
  const message = JSON.parse(body.toString()) as { readonly txid: string }
  return {
    endpointId: request.url!.replace('/e/', ''),
    webhookId: String(request.headers['webhook-id']),
    txid: message.txid,
    address: request.socket.localAddress ?? '',
    at: epochMs(),
    isSigned: isSigned(request, body, key),
    status: undefined,
    answeredAt: undefined,
  }
}

/** As a stranger would check it from the public specification, but for the time: clocks are one of the faults.
 * @see Standard Webhooks, "Signature scheme"
 */
function isSigned({ headers }: IncomingMessage, body: Buffer, key: Buffer): boolean {
  const content = Buffer.concat([
    Buffer.from(`${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.`),
    body,
  ])
  const expected = Buffer.from(`v1,${createHmac('sha256', key).update(content).digest('base64')}`)
  return String(headers['webhook-signature'])
    .split(' ')
    .map((one) => Buffer.from(one))
    .some((one) => one.length === expected.length && timingSafeEqual(one, expected))
}

type FlushedFile = { readonly write: (line: string) => Promise<void>; readonly close: () => Promise<void> }

/** Lines that are on the disk when `write` resolves; those that come during a flush share the next one. */
function openFlushedFile(file: string): FlushedFile {
  const descriptor = openSync(file, 'a', 0o600)
  const flush = promisify(fdatasync)
  let waiting: (() => void)[] = []
  let flushing: Promise<void> | undefined
  const flushWaiting = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      await flush(descriptor)
      for (const done of batch) done()
    }
    flushing = undefined
  }
  return {
    write: (line) => {
      writeSync(descriptor, `${line}\n`)
      return new Promise((done) => {
        waiting.push(done)
        flushing ??= flushWaiting()
      })
    },
    close: async () => {
      await flushing
      closeSync(descriptor)
    },
  }
}
