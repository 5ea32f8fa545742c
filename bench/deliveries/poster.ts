import { Agent as NodeHttpAgent, request } from 'node:http'

import { Agent, type Dispatcher } from 'undici'

export type Poster = {
  /** @throws {Error} the connection failed, or the answer's status is no success */
  readonly post: (url: string, body: string) => Promise<void>
  readonly close: () => Promise<void>
}

const HEADERS = { 'user-agent': 'bench', accept: '*/*', 'content-type': 'application/json' }

/** Posts with the HTTP client that our sender is built on: undici's dispatch, keep-alive, one request per connection. */
export function createPoster(): Poster {
  const agent = new Agent({ allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
  const places = new Map<string, { readonly origin: string; readonly path: string }>()
  const placeOf = (url: string): { readonly origin: string; readonly path: string } => {
    const known = places.get(url)
    if (known !== undefined) return known
    const { origin, pathname, search } = new URL(url)
    const place = { origin, path: pathname + search }
    places.set(url, place)
    return place
  }
  return {
    post: (url, body) =>
      new Promise((resolve, reject) => {
        agent.dispatch({ ...placeOf(url), method: 'POST', headers: HEADERS, body }, new Exchange(resolve, reject))
      }),
    close: () => agent.destroy(),
  }
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #resolve: () => void
  readonly #reject: (error: Error) => void
  #status = 0

  constructor(resolve: () => void, reject: (error: Error) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  onRequestStart(): void {
    // undici demands it.
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status
  }

  onResponseData(): void {
    // The answer is read to its end, so that the connection can be used again.
  }

  onResponseEnd(): void {
    if (this.#status >= 200 && this.#status < 300) this.#resolve()
    else this.#reject(new Error(`answered with ${this.#status}`))
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#reject(error)
  }
}

/** Posts with node:http over as many connections as there are requests at once. */
export function createNodeHttpPoster(connections: number): Poster {
  const agent = new NodeHttpAgent({ keepAlive: true, maxSockets: connections })
  return {
    post: (url, body) =>
      new Promise((resolve, reject) => {
        const headers = { ...HEADERS, 'content-length': Buffer.byteLength(body) }
        const posting = request(url, { agent, method: 'POST', headers }, (response) => {
          response.resume()
          response.on('error', reject)
          response.on('end', () => {
            if (response.statusCode === 200) resolve()
            else reject(new Error(`answered with ${response.statusCode}`))
          })
        })
        posting.on('error', reject)
        posting.end(body)
      }),
    close: () => Promise.resolve(agent.destroy()),
  }
}
