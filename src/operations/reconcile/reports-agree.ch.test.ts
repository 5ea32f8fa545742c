import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'

import { createMemoryCaps } from '#caps'
import { changeStatus, correctAmounts } from '#conversions'
import { startEdge } from '#edge'
import { send, type Ask } from '#edge/test-edge'
import { openEnricher } from '#enrichment'
import { withInstallation, type TestInstallation } from '#pipeline/test-installation'
import { newUuidV7 } from '#platform/ids'
import { createLogLines } from '#platform/log-lines'
import { createRandom, type Random } from '#platform/random'
import { decodeRecord, type ClickRecord, type LoggedRecord } from '#records'
import { assertAgrees, questionsOf, readLog, worldTenants, type Revision } from '#reports/test-world'
import type { Snapshot } from '#routing'
import { advertiser, affiliate, campaign, flow, offer, snapshot } from '#routing/test-snapshots'
import { relayedSnapshots } from '#snapshots'

import { reconcile } from './reconcile.ts'

/** The whole way of a number: requests over HTTP, the log, the pipeline, both databases, and the report at the end of it, which
 * must say what a slow reference reads from the log and the books.
 */
const STEPS = 420
/** The night on which clocks go back in Europe lies in the middle. */
const START = Date.UTC(2026, 9, 24, 12)
const DAYS = ['2026-10-24', '2026-10-25', '2026-10-26', '2026-10-27']

const prices = [
  { type: 'lead', payout_micros: 4_000_000, revenue_micros: 6_000_000, status: 'pending' },
  { type: 'sale', payout_micros: 40_000_000, revenue_micros: 60_000_001, status: 'approved' },
] as const

const site: Snapshot = snapshot({
  advertisers: [advertiser(), advertiser({ advertiser_id: 'brand', currency: 'EUR' })],
  affiliates: [
    affiliate({ advertiser_ids: ['acme', 'brand'] }),
    affiliate({ affiliate_id: 'bert', advertiser_ids: ['acme', 'brand'] }),
  ],
  offers: [
    offer('casino', { prices: [...prices], custom_events: ['kyc'] }),
    offer('poker', { prices: [...prices], custom_events: ['kyc'], status: 'paused' }),
    offer('shop', { prices: [...prices], custom_events: ['kyc'], advertiser_id: 'brand', currency: 'EUR' }),
  ],
  campaigns: [
    campaign({ campaign_id: 'spring', flows: [flow('f1', { offers: [{ offer_id: 'casino', weight: 1 }] })] }),
    campaign({ campaign_id: 'autumn', flows: [flow('f2', { offers: [{ offer_id: 'casino', weight: 1 }] })] }),
    campaign({ campaign_id: 'winter', advertiser_id: 'brand', flows: [flow('f3', { offers: [{ offer_id: 'shop', weight: 1 }] })] }),
  ],
}) // prettier-ignore

const pick = <Value>(random: Random, from: readonly Value[]): Value => from[Math.floor(random() * from.length)]!

const AGENTS = [
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
  'curl/8.5.0',
]
const TARGETS = ['c=spring', 'c=autumn', 'c=winter', 'o=casino', 'o=shop', 'o=poker', 'c=nowhere']
const LABELS = [
  'sub1=a',
  'sub1=b&sub2=geo-TR|dev-m',
  'sub30=%F0%9F%98%80',
  'utm_source=x',
  '',
  'creative_id=banner&source=fb',
]
const COSTS = ['cost=0.25&currency=EUR', 'cost=1.5&currency=USD', '', 'cost=nothing']
const HEADERS = [{ referer: 'https://News.example:81/a?b' }, { referer: 'https://m.facebook.com/' }, { ect: '4g' }, {}]

/** Somebody with a browser, with what it keeps. */
type Person = { readonly agent: string; cookie: string | undefined }

