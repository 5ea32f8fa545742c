import type { IncomingMessage, ServerResponse } from 'node:http'

import { answerError } from './answers.ts'
import type { Edge } from './edge.ts'

export const isUrlTooLong = (edge: Edge, request: IncomingMessage): boolean =>
  request.url!.length > edge.limits.urlCharactersMax

export const answerUrlTooLong = (edge: Edge, response: ServerResponse): void =>
  answerError(response, 'request_invalid', {
    status: 414,
    message: `The URL is longer than ${edge.limits.urlCharactersMax} characters.`,
  })

/** Answers a request whose record is not in the log: 503 where the log does not take it, 500 for a mistake of ours. */
export function answerFailure(
  edge: Edge,
  response: ServerResponse,
  error: unknown,
  headers: readonly string[] = [],
): void {
  const code = edge.recorder.noteFailure(error)
  if (response.headersSent) response.destroy()
  else answerError(response, code, { headers })
}
