import type { Exchange } from '../send-request.ts'
import type { Sign } from './breaker.ts'

/** Answers that say that the receiver is unwell or overrun; any other answer shows that it is there. */
const UNWELL: ReadonlySet<number> = new Set([408, 425, 429])

/** What a try says of its receiver; undefined: nothing, since it was we who broke it off or who did not call. */
export function signOf({ status, error }: Pick<Exchange, 'status' | 'error'>): Sign | undefined {
  if (status !== undefined) return status >= 500 || UNWELL.has(status) ? 'failed' : 'answered'
  if (error === 'interrupted' || error === 'destination_refused') return undefined
  return error === 'timeout' ? 'timed_out' : 'failed'
}
