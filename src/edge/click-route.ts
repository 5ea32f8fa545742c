import type { IncomingMessage, ServerResponse } from 'node:http'

import { acceptClientHints } from '#enrichment'
import type { ClickRecord } from '#records'
import { answerError, answerNotFoundPage } from './answers.ts'
import { clickCookie, visitorCookie } from './cookies.ts'
import { decideClick, type DecidedClick } from './decide-click.ts'
import type { Edge } from './edge.ts'
import type { Outcome } from './metrics.ts'
import { answerFailure, answerUrlTooLong, isUrlTooLong } from './refuse-request.ts'

/** `GET|HEAD /click` and `/:code`: decides where the visitor goes, makes the click durable, then answers. */
export function answerClick(
  edge: Edge,
  request: IncomingMessage,
  response: ServerResponse,
  linkCode: string | undefined,
): void {
  const startedAtMs = performance.now()
  const live = edge.live.current()
  if (live === undefined) return answerError(response, 'not_ready')
  if (isUrlTooLong(edge, request)) return answerUrlTooLong(edge, response)
  const click = decideClick(edge, live, request, linkCode)
  edge.recorder
    .record(click.record)
    .then(() => {
      edge.recorder.noteSuccess()
      answerDecided(response, click)
      edge.metrics.observe('click', outcomeOf(click.record), startedAtMs)
    })
    .catch((error: unknown) => {
      answerFailure(edge, response, error)
      edge.metrics.observe('click', 'unavailable', startedAtMs)
    })
}

const outcomeOf = (record: ClickRecord): Outcome<'click'> => (record.class === 'click' ? record.outcome : record.class)

function answerDecided(response: ServerResponse, { record, location, isHttps }: DecidedClick): void {
  const cookies = ['Set-Cookie', visitorCookie(record.visitor_code!, isHttps)]
  // A prefetch or a dead link must not take the place of the click that a page's pixel will report for.
  if (record.class === 'click' && record.outcome === 'redirected')
    cookies.push('Set-Cookie', clickCookie(record.click_id, isHttps))
  if (location === undefined) return answerNotFoundPage(response, cookies)
  response.writeHead(302, [
    'Location',
    location,
    ...cookies,
    // A cached redirect would be a click that nobody sees.
    'Cache-Control',
    'no-store',
    'Accept-CH',
    acceptClientHints,
    'Content-Length',
    '0',
  ])
  response.end()
}
