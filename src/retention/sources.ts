import type { FactTable } from '#facts'
import type { Pool, Tx } from '#platform/postgres'

import { ARCHIVE_SETTINGS, archiveTable, type ArchivePlaces } from './archives.ts'
import { keptColumns, keptFacts } from './kept-facts.ts'
import { dayOf, retentionLimits } from './policies.ts'
import { HIDDEN_STATES, KEPT_STATES, listMoving, listRetirements, rowsOf, type Retirement } from './retirements.ts'

/** Where the rows of a table are for one question: each row is in exactly one of its sources. */
export type FactSource = {
  readonly kind: 'raw' | 'kept' | 'archived'
  /** What stands after FROM: the table, or a subquery. */
  readonly from: string
  /** What a row counts for. */
  readonly sign: '1' | 'sign'
}

/** Days of which a question cannot be answered, and why. */
export type MissingDays = {
  readonly table: FactTable
  /** First and last day, UTC. */
  readonly from: string
  readonly to: string
  /** Columns that are no longer there. */
  readonly columns: readonly string[]
  readonly why:
    | 'not_archived'
    | 'not_whole_hours'
    | 'archive_not_asked'
    | 'archive_too_large'
    | 'archive_unreachable'
    | 'needs_raw_rows'
}

/** What was retired of a range, as it is now. Read it right before the question: what it says holds for the next minute. */
export type RetiredFacts = {
  readonly kept: readonly Retirement[]
  readonly moving: readonly Retirement[]
}

const NOTHING: RetiredFacts = { kept: [], moving: [] }

/** @param fromMs first moment of the question, toMs the moment after it
 * @param advertiserId of whom alone the question is; undefined: of everybody
 */
export async function readRetired(
  db: Pool | Tx,
  {
    fromMs,
    toMs,
    advertiserId,
  }: { readonly fromMs: number; readonly toMs: number; readonly advertiserId?: string | undefined },
): Promise<RetiredFacts> {
  const moving = await listMoving(db)
  const kept = await listRetirements(db, {
    ...{ states: KEPT_STATES, fromDay: dayOf(fromMs), toDay: dayOf(toMs - 1) },
    ...(advertiserId !== undefined && { advertiserId }),
  })
  return moving.length === 0 && kept.length === 0 ? NOTHING : { kept, moving }
}

export type SourceQuestion = {
  readonly table: FactTable
  /** SQL of the question over the table: its columns are looked for in it. */
  readonly sql: string
  /** Whether its range and its zone begin and end on the hour. */
  readonly isWholeHours: boolean
  /** Whether the archive is to be read for what is not kept. */
  readonly withArchive: boolean
  /** Whether it can be answered from raw rows only: from neither what is kept nor the archive. */
  readonly needsRawRows?: boolean
  /** First and last day (UTC) that it is about; left out: all. */
  readonly fromDay?: string
  readonly toDay?: string
}

export type TableSources = { readonly sources: readonly FactSource[]; readonly missing: readonly MissingDays[] }

