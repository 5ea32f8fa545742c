import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'

import { generateFacts } from './generate-facts.ts'
import { copyToPostgres, type PostgresFacts } from './postgres-facts.ts'

/** The facts of a run in the engine of an installation, and what is made of them. */
export type ReportSite = AsyncDisposable & {
  readonly directory: string
  /** As the API asks. */
  readonly reader: FactsClient
  /** As the pipeline writes. */
  readonly writer: FactsClient
  readonly size: FactsSize
  /** The same facts in PostgreSQL; made at the first call. */
  readonly postgres: () => Promise<PostgresFacts>
}

type FactsSize = {
  readonly clicks: number
  readonly events: number
  readonly conversions: number
  readonly parts: number
  readonly bytes: number
}

/** The connections that an installation gives to its reports. */
const READERS = 3

/** Makes the facts of so many clicks in a temporary directory, which goes away with the site. */
export async function openReportSite(clicks: number): Promise<ReportSite> {
  const directory = mkdtempSync(join(tmpdir(), 'waypost-bench-reports-'))
  const closers: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.reverse()) await closer()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  try {
    const path = join(directory, 'clickhouse')
    const writer = await openClickHouse({ path })
    closers.push(() => writer.close())
    const reader = await openClickHouse({ path, connections: READERS })
    closers.push(() => reader.close())
    await migrateClickHouse(writer)
    await generateFacts(writer, clicks)
    let copied: Promise<PostgresFacts> | undefined
    const copy = async (): Promise<PostgresFacts> => {
      const postgres = await copyToPostgres(writer, directory)
      closers.push(postgres.close)
      return postgres
    }
    return {
      ...{ directory, reader, writer, size: await measureSize(reader) },
      postgres: () => (copied ??= copy()),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function measureSize(facts: FactsClient): Promise<FactsSize> {
  const answer = await facts.query({
    query: `SELECT (SELECT count() FROM clicks) AS clicks, (SELECT count() FROM events) AS events,
      (SELECT uniqExact(conversion_id) FROM conversions) AS conversions,
      (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()) AS bytes,
      (SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = 'clicks') AS parts`,
    format: 'JSONEachRow',
  })
  const [row] = await answer.json<Record<keyof FactsSize, string>>()
  return Object.fromEntries(Object.entries(row!).map(([name, value]) => [name, Number(value)])) as FactsSize
}

/** For the note of a row. */
export const sizeOf = ({ size }: ReportSite): string =>
  `${size.clicks.toLocaleString('en-US')} clicks, ${size.events.toLocaleString('en-US')} events, ` +
  `${size.conversions.toLocaleString('en-US')} conversions in ${size.parts} parts of clicks`
