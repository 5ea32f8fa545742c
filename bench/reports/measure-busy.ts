import { setTimeout as delay } from 'node:timers/promises'

import { addEventLine, insertFacts, LineBuffer } from '#facts'
import { runReport } from '#reports'
import type { ClickId } from '#platform/ids'
import type { ClickRecord, EventRecord } from '#records'

import type { Figure } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { median, percentile, roundTo } from '../statistics.ts'
import { WORLD_TO_MS } from './generate-facts.ts'
import type { ReportSite } from './report-site.ts'
import { parseAsked, typicalReports } from './typical-reports.ts'

const OWNER = { role: 'owner' } as const
const EVENTS_PER_SECOND = 2_000
/** Batches of the pipeline are what came meanwhile. */
const BATCHES_PER_SECOND = 4

/** Reports and events, each alone and both together, in turns: a round is reports alone, events alone, both. */
export async function measureBusy(
  site: ReportSite,
  settings: BenchSettings,
): Promise<{ readonly reports: Figure; readonly ingestion: Figure }> {
  const writer = new EventWriter(site)
  const quiet: number[] = []
  const busy: number[] = []
  const alone: Inserts[] = []
  const together: Inserts[] = []
  for (let round = 0; round < settings.rounds; round++) {
    quiet.push(...(await askFor(site, settings.seconds)))
    alone.push(await writer.writeFor(settings.seconds))
    const [times, inserts] = await Promise.all([askFor(site, settings.seconds), writer.writeFor(settings.seconds)])
    busy.push(...times)
    together.push(inserts)
  }
  const p95 = { quiet: percentile(quiet, 0.95), busy: percentile(busy, 0.95) }
  const rate = (runs: readonly Inserts[]): number => median(runs.map((run) => run.rows / run.seconds))
  const insertMs = (runs: readonly Inserts[]): number =>
    percentile(
      runs.flatMap(({ times }) => times),
      0.95,
    )
  const details = { quiet, busy, alone, together }
  const ms = (value: number): string => `${Math.round(value)} ms`
  return {
    reports: {
      value: p95.busy / p95.quiet,
      note: `p95 ${ms(p95.busy)} of ${busy.length} reports beside ${EVENTS_PER_SECOND} events/s, ${ms(p95.quiet)} of ${quiet.length} alone`,
      details,
    },
    ingestion: {
      value: rate(together) / rate(alone),
      note: `${Math.round(rate(together))} of ${Math.round(rate(alone))} events/s; p95 of an insert ${ms(insertMs(together))}, alone ${ms(insertMs(alone))}`,
      details,
    },
  }
}

/** The typical reports one after the other, again and again. @returns milliseconds of each */
async function askFor(site: ReportSite, seconds: number): Promise<readonly number[]> {
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end || times.length < typicalReports.length) {
    const { asked } = typicalReports[times.length % typicalReports.length]!
    const startedAt = performance.now()
    await runReport(site.reader, OWNER, { ...parseAsked(asked), defaultCurrency: 'USD' })
    times.push(roundTo(performance.now() - startedAt, 4))
  }
  return times
}

type Inserts = { readonly rows: number; readonly seconds: number; readonly times: readonly number[] }

/** Events as the pipeline writes them, by the clock: what is late is made up for. */
class EventWriter {
  readonly #site: ReportSite
  #offset = 0

  constructor(site: ReportSite) {
    this.#site = site
  }

  async writeFor(seconds: number): Promise<Inserts> {
    const startedAt = performance.now()
    const times: number[] = []
    const batches = seconds * BATCHES_PER_SECOND
    for (let batch = 0; batch < batches; batch++) {
      const due = startedAt + (batch * 1000) / BATCHES_PER_SECOND
      if (performance.now() < due) await delay(due - performance.now())
      const begunAt = performance.now()
      await this.#insert(EVENTS_PER_SECOND / BATCHES_PER_SECOND)
      times.push(roundTo(performance.now() - begunAt, 4))
    }
    const elapsed = Math.max(seconds, (performance.now() - startedAt) / 1000)
    return { rows: (batches * EVENTS_PER_SECOND) / BATCHES_PER_SECOND, seconds: elapsed, times }
  }

  async #insert(rows: number): Promise<void> {
    const lines = new LineBuffer()
    const from = this.#offset
    for (; this.#offset < from + rows; this.#offset++) {
      const click = clickOf(this.#offset)
      addEventLine(lines, eventOf(this.#offset, click), click, undefined, { partition: 'bench', offset: this.#offset })
    }
    await insertFacts(this.#site.writer, { table: 'events', lines: lines.toBuffer(), range: `bench:${from}-${rows}` })
  }
}

/** A click of the last day, whose events come now. */
const clickOf = (n: number): ClickRecord => ({
  kind: 'click',
  click_id: `019e807a-ec03-71e5-baa6-${n.toString(16).padStart(12, '0')}` as ClickId,
  at: WORLD_TO_MS - 3_600_000 + n,
  class: 'click',
  outcome: 'redirected',
  advertiser_id: `advertiser-${n % 8}`,
  campaign_id: `campaign-${n % 40}`,
  offer_id: `offer-${n % 40}-0`,
  affiliate_id: `affiliate-${n % 300}`,
  source_id: `source-${n % 12}`,
  sub1: `s${n % 1_000_000}`,
  ip: '192.0.2.1',
  country: 'DE',
  os: 'iOS',
  browser: 'Safari',
  device_type: 'mobile',
  config_version: 17,
  trace: '',
})

const eventOf = (n: number, { click_id, at }: ClickRecord): EventRecord => ({
  ...{ kind: 'event', event_id: `bench-${n}`, at: at + 1_000, click_id, type: 'open', ip: '192.0.2.1' },
})
