import type { PostbackEndpoint } from '#routing'
import type { DeliveryRow } from '../records/deliveries.ts'
import { maskHeaders } from '../messages/headers.ts'
import { fixedHeaders } from './send-delivery.ts'
import { showHeaders } from '../messages/stored-headers.ts'

/** Requests for people to read: what is a secret, or looks like one, stands as `***`.
 *
 * Whoever wrote the template knows its secrets; those who read deliveries need not be the same. A parameter or field is secret by
 * its name, a header where its name leaves a doubt; a part of a path that mixes letters and digits may be a key (trackers have theirs there), unless it is a
 * UUID, as our own ids are.
 */
const MASK = '***'

const SECRET_NAME =
  /(?:token|secret|passw|pwd|api[-_]?key|auth|credential|signature|cookie)|^(?:key|sig|hash|pass|pw|[\w-]*[-_]key)$/i
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i
const KEY_LIKE = /^(?=.*\d)(?=.*[a-z])[\w.~-]{6,}$/i

const LATE_VALUE = /=\{(?:sig|secret\.\w+)\}$/

const isSecretName = (name: string): boolean => SECRET_NAME.test(name)
const maskSegment = (segment: string): string => (KEY_LIKE.test(segment) && !UUID.test(segment) ? MASK : segment)

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    // What cannot be decoded is compared as it stands.
    return name
  }
}

/** `a=1&token=***`. */
export const maskQuery = (query: string): string =>
  query
    .split('&')
    .map((pair) => {
      const at = pair.indexOf('=')
      // What is filled at send time is not there yet.
      if (at === -1 || LATE_VALUE.test(pair) || !isSecretName(decodeName(pair.slice(0, at)))) return pair
      return `${pair.slice(0, at)}=${MASK}`
    })
    .join('&')

/** The URL with its macros filled, `{sig}` and `{ts}` still in it. */
export function maskUrl(url: string): string {
  const [, origin = '', path = '', query] = /^([a-z]+:\/\/[^/?#]*)?([^?]*)(?:\?(.*))?$/is.exec(url) ?? []
  // A name and password in front of the host are refused when the configuration is applied.
  const masked = origin + path.split('/').map(maskSegment).join('/')
  return query === undefined ? masked : `${masked}?${maskQuery(query)}`
}

/** `"name": value` in JSON, by the name of the field; values that are objects are looked into. */
const JSON_FIELD = /("((?:[^"\\]|\\.)*)"\s*:\s*)("(?:[^"\\]|\\.)*"|[^\s"{}[\],]+)/g

/** A body as text, form or JSON. */
export function maskBody(body: string, contentType: string | null): string {
  if (contentType?.startsWith('application/x-www-form-urlencoded') === true) return maskQuery(body)
  return body.replace(JSON_FIELD, (field, before: string, name: string) =>
    isSecretName(name) ? `${before}"${MASK}"` : field,
  )
}

/** Characters of a body that are shown. */
export const BODY_HEAD_LENGTH = 2_048

/** A request as it goes out, for a person to read. Time and signature are those of an attempt; here stand `{now}` and `***`. */
export type MaskedRequest = {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** First 2 048 characters; null: there is none. */
  readonly body_head: string | null
  readonly is_body_cut: boolean
}

/** @param endpoint as it is configured now; undefined: it is not there any more */
export function maskRequest(
  message: Pick<DeliveryRow, 'event_id' | 'method' | 'url' | 'content_type' | 'body' | 'headers'>,
  endpoint: PostbackEndpoint | undefined,
): MaskedRequest {
  const { method, url, content_type, body } = message
  const masked = body === null ? null : maskBody(body, content_type)
  return {
    method,
    url: maskUrl(url),
    headers: maskHeaders({
      ...fixedHeaders(content_type, showHeaders(message.headers)),
      'webhook-id': message.event_id,
      'webhook-timestamp': '{now}',
      ...(endpoint?.secret !== undefined && { 'webhook-signature': MASK }),
    }),
    body_head: masked?.slice(0, BODY_HEAD_LENGTH) ?? null,
    is_body_cut: (masked?.length ?? 0) > BODY_HEAD_LENGTH,
  }
}
