import { EventEmitter, on } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export type ReceivedEvent = Readonly<Record<string, unknown>> & { readonly type: string; readonly event_id: string }
export type ReceivedPost = {
  readonly contentType: string | undefined
  readonly status: number
  readonly events: readonly ReceivedEvent[]
}

/** Records what a snippet sends, as the edge would receive it, and answers as told. */
export class TestEdge {
  readonly posts: ReceivedPost[] = []
  readonly #server: Server
  readonly #received = new EventEmitter()
  readonly #script: () => string
  /** Status of the next answers to events. */
  status = 204

  constructor(script: () => string) {
    this.#script = script
    this.#server = createServer((request, answer) => {
      answer.setHeader('Access-Control-Allow-Origin', '*')
      if (request.url === '/t.js') return void answer.setHeader('Content-Type', 'text/javascript').end(this.#script())
      void this.#record(request).then((status) => answer.writeHead(status).end())
    })
  }

  async #record(request: IncomingMessage): Promise<number> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString()
    // As the edge answers a post whose body was lost on the way, such as that of a browser which is being closed.
    if (body === '') return 400
    const events = JSON.parse(body) as ReceivedEvent[]
    this.posts.push({ contentType: request.headers['content-type'], status: this.status, events })
    this.#received.emit('post')
    return this.status
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** All events received so far, repeats included. */
  get events(): readonly ReceivedEvent[] {
    return this.posts.flatMap((post) => post.events)
  }

  /** Waits until as many events of a type have come, repeats included. @throws after ten seconds */
  async waitFor(type: string, count = 1): Promise<readonly ReceivedEvent[]> {
    const ofType = (): readonly ReceivedEvent[] => this.events.filter((event) => event.type === type)
    if (ofType().length >= count) return ofType()
    for await (const _ of on(this.#received, 'post', { signal: AbortSignal.timeout(10_000) })) {
      if (ofType().length >= count) break
    }
    return ofType()
  }
}

/** Serves the same page at every path. */
export async function servePage(html: () => string): Promise<{ url: string; stop: () => void }> {
  const server = createServer((_request, answer) => void answer.setHeader('Content-Type', 'text/html').end(html()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
