import type { Pool } from '#platform/postgres'

import type { RetirementState } from './retirements.ts'

/** What was retired so far, by table. */
export type RetiredTable = {
  readonly table: string
  /** Retirements whose raw rows are gone. */
  readonly retirements: number
  readonly rows: number
  /** Of files; storage elsewhere does not say. */
  readonly archive_bytes: number
  readonly kept_rows: number
  /** First and last day, UTC. */
  readonly from: string
  readonly to: string
}

export type RetentionStatus = {
  readonly retired: readonly RetiredTable[]
  /** Retirements that are under way, or were cut off, by state. */
  readonly moving: Readonly<Partial<Record<RetirementState, number>>>
  /** When the oldest of them was begun. */
  readonly moving_since: Date | null
}

/** How far retention is. */
export async function readRetentionStatus(pool: Pool): Promise<RetentionStatus> {
  const retired = await pool.query<RetiredTable>(
    `SELECT table_name AS "table", count(*)::int AS retirements, sum(rows)::float8 AS rows, sum(bytes)::float8 AS archive_bytes,
       sum(kept_rows)::float8 AS kept_rows, min(day)::text AS "from", max(day)::text AS "to"
     FROM fact_retirements WHERE state = 'dropped' GROUP BY table_name ORDER BY table_name`,
  )
  const moving = await pool.query<{ state: RetirementState; retirements: number; since: Date }>(
    `SELECT state, count(*)::int AS retirements, min(planned_at) AS since FROM fact_retirements
     WHERE state NOT IN ('dropped', 'restored') GROUP BY state ORDER BY state`,
  )
  return {
    retired: retired.rows,
    moving: Object.fromEntries(moving.rows.map(({ state, retirements }) => [state, retirements])),
    moving_since: moving.rows.map(({ since }) => since).sort((a, b) => a.getTime() - b.getTime())[0] ?? null,
  }
}

/** Prometheus text: how far retention is. */
export async function retentionMetrics(pool: Pool, nowMs: number): Promise<string> {
  const { retired, moving, moving_since } = await readRetentionStatus(pool)
  const count = Object.values(moving).reduce((sum, one) => sum + one, 0)
  const age = moving_since === null ? 0 : Math.max(0, (nowMs - moving_since.getTime()) / 1_000)
  return [
    '# HELP waypost_retention_moving Retirements of raw facts that are under way or were cut off.',
    '# TYPE waypost_retention_moving gauge',
    `waypost_retention_moving ${count}`,
    '# HELP waypost_retention_moving_oldest_seconds Age of the oldest of them.',
    '# TYPE waypost_retention_moving_oldest_seconds gauge',
    `waypost_retention_moving_oldest_seconds ${age}`,
    '# HELP waypost_retention_rows Raw facts that were retired.',
    '# TYPE waypost_retention_rows gauge',
    ...retired.map(({ table, rows }) => `waypost_retention_rows{table="${table}"} ${rows}`),
    '',
  ].join('\n')
}
