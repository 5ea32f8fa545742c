import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A partner's server as a stranger would write it from the public specification, without a line of Waypost's own code.
 * @see Standard Webhooks, "Signature scheme": HMAC-SHA256 of `id.timestamp.body`
 */
export type ReceivedWebhook = {
  readonly webhookId: string
  readonly isSignatureRight: boolean
  readonly path: string
  readonly body: string
  readonly at: number
}

export type WebhookReceiver = {
  readonly url: string
  readonly received: readonly ReceivedWebhook[]
  /** Resolves with the first message, past or coming, that the test accepts. @throws {Error} after `timeoutMs` */
  readonly waitFor: (accepts: (message: ReceivedWebhook) => boolean, timeoutMs: number) => Promise<ReceivedWebhook>
  readonly stop: () => Promise<void>
}

export type ReceiverOptions = {
  readonly secret: string
  /** Status and delay of an answer; by default 204 at once. The message counts as received in any case. */
  readonly answer?: (message: ReceivedWebhook) => { readonly status: number; readonly delayMs: number }
}

export async function startWebhookReceiver({ secret, answer }: ReceiverOptions): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = []
  const watchers = new Set<(message: ReceivedWebhook) => void>()
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const message = checkMessage(request, body, secret)
      received.push(message)
      for (const watch of watchers) watch(message)
      const { status, delayMs } = answer?.(message) ?? { status: 204, delayMs: 0 }
      setTimeout(() => response.writeHead(status).end(), delayMs)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    waitFor: (accepts, timeoutMs) =>
      new Promise((resolve, reject) => {
        const watch = (message: ReceivedWebhook): void => {
          if (!accepts(message)) return
          clearTimeout(timer)
          watchers.delete(watch)
          resolve(message)
        }
        const timer = setTimeout(() => {
          watchers.delete(watch)
          reject(new Error(`no such message within ${timeoutMs} ms; received: ${JSON.stringify(received)}`))
        }, timeoutMs)
        watchers.add(watch)
        received.forEach(watch)
      }),
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const TOLERANCE_SECONDS = 300

function checkMessage(request: IncomingMessage, body: string, secret: string): ReceivedWebhook {
  const header = (name: string): string => String(request.headers[name] ?? '')
  const id = header('webhook-id')
  const signed = { id, timestamp: header('webhook-timestamp'), body, signatures: header('webhook-signature') }
  const nowMs = Date.now()
  const isSignatureRight = isSignedRight(signed, secret, nowMs)
  return { webhookId: id, isSignatureRight, path: request.url ?? '', body, at: nowMs }
}

export type SignedMessage = {
  readonly id: string
  readonly timestamp: string
  readonly body: string
  /** `webhook-signature`: one or more, separated by blanks. */
  readonly signatures: string
}

/** Whether one of the signatures is that of the secret and not older than five minutes. */
export function isSignedRight(
  { id, timestamp, body, signatures }: SignedMessage,
  secret: string,
  nowMs: number,
): boolean {
  if (!(Math.abs(nowMs / 1000 - Number(timestamp)) < TOLERANCE_SECONDS)) return false
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  return signatures
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => Buffer.from(part.slice(3), 'base64'))
    .some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected))
}
