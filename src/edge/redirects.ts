import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

import { acceptClientHints } from '#enrichment'
import type { RedirectKind, ReferrerPolicy } from '#routing'
import { answerNotFoundPage } from './answers.ts'
import type { Edge } from './edge.ts'
import type { LiveConfig } from './live-config.ts'
import { queryOf, readQuery } from './query.ts'
import { framePage, metaPage, scriptPage } from './redirect-pages.ts'

type Redirect = {
  readonly location: string
  readonly redirect: RedirectKind
  readonly policy: ReferrerPolicy | undefined
  readonly cookies: readonly string[]
}

/** Sends a visitor on in the way that their flow or offer asks for. */
export function answerRedirect(
  edge: Pick<Edge, 'limits'>,
  live: LiveConfig,
  response: ServerResponse,
  { location, redirect, policy, cookies }: Redirect,
): void {
  switch (redirect) {
    case '302':
    case '303':
    case '307':
      return answerStatus(response, Number(redirect), location, policy, cookies)
    case 'meta':
      return answerPage(response, metaPage(location, policy), policy, cookies)
    case 'double_meta': {
      const way = hopTo(edge, live, location)
      return answerPage(response, metaPage(way ?? location, 'no-referrer'), 'no-referrer', cookies)
    }
    case 'js':
      return answerPage(response, scriptPage(location, policy), policy, cookies)
    case 'iframe':
      return answerPage(response, framePage(location, policy), policy, cookies)
    default:
      return redirect satisfies never
  }
}

function answerStatus(
  response: ServerResponse,
  status: number,
  location: string,
  policy: ReferrerPolicy | undefined,
  cookies: readonly string[],
): void {
  response.writeHead(status, [
    'Location',
    location,
    ...cookies,
    ...referrerHeader(policy),
    'Cache-Control',
    'no-store',
    'Accept-CH',
    acceptClientHints,
    'Content-Length',
    '0',
  ])
  response.end()
}

/** A page of ours, for this visitor alone. */
export function answerPage(
  response: ServerResponse,
  html: string,
  policy: ReferrerPolicy | undefined,
  cookies: readonly string[],
): void {
  const body = Buffer.from(html)
  response.writeHead(200, [
    'Content-Type',
    'text/html; charset=utf-8',
    'Content-Length',
    String(body.length),
    ...cookies,
    ...referrerHeader(policy),
    'Cache-Control',
    'no-store',
    'X-Content-Type-Options',
    'nosniff',
    'Accept-CH',
    acceptClientHints,
  ])
  response.end(body)
}

const referrerHeader = (policy: ReferrerPolicy | undefined): readonly string[] =>
  policy === undefined ? [] : ['Referrer-Policy', policy]

/** Path of the second page of `double_meta`. It goes only where we have signed that it may: it is no open redirect. */
export const HOP_PATH = '/hop'

/** @returns undefined where the way would be too long for a URL of ours, or the configuration has no key yet */
function hopTo({ limits }: Pick<Edge, 'limits'>, { redirectKey }: LiveConfig, location: string): string | undefined {
  if (redirectKey === undefined) return undefined
  const way = `${HOP_PATH}?s=${sign(redirectKey, location)}&u=${Buffer.from(location).toString('base64url')}`
  return way.length > limits.urlCharactersMax ? undefined : way
}

const sign = (key: string, location: string): string =>
  createHmac('sha256', key).update(location).digest('base64url').slice(0, 22)

/** `GET /hop`: the second page. What was not signed here is "not found". */
export function answerHop(edge: Edge, request: IncomingMessage, response: ServerResponse): void {
  const parameters = new Map<string, string>()
  const longest = { ...edge.limits, valueCharactersMax: edge.limits.urlCharactersMax }
  readQuery(queryOf(request.url!), longest, (name, value) => void parameters.set(name, value))
  const location = Buffer.from(parameters.get('u') ?? '', 'base64url').toString()
  const redirectKey = edge.live.current()?.redirectKey
  if (redirectKey === undefined || !isSame(sign(redirectKey, location), parameters.get('s') ?? ''))
    return answerNotFoundPage(response)
  answerPage(response, metaPage(location, 'no-referrer'), 'no-referrer', [])
}

/** Compared as bytes: other characters than those of a signature take several each. */
function isSame(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)]
  return left.length === right.length && timingSafeEqual(left, right)
}
