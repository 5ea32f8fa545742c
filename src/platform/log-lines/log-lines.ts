import { pino, type Logger } from 'pino'

/** Structured log lines of one process, as JSON on standard error.
 * Values of the named paths are masked: secrets never reach a log line.
 * @param role which process this is: edge, pipeline, …
 */
export function createLogLines(role: string, level: string = 'info'): Logger {
  return pino(
    { level, base: { role }, redact: ['secret', '*.secret', 'headers.authorization', 'headers.cookie'] },
    pino.destination({ fd: 2, sync: true }),
  )
}

export type LogLines = Logger
