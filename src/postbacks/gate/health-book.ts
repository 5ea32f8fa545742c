import type { Completion } from '../queue/queue.ts'

/** What a try says of its endpoint's health. */
export type HealthSign = 'success' | 'failure' | 'gone'

/** News of one endpoint since they were last written down. Times are those of performance.now(). */
export type HealthNews = {
  /** It had a success, and all that follows is after the last one. */
  readonly hasSucceeded: boolean
  readonly firstFailureAt: number | undefined
  readonly lastFailureAt: number | undefined
  readonly isGone: boolean
}

/** What a try says; undefined: nothing, since we broke it off, our proxy failed or it was about this one message. */
export function healthSignOf({
  outcome,
  giveUpReason,
  error,
}: Pick<Completion, 'outcome' | 'giveUpReason' | 'error'>): HealthSign | undefined {
  if (outcome === 'delivered') return 'success'
  if (giveUpReason === 'gone') return 'gone'
  if (giveUpReason === 'aborted_by_receiver' || giveUpReason === 'answer_final') return undefined
  return error === 'interrupted' || error === 'proxy_error' ? undefined : 'failure'
}

/** Gathers what tries say, so that a busy endpoint costs one row in some seconds, and one that works costs none. */
export class HealthBook {
  #news = new Map<string, HealthNews>()

  /** @param isFailing whether it is on record as failing: only then a success is news */
  note(endpointId: string, sign: HealthSign, at: number, isFailing: boolean): void {
    const known = this.#news.get(endpointId)
    if (sign === 'success') {
      if (isFailing) this.#news.set(endpointId, SUCCEEDED)
      else this.#news.delete(endpointId)
      return
    }
    this.#news.set(endpointId, {
      hasSucceeded: known?.hasSucceeded ?? false,
      firstFailureAt: known?.firstFailureAt ?? at,
      lastFailureAt: at,
      isGone: sign === 'gone' || (known?.isGone ?? false),
    })
  }

  /** Everything since the last call. */
  take(): ReadonlyMap<string, HealthNews> {
    const taken = this.#news
    this.#news = new Map()
    return taken
  }

  /** Puts back what could not be written; what came meanwhile is newer. */
  putBack(taken: ReadonlyMap<string, HealthNews>): void {
    for (const [endpointId, older] of taken) {
      const newer = this.#news.get(endpointId)
      this.#news.set(endpointId, newer === undefined ? older : joined(older, newer))
    }
  }
}

const SUCCEEDED: HealthNews = {
  hasSucceeded: true,
  firstFailureAt: undefined,
  lastFailureAt: undefined,
  isGone: false,
}

function joined(older: HealthNews, newer: HealthNews): HealthNews {
  if (newer.hasSucceeded) return newer
  return {
    hasSucceeded: older.hasSucceeded,
    firstFailureAt: older.firstFailureAt ?? newer.firstFailureAt,
    lastFailureAt: newer.lastFailureAt ?? older.lastFailureAt,
    isGone: older.isGone || newer.isGone,
  }
}
