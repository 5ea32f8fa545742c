import { dimensionValue, type CompiledQuery } from '#reports'
import { formatAmount } from '#platform/money'

import type { LiveQuestion, LiveTable, LiveWindow } from './ask-live.ts'
import {
  compileCounts,
  compileNewRows,
  compilePlace,
  visibleMeasures,
  windowMs,
  type LivePlace,
} from './compile-live.ts'
import type { LiveLimits } from './limits.ts'
import { visibleColumns, type LiveColumn } from './live-columns.ts'
import type { LiveCounts, Outbox } from './outbox.ts'

type FactsRow = Readonly<Record<string, unknown>>
export type AskLive = (query: CompiledQuery) => Promise<readonly FactsRow[]>

/** What one stream knows of what it has sent. */
export type LiveStream = {
  /** Looks at the facts once and sends what is new.
   * @throws {WaypostError} facts_unavailable, query_too_expensive: nothing is lost, the next look goes on from the same place
   */
  readonly look: (nowMs: number, isMinuteDue: boolean) => Promise<void>
}

type LiveStreamOptions = {
  readonly question: LiveQuestion
  readonly ask: AskLive
  readonly outbox: Outbox
  readonly limits: LiveLimits
  /** Of the last message that the reader had before its connection broke, milliseconds since the epoch. */
  readonly resumeMs: number | undefined
}

export function createLiveStream({ question, ask, outbox, limits, resumeMs }: LiveStreamOptions): LiveStream {
  const lookedAtMs = new Map<LiveWindow, number>()
  const sent: Readonly<Record<LiveWindow, Map<number, string>>> = { second: new Map(), minute: new Map() }
  const places = new Map<LiveTable, LivePlace>()

  async function lookAtCounts(window: LiveWindow, nowMs: number): Promise<void> {
    const last = lookedAtMs.get(window)
    const fromMs = countedFrom(window, nowMs, last ?? resumeMs, question, limits)
    const rows = await ask(compileCounts(question, window, fromMs))
    const changed = toWindows(rows, question, window).filter(({ w, counts }) => {
      const text = JSON.stringify(counts)
      const isNew = sent[window].get(w) !== text
      sent[window].set(w, text)
      return isNew
    })
    for (const w of sent[window].keys()) if (w * windowMs[window] < fromMs) sent[window].delete(w)
    lookedAtMs.set(window, nowMs)
    if (changed.length === 0 && last !== undefined) return
    const until = new Date(nowMs).toISOString()
    outbox.sendCounts(window, until, String(nowMs), changed.map(({ counts }) => counts)) // prettier-ignore
  }

  async function lookAtRows(table: LiveTable, nowMs: number): Promise<void> {
    const fromMs = nowMs - rowsAgeMsMax[table]
    const place = places.get(table)
    if (place === undefined) {
      const [row] = await ask(compilePlace(table, fromMs))
      places.set(table, placeOf(row ?? {}, table, undefined))
      return
    }
    const [row] = await ask(compileNewRows(question, table, place, fromMs))
    if (row === undefined) return
    places.set(table, placeOf(row, table, place))
    const columns = visibleColumns(table, question.tenant.role)
    const sample = row['sample'] as readonly (readonly unknown[])[]
    outbox.sendRows(table, { total: Number(row['total']), items: sample.map((values) => toItem(columns, values)) })
  }

  return {
    look: async (nowMs, isMinuteDue) => {
      for (const table of question.rows) await lookAtRows(table, nowMs)
      for (const window of question.counts)
        if (window === 'second' || isMinuteDue || !lookedAtMs.has(window)) await lookAtCounts(window, nowMs)
    },
  }
}

/** How old a row may be when it arrives and still be shown. It bounds what a look has to read: conversions are few, and change for weeks. */
const rowsAgeMsMax: Readonly<Record<LiveTable, number>> = {
  clicks: 600_000,
  events: 600_000,
  conversions: 30 * 86_400_000,
}

