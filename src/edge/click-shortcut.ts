import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'

import { ownAddresses } from './addresses.ts'
import { answerClick } from './click-route.ts'
import type { Edge } from './edge.ts'
import { answerFailure } from './refuse-request.ts'

/** Answers clicks before the router sees them: its own objects and hooks, of which a click uses none, take a tenth of all that a click
 * costs. Whatever is not plainly a click goes the way of the router, which has the same routes; so does everything once the
 * server stops.
 */
export function takeClicksFirst({ server }: FastifyInstance, edge: Edge): void {
  const routers = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[]
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const word = server.listening ? clickWordOf(request) : undefined
    if (word === undefined || ownWords.has(word)) for (const route of routers) route(request, response)
    else answerDirectly(edge, request, response, word === CLICK ? undefined : word)
  })
}

const CLICK = 'click'

/** They win over link codes. */
const ownWords: ReadonlySet<string> = new Set([...ownAddresses].map((address) => address.slice(1)))

/** Longer than any code that a configuration may have. */
const WORD_LENGTH_MAX = 64

/** 1 for the characters of link codes. */
const OF_CODES = new Uint8Array(128)
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-') {
  OF_CODES[character.charCodeAt(0)] = 1
}
const QUESTION_MARK = '?'.charCodeAt(0)

/** `click` of `/click?…`, `go` of `/go` and `/go?…`; undefined: something else, or not written plainly. */
function clickWordOf({ method, url }: IncomingMessage): string | undefined {
  if ((method !== 'GET' && method !== 'HEAD') || url === undefined || url.charCodeAt(0) !== 0x2f) return undefined
  let end = 1
  while (end < url.length && url.charCodeAt(end) !== QUESTION_MARK) {
    if (end > WORD_LENGTH_MAX || OF_CODES[url.charCodeAt(end)] !== 1) return undefined
    end += 1
  }
  return end === 1 ? undefined : url.slice(1, end)
}

function answerDirectly(
  edge: Edge,
  request: IncomingMessage,
  response: ServerResponse,
  linkCode: string | undefined,
): void {
  try {
    answerClick(edge, request, response, linkCode)
  } catch (error) {
    answerFailure(edge, response, error)
  }
}
