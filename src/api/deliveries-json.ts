import {
  attemptErrors,
  giveUpReasons,
  maskBody,
  maskHeaders,
  maskUrl,
  whyNotReasons,
  type AttemptRow,
  type DeliveryRow,
  type WhyNotRow,
} from '#postbacks'

/** Outbound postbacks as JSON, with what each reason means. */
type Json = Record<string, unknown>

const meaningOf = (meanings: Readonly<Record<string, string>>, word: string | null): string | null =>
  word !== null && Object.hasOwn(meanings, word) ? meanings[word]! : null

export function deliveryJson({ delivery_id, created_at, next_at, finished_at, ...rest }: DeliveryRow): Json {
  return {
    delivery_id: String(delivery_id),
    created_at: created_at.toISOString(),
    ...rest,
    url: maskUrl(rest.url),
    headers: rest.headers === null ? null : maskHeaders(rest.headers),
    body: rest.body === null ? null : maskBody(rest.body, rest.content_type),
    meaning: meaningOf(giveUpReasons, rest.reason),
    next_at: next_at?.toISOString() ?? null,
    finished_at: finished_at?.toISOString() ?? null,
  }
}

export function attemptJson({ delivery_id, attempted_at, next_at, ...rest }: AttemptRow): Json {
  return {
    delivery_id: String(delivery_id),
    ...rest,
    meaning: meaningOf(attemptErrors, rest.error),
    attempted_at: attempted_at.toISOString(),
    next_at: next_at?.toISOString() ?? null,
  }
}

export const whyNotJson = ({ at, ...rest }: WhyNotRow): Json => ({
  at: at.toISOString(),
  ...rest,
  meaning: meaningOf(whyNotReasons, rest.reason),
})