/** Rows of one answer of the facts; see QUERY_ROWS_MAX of reports. */
const ANSWER_ROWS_MAX = 10_000

/** The first window to be counted: those that may still change since the last look, and not more than an answer holds. */
function countedFrom(
  window: LiveWindow,
  nowMs: number,
  lastMs: number | undefined,
  { dimension, top }: LiveQuestion,
  limits: LiveLimits,
): number {
  const [watched, pastMax] =
    window === 'second'
      ? [limits.watchedSeconds, limits.pastSecondsMax]
      : [limits.watchedMinutes, limits.pastMinutesMax]
  const length = windowMs[window]
  const rowsOfWindow = dimension === undefined ? 1 : top + 1
  const windowsMax = Math.min(pastMax, Math.floor(ANSWER_ROWS_MAX / rowsOfWindow))
  const wantedMs = lastMs === undefined ? nowMs - limits.pastWindowsDefault * length : lastMs - watched * length
  return Math.floor(Math.max(wantedMs, nowMs - windowsMax * length) / length) * length
}

/** Rows in the order of windows, each window's whole first. */
function toWindows(
  rows: readonly FactsRow[],
  question: LiveQuestion,
  window: LiveWindow,
): readonly { readonly w: number; readonly counts: LiveCounts }[] {
  const { dimension } = question
  const windows: { w: number; counts: LiveCounts; groups: object[] }[] = []
  for (const row of rows) {
    const w = Number(row['w'])
    const counts = toCounts(row, question)
    if (Number(row['is_total']) === 0) {
      windows.at(-1)?.groups.push({ [dimension!.name]: dimensionValue(dimension!, String(row['g']), 'UTC'), ...counts })
      continue
    }
    const groups: object[] = []
    const at = new Date(w * windowMs[window]).toISOString()
    windows.push({ w, groups, counts: { at, ...counts, ...(dimension !== undefined && { groups }) } })
  }
  return windows
}

const toCounts = (row: FactsRow, { of, tenant }: LiveQuestion): Record<string, unknown> =>
  Object.fromEntries(
    visibleMeasures(of, tenant.role).map(({ name, kind }) => {
      const value = row[name]
      if (kind === 'count') return [name, Number(value)]
      const entries = Object.entries(value as Record<string, string>).filter(([, count]) => BigInt(count) !== 0n)
      const shown = entries.sort(([a], [b]) => (a < b ? -1 : 1))
      return [name, Object.fromEntries(shown.map(([key, count]) => [key, kind === 'money' ? formatAmount(BigInt(count), 2) : Number(count)]))] // prettier-ignore
    }),
  )

/** Partitions without new rows stay where they were. */
function placeOf(row: FactsRow, table: LiveTable, before: LivePlace | undefined): LivePlace {
  if (table === 'conversions') {
    const seq = String(row['last_seq'] ?? 0)
    return before !== undefined && 'seq' in before && BigInt(before.seq) > BigInt(seq) ? before : { seq }
  }
  const arrived = Object.entries((row['next_offsets'] ?? {}) as Readonly<Record<string, string>>)
  const known = before !== undefined && 'offsets' in before ? before.offsets : {}
  return { offsets: { ...known, ...Object.fromEntries(arrived.map(([partition, next]) => [partition, Number(next)])) } }
}

/** What is empty is left out. */
const toItem = (columns: readonly LiveColumn[], values: readonly unknown[]): object =>
  Object.fromEntries(
    columns.flatMap(({ name, kind }, index) => {
      const value = toValue(kind, values[index])
      return value === '' || value === 0 ? [] : [[name, value]]
    }),
  )

function toValue(kind: LiveColumn['kind'], value: unknown): string | number | boolean {
  switch (kind) {
    case 'text':
      return String(value)
    case 'time':
      return new Date(Number(value)).toISOString()
    case 'money':
      return formatAmount(BigInt(String(value)), 2)
    case 'number':
      return Number(value)
    case 'flag':
      return Boolean(value)
    default:
      return kind satisfies never
  }
}
