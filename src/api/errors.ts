import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'

import { errorCatalogue, WaypostError, type ErrorCode } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import { isConnectionFailure } from '#platform/postgres'
import { suggestWord } from '#platform/words'

/** The one shape of every error answer. */
export const errorSchema = Type.Object(
  {
    error: Type.Object({
      code: Type.String({ description: 'Stable word, see docs/errors.md' }),
      message: Type.String({ description: 'What it means, for a person' }),
      detail: Type.Optional(Type.String({ description: 'What exactly' })),
      path: Type.Optional(Type.String({ description: 'Which parameter or field' })),
      is_retryable: Type.Boolean({ description: 'Whether the same request may succeed later' }),
    }),
  },
  { $id: 'Error' },
)

/** A WaypostError that names the parameter it is about. */
export class RequestError extends WaypostError {
  readonly path: string | undefined
  constructor(code: ErrorCode, detail: string, path?: string) {
    super(code, detail)
    this.path = path
  }
}

/** Body of an error answer. */
export function errorBody(code: ErrorCode, detail?: string, path?: string): object {
  const { message, is_retryable } = errorCatalogue[code]
  return {
    error: {
      code,
      message,
      ...(detail !== undefined && { detail }),
      ...(path !== undefined && { path }),
      is_retryable,
    },
  }
}

const RETRY_AFTER_SECONDS = 2
/** SQLSTATE character_not_in_repertoire and untranslatable_character: a text with a NUL, which PostgreSQL cannot keep. */
const NUL_IN_TEXT: ReadonlySet<string> = new Set(['22021', '22P05'])
/** SQLSTATE datetime_field_overflow and invalid_datetime_format: a day of the year 0. */
const NO_DATE: ReadonlySet<string> = new Set(['22007', '22008'])
/** SQLSTATE query_canceled: the statement timeout. */
const QUERY_CANCELED = '57014'

/** Turns everything that a request can end with into the one shape. What is our own fault is logged, and its text stays here. */
export function addErrorAnswers(server: FastifyInstance, logLines: LogLines): void {
  server.setNotFoundHandler((_request, reply) => reply.code(404).send(errorBody('not_found')))
  server.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply, logLines))
}

/** A parameter or a body that a route does not know would be a question that nobody answers: `{"dry_run": true}` to what has no dry run. */
export function refuseUnasked(server: FastifyInstance): void {
  server.addHook('preValidation', async ({ routeOptions: { url, schema = {} }, query, body }) => {
    if (url?.startsWith('/v1/') !== true) return
    const { querystring, body: bodySchema } = schema as { readonly querystring?: object; readonly body?: object }
    const [parameter] = querystring === undefined ? Object.keys(query as object) : []
    if (parameter !== undefined)
      throw new RequestError('request_invalid', `there is no parameter "${parameter}"`, parameter)
    if (bodySchema === undefined && isFilled(body))
      throw new RequestError('request_invalid', 'this takes no body', Object.keys(body)[0])
  })
}

const isFilled = (body: unknown): body is object =>
  typeof body === 'object' && body !== null && !Buffer.isBuffer(body) && Object.keys(body).length > 0

function answerError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
  logLines: LogLines,
): FastifyReply {
  const { code, detail, path } = describeError(error, parametersOf(request))
  if (code === 'internal')
    logLines.error({ err: error, method: request.method, route: request.routeOptions.url }, 'A request failed.')
  const { status } = errorCatalogue[code]
  if (status === 503 || status === 429) reply.header('Retry-After', RETRY_AFTER_SECONDS)
  return reply.code(status).send(errorBody(code, detail, path))
}

/** An error that Fastify meets before any route. */
export function answerFrameworkError(error: FastifyError, reply: FastifyReply): FastifyReply {
  const { code, detail } = describeError(error)
  return reply.code(errorCatalogue[code].status).send(errorBody(code, detail))
}

type Described = { readonly code: ErrorCode; readonly detail?: string | undefined; readonly path?: string | undefined }

const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'content_type_unsupported',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'body_unreadable',
  FST_ERR_CTP_INVALID_JSON_BODY: 'body_unreadable',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body_unreadable',
  FST_ERR_BAD_URL: 'request_invalid',
}

/** The names that the query of a route may have. */
function parametersOf({ routeOptions }: FastifyRequest): readonly string[] {
  const { querystring } = (routeOptions.schema ?? {}) as { readonly querystring?: { readonly properties?: object } }
  return Object.keys(querystring?.properties ?? {})
}

/** @param parameters that the query may have */
function describeError(error: FastifyError, parameters: readonly string[] = []): Described {
  if (error instanceof RequestError) return { code: error.code, detail: error.detail, path: error.path }
  if (error instanceof WaypostError) return { code: error.code, detail: error.detail }
  if (error.validation !== undefined) return describeValidation(error, parameters)
  if (isConnectionFailure(error)) return { code: 'database_unavailable' }
  if (NUL_IN_TEXT.has(error.code))
    return { code: 'request_invalid', detail: 'a text has a NUL character, which no text can have' }
  if (NO_DATE.has(error.code)) return { code: 'request_invalid', detail: 'a day or moment is out of range' }
  if (error.code === QUERY_CANCELED) return { code: 'query_too_expensive' }
  const known = fastifyCodes[error.code]
  return known === undefined ? { code: 'internal' } : { code: known }
}

function didYouMean(unknown: string, parameters: readonly string[]): string {
  const suggestion = suggestWord(unknown, parameters)
  return suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
}

function describeValidation(
  { validation = [], validationContext }: FastifyError,
  parameters: readonly string[],
): Described {
  const [first] = validation
  if (first === undefined) return { code: 'request_invalid' }
  const unknown = first.params['additionalProperty'] as string | undefined
  const missing = first.params['missingProperty'] as string | undefined
  const path = [first.instancePath.split('/').slice(1).join('.'), unknown ?? missing]
    .filter((part) => part !== undefined && part !== '')
    .join('.')
  const detail =
    unknown === undefined
      ? `${validationContext ?? 'request'} ${first.message ?? 'is wrong'}`
      : `there is no parameter "${unknown}"${validationContext === 'querystring' ? didYouMean(unknown, parameters) : ''}`
  return { code: 'request_invalid', detail, path }
}
