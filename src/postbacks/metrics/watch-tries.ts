import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { printTrySeries } from './delivery-series.ts'
import { EndpointCounts } from './endpoint-counts.ts'
import { recordSpans, SpanRecorder } from './endpoint-spans.ts'
import type { Completion } from '../queue/queue.ts'
import { supervise } from '../supervise.ts'

const REVIEW_INTERVAL_MS = 60_000

export type TryWatch = {
  /** For DeliveryOptions.onRecorded. */
  readonly onRecorded: (completions: readonly Completion[]) => void
  /** Text for /metrics. */
  readonly metrics: () => string
  readonly stop: () => Promise<void>
}

/** Counts the tries of this process by endpoint: for /metrics, and in PostgreSQL for the pages of the endpoints. */
export function watchTries(options: { readonly pool: Pool; readonly logLines: LogLines }): TryWatch {
  const counts = new EndpointCounts()
  const recorder = new SpanRecorder()
  const spans = recordSpans({ ...options, recorder })
  const reviewing = supervise('series', options.logLines, () => {
    counts.review()
    return Promise.resolve(REVIEW_INTERVAL_MS)
  })
  return {
    onRecorded: (completions) => {
      for (const completion of completions) {
        counts.count(completion)
        recorder.count(completion)
      }
    },
    metrics: () => printTrySeries(counts.series),
    stop: async () => {
      await Promise.all([spans.stop(), reviewing.stop()])
    },
  }
}
