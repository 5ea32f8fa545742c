import { join } from 'node:path'

import { ownerTenant } from '#accounts'
import { exportJob, type ExportInput } from '#exports'

import type { Figure } from '../rows.ts'
import { WORLD_FROM_MS, WORLD_TO_MS } from './generate-facts.ts'
import type { ReportSite } from './report-site.ts'

/** A quarter of the world: 5 of 20 million clicks. */
const DAYS = 15
const DAY_MS = 86_400_000

/** What a buyer takes to a sheet of its own. */
const COLUMNS = [
  ...['at', 'click_id', 'advertiser_id', 'campaign_id', 'offer_id', 'affiliate_id', 'source_id', 'creative_id', 'sub1'],
  ...['sub2', 'sub3', 'country', 'city', 'device_type', 'os', 'browser', 'bot', 'cost', 'currency', 'visitor_code'],
]

/** An export of clicks into a CSV file, as the job of an installation makes it. */
export async function measureExport(site: ReportSite): Promise<{ readonly rate: Figure; readonly memory: Figure }> {
  const job = exportJob({
    facts: site.reader,
    directory: join(site.directory, 'exports'),
    defaultsFor: () => ({ timezone: 'UTC', currency: 'USD', nowMs: WORLD_TO_MS }),
    readReport: () => Promise.reject(new Error('only clicks are exported here')),
    openList: () => {
      throw new Error('This process exports logs of ClickHouse only.')
    },
  })
  const input: ExportInput = {
    log: 'clicks',
    asked: {
      from: new Date(WORLD_FROM_MS).toISOString(),
      to: new Date(WORLD_FROM_MS + DAYS * DAY_MS).toISOString(),
      ...{ tz: 'UTC', columns: COLUMNS, only: {}, not: {} },
    },
    ...{ format: 'csv', isZipped: false, headers: 'name', isMarked: false, fileName: 'clicks' },
  }
  const megabytes: number[] = []
  const look = (): void => void megabytes.push(process.memoryUsage.rss() / 2 ** 20)
  const timer = setInterval(look, 100)
  const startedAt = performance.now()
  try {
    look()
    const run = {
      ...{ jobId: 'bench', input, tenant: ownerTenant, askedBy: 'bench', attempt: 1, progress: look },
      ...{ signal: new AbortController().signal, inLease: <T>(work: (tx: never) => Promise<T>) => work(undefined as never) },
    } as const
    const { rows, bytes } = await job.run(run)
    const seconds = (performance.now() - startedAt) / 1000
    const note = `${rows.toLocaleString('en-US')} rows of ${COLUMNS.length} columns, ${Math.round(bytes / 2 ** 20)} MB in ${seconds.toFixed(1)} s`
    const details = { rows, bytes, seconds, megabytes: thin(megabytes) }
    const half = Math.ceil(megabytes.length / 2)
    const growth = Math.max(...megabytes.slice(half)) - Math.max(...megabytes.slice(0, half))
    const highest = Math.round(Math.max(...megabytes) - megabytes[0]!)
    return {
      rate: { value: rows / seconds, note, details },
      memory: {
        value: Math.max(0, growth),
        note: `resident memory at most ${highest} MB over that before`,
        details,
      },
    }
  } finally {
    clearInterval(timer)
    await job.discard?.({ jobId: 'bench', input, result: null })
  }
} // prettier-ignore

/** A hundred values are enough to see whether it grows. */
const thin = (values: readonly number[]): readonly number[] =>
  values.filter((_, index) => index % Math.ceil(values.length / 100) === 0).map(Math.round)