/** Sends a few days of traffic, some minutes apart: clicks of people who come again with and without their cookie, repeats,
 * prefetches, links that lead nowhere, events, postbacks.
 */
async function sendTraffic(
  w: TestInstallation,
  ask: (path: string, ask?: Ask) => ReturnType<typeof send>,
  clock: { nowMs: number },
): Promise<void> {
  const random = createRandom(20_261_025)
  const people: Person[] = Array.from({ length: 40 }, () => ({ agent: pick(random, AGENTS), cookie: undefined }))
  const clickIds: string[] = []
  const click = async (): Promise<void> => {
    const person = pick(random, people)
    const labels = [
      pick(random, TARGETS),
      pick(random, LABELS),
      pick(random, COSTS),
      `a=${pick(random, ['ann', 'bert'])}`,
    ]
    if (random() < 0.1) labels.push(`clickid=${random() < 0.5 && clickIds.length > 0 ? pick(random, clickIds) : newUuidV7(clock.nowMs - 7)}`) // prettier-ignore
    const headers: Record<string, string> = { 'user-agent': person.agent, 'accept-language': pick(random, ['de', 'tr-TR']) } // prettier-ignore
    Object.assign(
      headers,
      pick<Record<string, string>>(random, HEADERS),
      random() < 0.05 ? { purpose: 'prefetch' } : {},
    )
    if (person.cookie !== undefined && random() < 0.8) headers['cookie'] = person.cookie
    const answer = await ask(`/click?${labels.join('&')}`, { headers, method: random() < 0.04 ? 'HEAD' : 'GET' })
    person.cookie ??= answer.headers['set-cookie']?.[0]?.split(';')[0]
    const clickId = /clickid=([\w-]+)/.exec(answer.headers.location ?? '')?.[1]
    if (clickId !== undefined) clickIds.push(clickId)
  }
  const event = async (): Promise<void> => {
    const type = pick(random, ['open', 'open', 'lp_click', 'lp_leave', 'reg', 'deposit', 'kyc', 'unheard_of'])
    const clickid = clickIds.length > 0 && random() < 0.95 ? pick(random, clickIds) : newUuidV7(clock.nowMs)
    const body = JSON.stringify({
      ...{ type, clickid, ...(random() < 0.5 && { txid: pick(random, ['1', '2']) }) },
      ...(type === 'lp_leave' && { time_on_page_ms: Math.floor(random() * 60_000) }),
    })
    const ofPage = { method: 'POST', headers: { 'content-type': 'application/json', 'user-agent': pick(random, AGENTS) }, body } // prettier-ignore
    await ask('/event', ofPage)
    if (random() < 0.1) await ask('/event', ofPage)
  }
  const postback = async (): Promise<void> => {
    const clickId = clickIds.length > 0 ? pick(random, clickIds) : 'none'
    const status = pick(random, ['sale', 'lead', 'approved', 'rejected', 'what'])
    await ask(
      `/postback?clickid=${clickId}&status=${status}&txid=${pick(random, ['1', '2'])}&payout=${pick(random, ['3', '7.5'])}`,
    )
  }
  for (let step = 0; step < STEPS; step++) {
    clock.nowMs += Math.floor(random() * 16 * 60_000)
    const dice = random()
    await (dice < 0.5 ? click() : dice < 0.8 ? event() : postback())
    if (step % 140 === 139) await w.drain()
  }
}

async function readRecords({ log }: TestInstallation): Promise<readonly LoggedRecord[]> {
  const records: LoggedRecord[] = []
  for (const partition of await log.partitions()) {
    const { records: read } = await log.read(partition, 0, { maxRecords: 100_000, maxBytes: 100_000_000 })
    records.push(...read.map(({ payload }) => decodeRecord(payload)!))
  }
  return records.sort((a, b) => a.at - b.at)
}