/** Where the rows for a question are. What is kept answers it where it can; else the archive, if asked for; else the days are named. */
export function sourcesFor(
  { table, sql, isWholeHours, withArchive, needsRawRows = false, fromDay = '', toDay = '9' }: SourceQuestion,
  { kept, moving }: RetiredFacts,
  places: ArchivePlaces,
  /** Columns of the raw table with their types. */
  columns: readonly { readonly name: string; readonly type: string }[],
): TableSources {
  const raw = rawSource(table, moving)
  const ofTable = kept.filter(({ table_name, day }) => table_name === table && day >= fromDay && day <= toDay)
  if (ofTable.length === 0) return { sources: [raw], missing: [] }
  const lost = columnsIn(
    sql,
    columns.map(({ name }) => name),
  ).filter((name) => !keptColumns(table).has(name))
  const isExact = table === 'conversions' || isWholeHours
  if (lost.length === 0 && isExact && !needsRawRows) return { sources: [raw, keptSource(table, moving)], missing: [] }
  const columnsLost = lost.length > 0 ? lost : ['at']
  const missingAs = (why: MissingDays['why'], days: readonly Retirement[]): readonly MissingDays[] =>
    spansOf(days).map(([from, to]) => ({ table, from, to, columns: columnsLost, why }))
  const bare = ofTable.filter(({ archive }) => archive === 'none')
  const archived = ofTable.filter(({ archive }) => archive !== 'none')
  const notArchived = missingAs(lost.length > 0 || needsRawRows ? 'not_archived' : 'not_whole_hours', bare)
  if (needsRawRows) return { sources: [raw], missing: [...notArchived, ...missingAs('needs_raw_rows', archived)] }
  if (!withArchive) return { sources: [raw], missing: [...notArchived, ...missingAs('archive_not_asked', archived)] }
  if (archived.length > retentionLimits.filesMax)
    return { sources: [raw], missing: [...notArchived, ...missingAs('archive_too_large', archived)] }
  const reachable = archived.filter(({ archive }) => (archive === 'files' ? places.directory : places.s3) !== undefined)
  const unreachable = archived.filter((one) => !reachable.includes(one))
  const source = reachable.length === 0 ? [] : [archivedSource(table, reachable, places, columns)]
  return { sources: [raw, ...source], missing: [...notArchived, ...missingAs('archive_unreachable', unreachable)] }
}

/** Raw rows that reports count. */
export function rawSource(table: FactTable, moving: readonly Retirement[]): FactSource {
  const sign = table === 'conversions' ? 'sign' : '1'
  const hidden = moving.filter(({ table_name, state }) => table_name === table && HIDDEN_STATES.includes(state))
  if (hidden.length === 0) return { kind: 'raw', from: table, sign }
  const rows = hidden.map((one) => `(${rowsOf(one)})`).join(' OR ')
  return { kind: 'raw', from: `(SELECT * FROM ${table} WHERE NOT (${rows})) AS ${table}`, sign }
}

/** Kept rows that reports count. */
export function keptSource(table: FactTable, moving: readonly Retirement[]): FactSource {
  const { table: from } = keptFacts[table]
  const open = moving.filter(({ table_name, state }) => table_name === table && !KEPT_STATES.includes(state))
  if (open.length === 0) return { kind: 'kept', from, sign: 'sign' }
  const ids = open.map(({ retirement_id }) => String(retirement_id)).join(', ')
  return { kind: 'kept', from: `(SELECT * FROM ${from} WHERE retirement_id NOT IN (${ids})) AS ${from}`, sign: 'sign' }
}

/** Archived rows. Files are named one by one: one that is missing is an error then, and not fewer rows. */
function archivedSource(
  table: FactTable,
  archived: readonly Retirement[],
  places: ArchivePlaces,
  columns: readonly { readonly name: string; readonly type: string }[],
): FactSource {
  const structure = columns.map(({ name, type }) => `${name} ${type}`).join(', ')
  const parts = archived.map((one) => `SELECT * FROM ${archiveTable(places, one.archive, one.path!, structure)}`)
  return {
    kind: 'archived',
    from: `(${parts.join(' UNION ALL ')} SETTINGS ${ARCHIVE_SETTINGS}) AS ${table}`,
    sign: table === 'conversions' ? 'sign' : '1',
  }
}

/** Columns of a table that a piece of SQL names: words outside of texts and parameters. */
export function columnsIn(sql: string, columns: readonly string[]): readonly string[] {
  const bare = sql.replace(/'(?:[^'\\]|\\[\s\S]|'')*'/g, ' ').replace(/\{[^{}]*\}/g, ' ')
  const words = new Set(bare.match(/[A-Za-z_][A-Za-z0-9_]*/g))
  return columns.filter((name) => words.has(name))
}

/** Runs of days that follow each other. */
function spansOf(retirements: readonly Retirement[]): readonly (readonly [string, string])[] {
  const days = [...new Set(retirements.map(({ day }) => day))].sort()
  const spans: [string, string][] = []
  for (const day of days) {
    const last = spans.at(-1)
    if (last !== undefined && Date.parse(day) - Date.parse(last[1]) === 86_400_000) last[1] = day
    else spans.push([day, day])
  }
  return spans
}
