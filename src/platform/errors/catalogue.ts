type CatalogueEntry = { readonly message: string; readonly status: number; readonly is_retryable: boolean }

/** Every operating error that Waypost throws or answers with: one stable code each.
 * docs/errors.md lists the same codes; a test compares the two.
 */
export const errorCatalogue = {
  body_too_large: { message: 'The request body is larger than the limit.', status: 413, is_retryable: false },
  body_unreadable: { message: 'The request body is not valid for its content type.', status: 400, is_retryable: false },
  content_type_unsupported: { message: 'The content type is not accepted here.', status: 415, is_retryable: false },
  request_invalid: { message: 'The request does not fit the schema.', status: 400, is_retryable: false },
  not_found: { message: 'There is nothing at this address.', status: 404, is_retryable: false },
  unauthorized: {
    message: 'An API key is needed: send it as "Authorization: Bearer KEY".',
    status: 401,
    is_retryable: false,
  },
  forbidden: { message: 'This API key may not do that.', status: 403, is_retryable: false },
  log_unavailable: {
    message: 'The event log cannot take records now; nothing was recorded. Try again.',
    status: 503,
    is_retryable: true,
  },
  log_full: {
    message: 'The disk of the event log is full; nothing was recorded. Free some space.',
    status: 503,
    is_retryable: true,
  },
  log_in_use: {
    message: 'Another process writes to this partition of the event log.',
    status: 500,
    is_retryable: false,
  },
  database_unavailable: { message: 'PostgreSQL does not answer.', status: 503, is_retryable: true },
  facts_unavailable: { message: 'ClickHouse does not answer.', status: 503, is_retryable: true },
  archive_unavailable: {
    message: 'Archived facts cannot be written or read now; nothing was dropped.',
    status: 503,
    is_retryable: true,
  },
  query_too_expensive: {
    message: 'The question took longer or more memory than is allowed: narrow its time range or its groups.',
    status: 422,
    is_retryable: false,
  },
  disk_full: { message: 'The disk has too little space left for that.', status: 503, is_retryable: true },
  export_too_large: {
    message: 'The export is larger than its format or the disk allows: narrow its time range or its columns.',
    status: 422,
    is_retryable: false,
  },
  link_expired: { message: 'The link has expired: ask for a new one.', status: 410, is_retryable: false },
  rate_limited: { message: 'Too many requests with this API key: wait a moment.', status: 429, is_retryable: true },
  conflict: { message: 'The present state does not allow that.', status: 409, is_retryable: false },
  simulation_running: {
    message: 'A simulation is under way, and one runs at a time: wait for its end.',
    status: 409,
    is_retryable: true,
  },
  not_ready: { message: 'The service is starting or stopping.', status: 503, is_retryable: true },
  configuration_invalid: {
    message: 'The configuration is not valid; nothing was applied.',
    status: 422,
    is_retryable: false,
  },
  rule_invalid: { message: 'The rule cannot be read.', status: 400, is_retryable: false },
  argument_invalid: {
    message: 'An argument of the command has a value that cannot be used.',
    status: 500,
    is_retryable: false,
  },
  environment_invalid: {
    message: 'An environment variable has a value that cannot be used.',
    status: 500,
    is_retryable: false,
  },
  secret_key_missing: {
    message: 'A secret in the database is sealed with a key that is not here. Put the key back from a backup.',
    status: 500,
    is_retryable: false,
  },
  secret_damaged: { message: 'A sealed secret in the database cannot be opened.', status: 500, is_retryable: false },
  position_fenced: { message: 'Another consumer took over this partition.', status: 500, is_retryable: false },
  internal: { message: 'Something went wrong on our side.', status: 500, is_retryable: true },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof errorCatalogue

/** An operating error with a code of the catalogue. Thrown, and caught in Fastify's error handler or a worker loop only. */
export class WaypostError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly is_retryable: boolean
  /** What exactly, in one sentence. */
  readonly detail: string | undefined
  /** @param detail what exactly, in one sentence; follows the catalogue's message */
  constructor(code: ErrorCode, detail?: string, options?: { cause?: unknown }) {
    const entry = errorCatalogue[code]
    super(detail === undefined ? entry.message : `${entry.message} ${detail}`, options)
    this.name = 'WaypostError'
    this.code = code
    this.status = entry.status
    this.is_retryable = entry.is_retryable
    this.detail = detail
  }
}
