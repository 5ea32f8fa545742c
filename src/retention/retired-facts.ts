import type { FactTable } from '#facts'
import type { FactsClient } from '#platform/clickhouse'
import type { Pool } from '#platform/postgres'

import { explainArchiveError, type ArchivePlaces } from './archives.ts'
import { dayOf } from './policies.ts'
import { factTables, readColumns } from './retire.ts'
import { readRetired, sourcesFor, type MissingDays } from './sources.ts'

const DAY_MS = 86_400_000
const FAR_MS = Date.parse('2200-01-01')

const isFactTable = (table: string): table is FactTable => factTables.some((one) => one === table)

type Range = { readonly fromMs: number; readonly toMs: number }

/** What reports need to know of retired rows (`knowRetired` of #reports). */
export type RetiredFactsFinder = {
  readonly find: (asked: {
    readonly ranges: readonly Range[]
    readonly time: 'event' | 'click'
    readonly advertiserId: string | undefined
    readonly hasArchive: boolean
  }) => Promise<{
    readonly find: (question: {
      readonly table: string
      readonly sql: string
      readonly range: Range
      readonly isWholeHours: boolean
      readonly time: 'event' | 'click'
      readonly needsRawRows?: boolean
    }) => readonly {
      readonly from: string
      readonly isSigned: boolean
      readonly isRaw: boolean
      readonly isTable: boolean
    }[]
    readonly missing: () => readonly MissingDays[]
  }>
  readonly explain: (cause: unknown) => unknown
}

/** Finds where the rows of a report are, as the manifest says at its beginning: that holds for as long as a report may take. */
export function retiredFacts(options: {
  readonly pool: Pool
  readonly facts: FactsClient
  readonly places: ArchivePlaces
}): RetiredFactsFinder {
  const { pool, facts, places } = options
  /** A table changes with a new version only. */
  const columns = new Map<FactTable, Awaited<ReturnType<typeof readColumns>>>()
  const columnsOf = async (table: FactTable): Promise<void> => {
    if (!columns.has(table)) columns.set(table, await readColumns(facts, table))
  }
  return {
    explain: (cause) => explainArchiveError(cause, places),
    find: async ({ ranges, time, advertiserId, hasArchive }) => {
      const retired = await readRetired(pool, { ...spanOf(ranges, time), advertiserId })
      for (const { table_name } of retired.kept) await columnsOf(table_name)
      const missing = new Map<string, MissingDays>()
      return {
        missing: () => [...missing.values()],
        find: ({ table, sql, range, isWholeHours, time, needsRawRows = false }) => {
          if (!isFactTable(table)) return [{ from: table, isSigned: false, isRaw: true, isTable: true }]
          const { fromMs, toMs } = spanOf([range], time)
          // A range of nothing asks for the shape of an answer.
          if (range.toMs <= range.fromMs)
            return [{ from: table, isSigned: table === 'conversions', isRaw: true, isTable: true }]
          const days = { fromDay: dayOf(fromMs), toDay: dayOf(toMs - 1) }
          const question = { table, sql, isWholeHours, withArchive: hasArchive, needsRawRows, ...days }
          const found = sourcesFor(question, retired, places, columns.get(table) ?? [])
          for (const one of found.missing) missing.set(JSON.stringify(one), one)
          return found.sources.map(({ kind, from, sign }) => ({
            from,
            isSigned: sign === 'sign',
            isRaw: kind === 'raw',
            isTable: kind === 'raw' && from === table,
          }))
        },
      }
    },
  }
}

/** Moments of rows that some ranges are about; what follows a click may follow long after it. */
function spanOf(ranges: readonly Range[], time: 'event' | 'click'): Range {
  const fromMs = Math.min(...ranges.map((range) => range.fromMs))
  const toMs = Math.max(...ranges.map((range) => range.toMs))
  return time === 'event' ? { fromMs, toMs } : { fromMs: fromMs - DAY_MS, toMs: FAR_MS }
}
