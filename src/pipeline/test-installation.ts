import type { TestContext } from 'node:test'

import { openLmdbHotState, type HotState } from '#hot-state'
import { openFileLog, type EventLog, type LogWriter } from '#log'
import type { FactsClient } from '#platform/clickhouse'
import { fixedClock } from '#platform/clock'
import { newClickId, newUuidV7, type ClickId } from '#platform/ids'
import { createLogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { encodeRecord, type ClickRecord, type EventRecord, type LoggedRecord, type PostbackRecord } from '#records'
import type { Offer, PostbackEndpoint, Snapshot } from '#routing'
import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { startPipeline, type Pipeline, type PipelineOptions } from './pipeline.ts'

/** The engines of one test: a log, a hot state and a database of its own, and the facts emptied. */
export type TestInstallation = {
  readonly log: EventLog
  readonly hotState: HotState
  readonly pool: Pool
  readonly facts: FactsClient
  readonly writer: LogWriter
  /** What pipelines see; may be replaced. */
  snapshot: Snapshot
  /** Appends records and waits until they are durable. */
  readonly append: (...records: readonly LoggedRecord[]) => Promise<void>
  /** Starts a pipeline that is stopped after the test. */
  readonly start: (options?: Partial<PipelineOptions>) => Promise<Pipeline>
  /** Starts a pipeline, waits until all is in the facts, stops it. */
  readonly drain: (options?: Partial<PipelineOptions>) => Promise<void>
  /** The single number that a query of the facts answers. */
  readonly countFacts: (query: string) => Promise<number>
  /** The single row that a query of the database answers. */
  readonly row: <R extends object>(query: string, values?: unknown[]) => Promise<R>
}

export const PARTITION = 'edge-0'
const FACT_TABLES = ['clicks', 'events', 'conversions', 'costs', 'kept_clicks', 'kept_events', 'kept_conversions']

export async function withInstallation(t: TestContext): Promise<TestInstallation> {
  // Hooks run in the order of their registration: ours must end before those of the engines.
  const closings: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const close of closings) await close()
  })
  const directory = withTempDir(t)
  const logLines = createLogLines('test', 'silent')
  const { pool } = await withDatabase(t)
  const facts = await withClickHouse(t)
  for (const table of FACT_TABLES) await facts.command({ query: `TRUNCATE TABLE ${table}` })
  const log = await openFileLog({ directory: `${directory}/log`, logLines })
  const hotState = openLmdbHotState({ directory: `${directory}/hot-state` })
  const writer = await log.openWriter(PARTITION)
  const started: Pipeline[] = []
  closings.push(
    () => Promise.all(started.map((pipeline) => pipeline.stop())),
    () => writer.close(),
    () => log.close(),
    () => hotState.close(),
  )
  const installation: TestInstallation = {
    log,
    hotState,
    pool,
    facts,
    writer,
    snapshot: snapshotWith(),
    append: async (...records) => {
      await Promise.all(records.map((record) => writer.append(encodeRecord(record))))
    },
    start: async (options) => {
      const pipeline = await startPipeline({
        log,
        hotState,
        pool,
        facts,
        snapshots: { current: () => installation.snapshot },
        clock: fixedClock(Date.UTC(2026, 5, 1)),
        logLines,
        ...options,
      })
      started.push(pipeline)
      return pipeline
    },
    drain: async (options) => {
      const pipeline = await installation.start(options)
      await pipeline.drained()
      await pipeline.stop()
    },
    countFacts: async (query) => {
      const answer = await facts.query({ query, format: 'JSONCompactEachRow' })
      const [row] = await answer.json<readonly [string | number]>()
      return Number(row![0])
    },
    row: async <R extends object>(query: string, values: unknown[] = []) =>
      (await pool.query<R & Record<string, unknown>>(query, values)).rows[0]!,
  }
  return installation
}

export const offerWith = (changes: Partial<Offer> = {}): Offer => ({
  offer_id: 'casino',
  advertiser_id: 'acme',
  name: 'Casino',
  status: 'active',
  model: 'cpa',
  currency: 'USD',
  prices: [
    { type: 'lead', payout_micros: 4_000_000, revenue_micros: 6_000_000, status: 'pending' },
    { type: 'sale', payout_micros: 40_000_000, revenue_micros: 60_000_000, status: 'approved' },
  ],
  hold_days: 7,
  landings: [],
  event_map: { reg: 'lead', lead: 'lead', deposit: 'sale', sale: 'sale' },
  custom_events: [],
  status_map: {},
  postback: { secrets: [], hmac_secrets: [], allowed_addresses: [] },
  unique_ttl_hours: 24,
  click_lifetime_days: 0,
  ...changes,
})

export const endpoint: PostbackEndpoint = {
  endpoint_id: 'tracker',
  name: 'Tracker',
  status: 'active',
  scope: {},
  triggers: ['lead', 'sale', 'rejected', 'status_changed', 'hold_released'],
  method: 'GET',
  url: 'https://tracker.example/?c={click_id}&s={status}',
  timeout_ms: 1_000,
  max_concurrency: 1,
  max_attempts: 1,
  expires_hours: 120,
  allow_private_address: false,
}

export const snapshotWith = (changes: Partial<Snapshot> = {}): Snapshot => ({
  version: 1,
  created_at: '2026-01-01T00:00:00.000Z',
  advertisers: [
    { advertiser_id: 'acme', name: 'Acme', timezone: 'UTC', currency: 'USD', status: 'active', domains: [] },
  ],
  affiliates: [{ affiliate_id: 'ann', name: 'Ann', status: 'active', advertiser_ids: ['acme'] }],
  offers: [offerWith()],
  campaigns: [
    { campaign_id: 'spring', advertiser_id: 'acme', name: 'Spring', status: 'active', flows: [], unique_ttl_hours: 24 },
  ],
  links: [],
  endpoints: [endpoint],
  ...changes,
})

let lastMs = Date.UTC(2026, 5, 1)
/** A later millisecond with each call: no two records of a test happen at once. */
export const nextMs = (): number => ++lastMs

export function clickWith(changes: Partial<ClickRecord> = {}): ClickRecord {
  const at = nextMs()
  return {
    kind: 'click',
    click_id: newClickId(at),
    at,
    class: 'click',
    outcome: 'redirected',
    ip: '192.0.2.1',
    country: 'TR',
    user_agent: 'test',
    visitor_code: newUuidV7(at),
    config_version: 1,
    trace: '1',
    advertiser_id: 'acme',
    campaign_id: 'spring',
    offer_id: 'casino',
    affiliate_id: 'ann',
    ...changes,
  }
}

export function eventWith(clickId: ClickId, type: string, changes: Partial<EventRecord> = {}): EventRecord {
  const at = nextMs()
  return { kind: 'event', event_id: newUuidV7(at), at, click_id: clickId, type, ip: '192.0.2.1', ...changes }
}

export function postbackWith(clickId: ClickId, changes: Partial<PostbackRecord> = {}): PostbackRecord {
  const at = nextMs()
  return {
    kind: 'postback',
    postback_id: newUuidV7(at),
    at,
    via: 'postback',
    ip: '198.51.100.1',
    click_id: clickId,
    raw_click_id: clickId,
    authenticated_offer_ids: ['casino'],
    raw: '',
    ...changes,
  }
}
