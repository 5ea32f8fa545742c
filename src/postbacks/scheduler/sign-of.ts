import type { Exchange } from '../sending/send-request.ts'
import type { AttemptError } from '../reasons.ts'
import type { Sign } from './breaker.ts'

/** Answers that say that the receiver is unwell or overrun; any other answer shows that it is there. */
const UNWELL: ReadonlySet<number> = new Set([408, 425, 429])

/** We broke it off, did not call, or have a proxy that failed. */
const OURS: ReadonlySet<AttemptError> = new Set([
  'interrupted',
  'destination_refused',
  'request_invalid',
  'proxy_error',
])

/** What a try says of its receiver; undefined: nothing, since what went wrong is ours. */
export function signOf({ status, error }: Pick<Exchange, 'status' | 'error'>): Sign | undefined {
  if (status !== undefined) return status >= 500 || UNWELL.has(status) ? 'failed' : 'answered'
  if (error !== undefined && OURS.has(error)) return undefined
  return error === 'timeout' ? 'timed_out' : 'failed'
}