type RevisionRow = {
  conversion_id: string
  revision: number
  click: ClickRecord
  created_at: Date
  revised_at: Date
  type: Revision['type']
  goal: string
  txid: string
  currency: string
  status: Revision['status']
  raw_status: string | null
  payout_micros: bigint
  revenue_micros: bigint
  sale_amount_micros: bigint
}

async function readRevisions({ pool }: TestInstallation): Promise<readonly Revision[]> {
  const { rows } = await pool.query<RevisionRow>(`
    SELECT c.conversion_id, r.revision, c.click, c.created_at, r.revised_at, c.type, c.goal, c.txid, c.currency, r.status, r.raw_status,
      r.payout_micros, r.revenue_micros, r.sale_amount_micros
    FROM conversion_revisions r JOIN conversions c USING (conversion_id) ORDER BY r.seq`)
  return rows.map((row) => ({
    conversionId: row.conversion_id,
    revision: row.revision,
    click: row.click,
    at: row.created_at.getTime(),
    revisedAt: row.revised_at.getTime(),
    type: row.type,
    goal: row.goal,
    txid: row.txid,
    currency: row.currency,
    status: row.status,
    rawStatus: row.raw_status ?? undefined,
    payoutMicros: row.payout_micros,
    revenueMicros: row.revenue_micros,
    saleAmountMicros: row.sale_amount_micros,
  }))
}

async function changeByHand(w: TestInstallation, nowMs: number): Promise<void> {
  const { rows } = await w.pool.query<{ id: string; type: string }>(
    `SELECT conversion_id AS id, type FROM conversions ORDER BY created_at, conversion_id`,
  )
  const by = { by: 'test', at: nowMs }
  await changeStatus(w.pool, w.snapshot, { conversionId: rows[0]!.id, status: 'rejected', ...by })
  const amounts = { payoutMicros: 1_230_000n, revenueMicros: 4_000_001n }
  await correctAmounts(w.pool, w.snapshot, { conversionId: rows[1]!.id, ...amounts, reason: 'agreed', ...by })
}

async function withSite(t: TestContext) {
  const w = await withInstallation(t)
  w.snapshot = site
  const clock = { nowMs: START }
  const edge = await startEdge({
    config: { edgeHost: '127.0.0.1', edgePort: 0, sub2AllowedKeys: [], trustedProxies: [] },
    log: w.log,
    hotState: w.hotState,
    caps: createMemoryCaps(),
    snapshots: relayedSnapshots(site),
    enricher: openEnricher({ geoFiles: [] }),
    clock: { now: () => clock.nowMs },
    logLines: createLogLines('test', 'silent'),
  })
  return { w, clock, edge }
}

test('reports say what came over HTTP, from the request to the last cell, and the books balance', async (t) => {
  const { w, clock, edge } = await withSite(t)
  try {
    await sendTraffic(w, (path, ask) => send(edge.port, path, ask), clock)
  } finally {
    await edge.stop()
  }
  await w.drain()
  await changeByHand(w, clock.nowMs)
  await w.drain()
  const records = await readRecords(w)
  const happened = readLog({
    clicks: records.filter((record) => record.kind === 'click'),
    events: records.filter((record) => record.kind === 'event'),
    revisions: await readRevisions(w),
    costs: [],
    days: DAYS,
  })
  assert.ok(happened.clicks.length > 150 && happened.events.length > 80 && happened.conversions.length > 30)
  const asked = fc
    .constantFrom(...worldTenants)
    .chain((tenant) => questionsOf(tenant, DAYS).map((question) => ({ tenant, question })))
  await fc.assert(
    fc.asyncProperty(asked, ({ tenant, question }) => assertAgrees(w.facts, happened, tenant, question)),
    { numRuns: 12, seed: 5 },
  )
  const { verdict, checks } = await reconcile({ log: w.log, pool: w.pool, facts: w.facts, waitMsMax: 0 })
  assert.deepEqual(checks.filter(({ isBalanced }) => !isBalanced), []) // prettier-ignore
  assert.equal(verdict, 'balanced')
})
