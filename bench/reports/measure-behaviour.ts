import { parseFunnel, parseRetention, runFunnel, runRetention, type AskedScope } from '#reports/behaviour'

import type { Figure } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { median, roundTo } from '../statistics.ts'
import { WORLD_FROM_MS, WORLD_TO_MS } from './generate-facts.ts'
import { sizeOf, type ReportSite } from './report-site.ts'

const OWNER = { role: 'owner' } as const
const DEFAULTS = { timezone: 'UTC', nowMs: WORLD_TO_MS }
const RANGE: AskedScope = {
  from: new Date(WORLD_FROM_MS).toISOString(),
  to: new Date(WORLD_TO_MS).toISOString(),
  tz: 'UTC',
}

/** From the click to the purchase, in order, within a day. */
export async function measureFunnel(site: ReportSite, settings: BenchSettings): Promise<Figure> {
  const types = ['lp_click', 'add_to_cart', 'checkout', 'purchase']
  const steps = [{ of: 'clicks' } as const, ...types.map((type) => ({ of: 'events', type }) as const)]
  const parsed = parseFunnel({ ...RANGE, steps, window_seconds: 86_400 }, OWNER, DEFAULTS)
  if (parsed.kind !== 'asked') throw new Error(parsed.detail)
  const answer = await runFunnel(site.reader, OWNER, parsed.funnel)
  const seconds = await timeRounds(settings.rounds, () => runFunnel(site.reader, OWNER, parsed.funnel))
  const counts = answer.totals.map(({ count }) => count.toLocaleString('en-US'))
  return { value: median(seconds), note: `${counts.join(' → ')}; ${sizeOf(site)}`, details: { seconds } }
}

/** Visitors by the day of their first click, who clicked again on each of the next thirty days. */
export async function measureRetention(site: ReportSite, settings: BenchSettings): Promise<Figure> {
  const parsed = parseRetention({ ...RANGE, period: 'day', periods: 30 }, OWNER, DEFAULTS)
  if (parsed.kind !== 'asked') throw new Error(parsed.detail)
  const answer = await runRetention(site.reader, OWNER, parsed.retention)
  const seconds = await timeRounds(settings.rounds, () => runRetention(site.reader, OWNER, parsed.retention))
  return { value: median(seconds), note: `${answer.totals.length} cohorts; ${sizeOf(site)}`, details: { seconds } }
}

async function timeRounds(rounds: number, run: () => Promise<unknown>): Promise<readonly number[]> {
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    await run()
    seconds.push(roundTo((performance.now() - startedAt) / 1000, 4))
  }
  return seconds
}
