import { join } from 'node:path'
import type { TestContext } from 'node:test'

import type { FastifyInstance, InjectOptions } from 'fastify'

import { createApiKey, ensureOwnerKey, type NewApiKey } from '#accounts'
import { applyConfiguration } from '#configuration'
import { openEnricher as openVisitorEnricher } from '#enrichment'
import { openLmdbHotState, type HotState } from '#hot-state'
import { openFileLog } from '#log'
import { startPipeline } from '#pipeline'
import { knowRetired } from '#reports'
import { retiredFacts } from '#retention'
import type { FactsClient } from '#platform/clickhouse'
import { fixedClock, systemClock } from '#platform/clock'
import { newClickId, newUuidV7, type ClickId } from '#platform/ids'
import { createLogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { encodeRecord, type ClickRecord, type EventRecord, type LoggedRecord, type PostbackRecord } from '#records'
import { encodeTrace } from '#routing'
import { followSnapshots } from '#snapshots'
import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { createApi, type ApiOptions } from './start-api.ts'

export const OWNER_KEY = 'owner-key-of-the-test'
export const NOW_MS = Date.UTC(2026, 10, 20, 12)

/** Two advertisers that must never meet, an affiliate that works for both, and one that works for the second only. */
const CONFIGURATION = `
advertisers:
  acme: { timezone: Europe/Berlin, currency: EUR, domains: [acme.example] }
  globex: { currency: USD }
affiliates:
  anna: { advertiser_ids: [acme, globex] }
  bert: { advertiser_ids: [globex] }
offers:
  acme-lamp:
    advertiser_id: acme
    landing_url: https://acme.example/?cid={clickid}
    prices: [{ type: lead, payout: 2.50, revenue: 4 }, { type: sale, payout: 30, revenue: 45, status: pending }]
    postback: { secrets: [acme-secret-1] }
  globex-car:
    advertiser_id: globex
    landing_url: https://globex.example/?cid={clickid}
    prices: [{ type: sale, payout: 100, revenue: 150 }]
campaigns:
  acme-main: { advertiser_id: acme, affiliate_id: anna, offer_id: acme-lamp }
  globex-main: { advertiser_id: globex, offer_id: globex-car }
endpoints:
  annas-tracker: { affiliate_id: anna, url: "https://anna.example/?c={click_id}&p={payout}", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= }
  globexs-crm: { advertiser_id: globex, url: "https://crm.example/?g={click_id}" }
  acmes-crm: { advertiser_id: acme, url: "https://crm.example/?c={click_id}" }
`

export type TestApi = {
  readonly server: FastifyInstance
  readonly pool: Pool
  readonly facts: FactsClient
  readonly hotState: HotState
  readonly clock: ReturnType<typeof fixedClock>
  readonly databaseUrl: string
  /** Asks as the holder of a key; the owner's where none is given. */
  readonly ask: (url: string, options?: AskOptions) => Promise<Answer>
  /** Writes records into a log and lets a pipeline take them into facts, conversions, ledger and deliveries. */
  readonly feed: (records: readonly LoggedRecord[]) => Promise<void>
  readonly keyFor: (wanted: Omit<NewApiKey, 'name' | 'scopes'>, scopes?: NewApiKey['scopes']) => Promise<string>
}

export type AskOptions = {
  readonly key?: string | undefined
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly body?: object | string
  readonly type?: string
}
export type Answer = {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

/** The API over real engines with a database of its own, a configuration applied and the owner's key in place. */
export async function withApi(t: TestContext, changes: Partial<ApiOptions> = {}): Promise<TestApi> {
  // Hooks run in the order of their registration: ours must end before those of the engines.
  const closings: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const close of closings) await close()
  })
  const directory = withTempDir(t)
  const { pool, url } = await withDatabase(t)
  const facts = await withClickHouse(t)
  const tables = ['clicks', 'events', 'conversions', 'costs', 'kept_clicks', 'kept_events', 'kept_conversions']
  for (const table of tables) await facts.command({ query: `TRUNCATE TABLE ${table}` })
  const logLines = createLogLines('test', 'silent')
  const hotState = openLmdbHotState({ directory: join(directory, 'hot-state') })
  closings.unshift(() => hotState.close())
  const clock = fixedClock(NOW_MS)
  await ensureOwnerKey(pool, OWNER_KEY, { name: 'test', clock })
  const applied = await applyConfiguration(pool, CONFIGURATION, { by: 'test', clock })
  if (applied.kind !== 'applied') throw new Error(JSON.stringify(applied))
  const cacheFile = join(directory, 'snapshot.json')
  const snapshots = followSnapshots({ databaseUrl: url, cacheFile, logLines, clock: systemClock })
  closings.unshift(() => snapshots.stop())
  await snapshots.firstLook()
  const config = { apiHost: '127.0.0.1', apiPort: 0, edgePort: 8080, sub2AllowedKeys: [] }
  const log = await openFileLog({ directory: join(directory, 'log'), logLines })
  closings.unshift(() => log.close())
  const openEnricher = () => openVisitorEnricher({ geoFiles: [] })
  const { places } = changes.retention ?? { places: { directory: undefined, s3: undefined } }
  knowRetired(facts, retiredFacts({ pool, facts, places }))
  const server = await createApi({
    config,
    openEnricher,
    exportsDirectory: join(directory, 'exports'),
    log,
    pool,
    facts,
    hotState,
    snapshots,
    clock,
    logLines,
    ...changes,
  })
  closings.unshift(() => server.close())
  return {
    ...{ server, pool, facts, hotState, clock },
    databaseUrl: url,
    ask: (path, options) => ask(server, path, options),
    keyFor: (wanted, scopes) => makeKey(pool, wanted, scopes),
    feed: async (records) => {
      const log = await openFileLog({ directory: join(directory, 'log'), logLines, clock })
      const writer = await log.openWriter('edge-0')
      await Promise.all(records.map((record) => writer.append(encodeRecord(record))))
      const pipeline = await startPipeline({ log, hotState, pool, facts, snapshots, clock, logLines })
      await pipeline.drained()
      await pipeline.stop()
      await writer.close()
      await log.close()
    },
  }
}

