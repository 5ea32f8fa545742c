import { pino, type Logger } from 'pino'

/** Three deep: a whole configuration is never logged. */
const SECRET_NAMES = [
  ...['secret', 'secrets', 'hmac_secrets', 'previous_secret', 'redirect_key', 'password', 'authorization', 'cookie'],
]
const SECRET_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/** Structured log lines of one process, as JSON on standard error.
 * Values of the named paths are masked: secrets never reach a log line.
 * @param role which process this is: edge, pipeline, …
 */
export function createLogLines(role: string, level: string = 'info'): Logger {
  return pino({ level, base: { role }, redact: SECRET_PATHS }, pino.destination({ fd: 2, sync: true }))
}

export type LogLines = Logger
