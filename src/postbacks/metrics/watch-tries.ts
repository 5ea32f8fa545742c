import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { EndpointCounts, type TryCounts } from './endpoint-counts.ts'
import { recordSpans, SpanRecorder } from './endpoint-spans.ts'
import type { Completion } from '../queue/queue.ts'
import { supervise } from '../supervise.ts'

const REVIEW_INTERVAL_MS = 60_000

export type TryWatch = {
  /** For DeliveryOptions.onRecorded. */
  readonly onRecorded: (completions: readonly Completion[]) => void
  /** By endpoint, `other` among them; counts of this process. */
  readonly series: () => ReadonlyMap<string, TryCounts>
  readonly stop: () => Promise<void>
}

/** Counts the tries of this process by endpoint: for /metrics, and in PostgreSQL for the pages of the endpoints. */
export function watchTries(options: {
  readonly pool: Pool
  readonly logLines: LogLines
  /** Endpoints with series of their own; default 200. */
  readonly seriesMax?: number
}): TryWatch {
  const counts = new EndpointCounts(options.seriesMax)
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
    series: () => counts.series,
    stop: async () => {
      await Promise.all([spans.stop(), reviewing.stop()])
    },
  }
}