let lastMs = NOW_MS - 3_600_000
/** A later millisecond with each call: no two records of a test happen at once. */
const nextMs = (): number => ++lastMs

/** A click of anna's on acme's lamp. */
export function clickWith(more: Partial<ClickRecord> = {}): ClickRecord {
  const at = nextMs()
  const trace = encodeTrace([
    { kind: 'campaign', campaign: 0 },
    { kind: 'flow_taken', flow: 0 },
    { kind: 'offer_taken', offer: 0 },
    { kind: 'landing_taken', landing: 0 },
  ])
  return {
    ...{ kind: 'click', class: 'click', outcome: 'redirected', click_id: newClickId(at), at, config_version: 1, trace },
    ...{
      advertiser_id: 'acme',
      campaign_id: 'acme-main',
      flow_id: 'acme-main',
      offer_id: 'acme-lamp',
      landing_id: 'acme-lamp',
    },
    ...{ affiliate_id: 'anna', ip: '192.0.2.1', country: 'DE', user_agent: 'test', visitor_code: newUuidV7(at) },
    ...more,
  }
}

export const globexPlace = {
  advertiser_id: 'globex',
  campaign_id: 'globex-main',
  flow_id: 'globex-main',
  offer_id: 'globex-car',
  landing_id: 'globex-car',
}

export function eventWith(clickId: ClickId, type: string, more: Partial<EventRecord> = {}): EventRecord {
  const at = nextMs()
  return { kind: 'event', event_id: newUuidV7(at), at, click_id: clickId, type, ip: '192.0.2.1', ...more }
}

export function postbackWith(clickId: ClickId, more: Partial<PostbackRecord> = {}): PostbackRecord {
  const at = nextMs()
  const ids = { click_id: clickId, raw_click_id: clickId, authenticated_offer_ids: ['acme-lamp', 'globex-car'] }
  return {
    kind: 'postback',
    postback_id: newUuidV7(at),
    at,
    via: 'postback',
    ip: '198.51.100.1',
    raw: '',
    ...ids,
    ...more,
  }
}

async function ask(
  server: FastifyInstance,
  url: string,
  { key = OWNER_KEY, method = 'GET', body, type }: AskOptions = {},
): Promise<Answer> {
  const headers = {
    ...(key !== '' && { authorization: `Bearer ${key}` }),
    ...(type !== undefined && { 'content-type': type }),
  }
  const request: InjectOptions = { method, url, headers, ...(body !== undefined && { payload: body }) }
  const response = await server.inject(request)
  const isJson = String(response.headers['content-type']).includes('json')
  return {
    status: response.statusCode,
    body: isJson ? response.json<Record<string, unknown>>() : {},
    headers: response.headers,
    text: response.body,
  }
}

async function makeKey(
  pool: Pool,
  wanted: Omit<NewApiKey, 'name' | 'scopes'>,
  scopes: NewApiKey['scopes'] = ['read'],
): Promise<string> {
  const created = await createApiKey(pool, { name: 'test', scopes, ...wanted }, fixedClock(NOW_MS))
  if (created.kind !== 'created') throw new Error(created.kind)
  return created.key
}
