import { Cron } from 'croner'

import { savedReportLimits } from './limits.ts'

export type ParsedCron =
  { readonly kind: 'cron'; readonly cron: CronTimes } | { readonly kind: 'invalid'; readonly detail: string }

/** The moments of a schedule. */
export type CronTimes = {
  /** The first moment after this one, milliseconds since the epoch; undefined: there is none. */
  readonly next: (afterMs: number) => number | undefined
  /** Moments after `fromMs` and not after `untilMs`: how many, at most `PAST_MAX`, and the last. */
  readonly past: (fromMs: number, untilMs: number) => { readonly count: number; readonly lastMs: number | undefined }
}

/** Moments that are counted when a schedule was not looked at for long. */
const PAST_MAX = 1_000
/** Moments whose distances are looked at. */
const DISTANCES = 50

/** Reads a pattern of five fields: minute, hour, day of the month, month, weekday.
 *
 * On the night when clocks go forward a moment that does not exist comes at the first moment after the gap; on the night when they go
 * back a time of day that comes twice is taken once, the first time. Patterns of every hour go by hours that pass: 23 and 25 of them.
 * @param timezone IANA zone, already checked
 * @param nowMs from when on moments are looked at
 */
export function parseCron(pattern: string, timezone: string, nowMs: number): ParsedCron {
  if (pattern.trim().split(/\s+/).length !== 5)
    return invalid('it has five fields: minute, hour, day of the month, month and weekday, as in "0 9 * * 1"')
  let cron: Cron
  try {
    cron = new Cron(pattern, { timezone, paused: true, mode: '5-part' })
  } catch (error) {
    return invalid((error as Error).message.replace(/^CronPattern: /, ''))
  }
  const next = (afterMs: number): number | undefined => cron.nextRun(new Date(afterMs))?.getTime()
  if (next(nowMs) === undefined) return invalid('it has no moment: such a day does not exist')
  const shortestMs = shortestDistance(next, nowMs)
  if (shortestMs < savedReportLimits.scheduleMinutesMin * 60_000)
    return invalid(`it comes every ${shortestMs / 60_000} minutes; at least ${savedReportLimits.scheduleMinutesMin} lie between two runs`) // prettier-ignore
  const past: CronTimes['past'] = (fromMs, untilMs) => {
    const [last] = cron.previousRuns(1, new Date(untilMs + 1))
    if (last === undefined || last.getTime() <= fromMs) return { count: 0, lastMs: undefined }
    let count = 0
    for (let at = next(fromMs); at !== undefined && at <= untilMs && count < PAST_MAX; at = next(at)) count++
    return { count, lastMs: last.getTime() }
  }
  return { kind: 'cron', cron: { next, past } }
}

const invalid = (detail: string): ParsedCron => ({ kind: 'invalid', detail })

function shortestDistance(next: CronTimes['next'], nowMs: number): number {
  let shortest = Infinity
  let at = next(nowMs)
  for (let step = 0; step < DISTANCES && at !== undefined; step++) {
    const following = next(at)
    if (following === undefined) break
    shortest = Math.min(shortest, following - at)
    at = following
  }
  return shortest
}
