import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { demoOffers } from './demo-configuration.ts'
import { landingPage } from './landing-page.ts'

/** A postback that arrived at one of the demo's partners. */
export type ReceivedPostback = {
  readonly receiver: string
  readonly method: string
  /** Path and query as sent. */
  readonly target: string
  readonly body: string
  readonly isSignatureRight: boolean
  /** Same in every attempt and replay. */
  readonly webhookId: string
  readonly at: number
}

/** Says whether a request is signed by the secret of the receiver. */
export type VerifySignature = (received: {
  readonly receiver: string
  readonly method: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}) => boolean

export type DemoSites = {
  readonly url: string
  readonly counts: () => {
    readonly received: number
    readonly verified: number
    readonly distinct: number
    /** Asked to come again: the tracker answers 500 now and then, so that retries are seen. */
    readonly turned_away: number
  }
  readonly stop: () => Promise<void>
}

export type DemoSitesOptions = {
  /** 0: any free port. */
  readonly port: number
  readonly edgeUrl: string
  readonly verifySignature: VerifySignature
}

/** Kept to be looked at; older ones are only counted. */
const KEPT_MAX = 100
const BODY_BYTES_MAX = 64 * 1024
/** One postback in this many is turned away at its first attempt. */
const TURNED_AWAY_EVERY = 12

/** The web sites of the demo's advertiser and its partners, on the loopback address: landing pages with the snippet at
 * /landing/<offer>, receivers of postbacks at /receiver/<name>, and what they received at /receiver.
 */
export async function startDemoSites(options: DemoSitesOptions): Promise<DemoSites> {
  const inbox = createInbox()
  const server = createServer((request, response) => {
    answer(request, response, options, inbox).catch(() => response.destroy())
  })
  server.listen(options.port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts: inbox.counts,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: DemoSitesOptions,
  inbox: Inbox,
): Promise<void> {
  const target = request.url ?? '/'
  const [, room, name = ''] = target.split('?')[0]!.split('/')
  const offer = room === 'landing' ? demoOffers[name] : undefined
  if (offer !== undefined) return sendHtml(response, landingPage(offer.page, options.edgeUrl))
  if (room === 'receiver' && name === '') return sendHtml(response, inboxPage(inbox))
  if (room === 'receiver') return takePostback(request, response, name, options, inbox)
  response.writeHead(404, { 'content-type': 'text/plain' }).end('Nothing here.\n')
}

function sendHtml(response: ServerResponse, html: string): void {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html)
}

async function takePostback(
  request: IncomingMessage,
  response: ServerResponse,
  receiver: string,
  { verifySignature }: DemoSitesOptions,
  inbox: Inbox,
): Promise<void> {
  const body = await readBody(request)
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
  const message = { receiver, method: request.method ?? '', target: request.url ?? '', body }
  const isSignatureRight = verifySignature({ ...message, headers })
  const isTaken = inbox.take({ ...message, isSignatureRight, webhookId: headers['webhook-id'] ?? '', at: Date.now() })
  response.writeHead(isTaken ? 200 : 500).end(isTaken ? 'OK\n' : 'Something went wrong here, come again.\n')
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length
    if (bytes > BODY_BYTES_MAX) throw new Error('a postback larger than any that Waypost sends')
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

type Inbox = {
  readonly kept: readonly ReceivedPostback[]
  /** @returns false where it is to come again */
  readonly take: (postback: ReceivedPostback) => boolean
  readonly counts: DemoSites['counts']
}

function createInbox(): Inbox {
  const kept: ReceivedPostback[] = []
  const seen = new Set<string>()
  let received = 0
  let verified = 0
  let turnedAway = 0
  return {
    kept,
    take: (postback) => {
      const isFirst = !seen.has(postback.webhookId)
      if (isFirst && (seen.size + 1) % TURNED_AWAY_EVERY === 0 && postback.receiver === 'tracker') {
        seen.add(postback.webhookId)
        turnedAway += 1
        return false
      }
      seen.add(postback.webhookId)
      received += 1
      if (postback.isSignatureRight) verified += 1
      kept.push(postback)
      if (kept.length > KEPT_MAX) kept.shift()
      return true
    },
    counts: () => ({ received, verified, distinct: seen.size, turned_away: turnedAway }),
  }
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

function inboxPage(inbox: Inbox): string {
  const { received, verified, turned_away } = inbox.counts()
  const lines = inbox.kept
    .toReversed()
    .map(
      (postback) =>
        `<tr><td>${new Date(postback.at).toISOString().slice(11, 23)}</td><td>${postback.isSignatureRight ? 'right' : '<b>wrong</b>'}</td>` +
        `<td>${escapeHtml(postback.method)}</td><td><code>${escapeHtml(postback.target)}</code><br><code>${escapeHtml(postback.body)}</code></td></tr>`,
    )
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Received postbacks</title>
<meta http-equiv="refresh" content="5"><link rel="icon" href="data:,">
<style>body{font:14px/1.5 system-ui,sans-serif;margin:32px;color-scheme:light dark}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:6px 10px;border-bottom:1px solid #8884}code{overflow-wrap:anywhere;font-size:12px}</style>
<h1>What the demo's partners received</h1>
<p>${received} postbacks, signature right on ${verified}, ${turned_away} asked to come again.</p>
<table><tr><th>at (UTC)</th><th>signature</th><th></th><th>request</th></tr>${lines.join('')}</table></html>`
}
