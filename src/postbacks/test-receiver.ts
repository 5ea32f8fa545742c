import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** A request as it arrived. */
export type Arrival = {
  readonly method: string
  readonly requestTarget: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export type Receiver = {
  readonly url: string
  readonly arrivals: readonly Arrival[]
  /** Resolves with the n-th arrival, counted from 1. */
  readonly arrival: (position: number) => Promise<Arrival>
}

type Answer = (response: ServerResponse, arrival: Arrival, position: number) => void

/** A real HTTP server on loopback, closed after the test with all its connections. */
export async function startReceiver(
  t: TestContext,
  answer: Answer = (response) => void response.end('ok'),
): Promise<Receiver> {
  const arrivals: Arrival[] = []
  const waiting: { readonly position: number; readonly resolve: (arrival: Arrival) => void }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const arrival = {
        method: request.method!,
        requestTarget: request.url!,
        headers: request.headers,
        body: Buffer.concat(chunks),
      }
      arrivals.push(arrival)
      const position = arrivals.length
      waiting.filter((item) => item.position === position).forEach((item) => item.resolve(arrival))
      answer(response, arrival, position)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    arrival: (position) => {
      const known = arrivals[position - 1]
      return known === undefined
        ? new Promise((resolve) => waiting.push({ position, resolve }))
        : Promise.resolve(known)
    },
  }
}
