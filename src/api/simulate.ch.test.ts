import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { applyConfiguration, findVersion } from '#configuration'
import { withEdge } from '#edge/test-edge'
import { createLogLines } from '#platform/log-lines'
import { encodeRecord, type ClickRecord } from '#records'
import type { ReadableLog } from '#simulation'

import { startApi } from './start-api.ts'
import { eventWith, NOW_MS, OWNER_KEY, withApi, type Answer, type AskOptions, type TestApi } from './test-api.ts'

type Json = Record<string, unknown>
type Rows = readonly (Json & { readonly clicks: number })[]

const ROUTES = `
fallback_url: "https://fallback.example/"
advertisers: { acme: {} }
affiliates: { anna: { advertiser_ids: [acme] } }
offers:
  lamp:
    advertiser_id: acme
    landings: [{ landing_id: a, url: "https://a.example/", weight: 60 }, { landing_id: b, url: "https://b.example/", weight: 40 }]
    prices: [{ type: sale, payout: 5, revenue: 8 }]
  torch: { advertiser_id: acme, landing_url: "https://torch.example/", prices: [{ type: sale, payout: 1, revenue: 2 }] }
campaigns:
  summer:
    advertiser_id: acme
    bind: { flow_hours: 24 }
    flows:
      - { flow_id: german, weight: 30, rule: { language: de }, offers: [{ offer_id: lamp }] }
      - { flow_id: both, weight: 70, offers: [{ offer_id: lamp, weight: 50 }, { offer_id: torch, weight: 50 }] }
  winter: { advertiser_id: acme, affiliate_id: anna, offer_id: torch }
links:
  go: { campaign_id: summer, affiliate_id: anna }
`

const PERIOD = { from: new Date(NOW_MS - 3_600_000).toISOString(), to: new Date(NOW_MS).toISOString() }
const CLICKS = 400

/** Clicks that a real edge decided and recorded. */
async function clicksOf(t: TestContext, { pool }: TestApi): Promise<readonly ClickRecord[]> {
  const applied = await applyConfiguration(pool, ROUTES, { by: 'test' })
  assert.ok(applied.kind === 'applied', JSON.stringify(applied))
  let at = NOW_MS - 3_000_000
  const edge = await withEdge(t, (await findVersion(pool, undefined))!.snapshot, {
    clock: { now: () => (at += 1_000) },
  })
  for (let index = 0; index < CLICKS; index += 1) {
    const path = ['/go?sub1=x', '/click?c=summer', '/click?c=summer&o=torch', '/click?c=winter', '/gone', '/go?flow_id=german&landing_id=b'][index % 6]! // prettier-ignore
    const headers = {
      'accept-language': index % 4 === 0 ? 'de-DE' : 'en',
      cookie: index % 5 === 0 ? 'wp_b=summer|both|zzzzzzz||||' : '',
    }
    await edge.ask(path, { headers })
  }
  return (await edge.records()) as readonly ClickRecord[]
}

const simulate = ({ ask }: Pick<TestApi, 'ask'>, body: object, more: AskOptions = {}): Promise<Answer> =>
  ask('/v1/routing/simulate', { method: 'POST', body: { ...PERIOD, ...body }, ...more })

const sumOf = (rows: unknown): number => (rows as Rows).reduce((sum, { clicks }) => sum + clicks, 0)

test('the version that decided sends every click where it went', async (t) => {
  const api = await withApi(t)
  const clicks = await clicksOf(t, api)
  await api.feed(clicks)
  const { body, status, text } = await simulate(api, { version: 2 })
  assert.equal(status, 200, text)
  const { not_reproduced_examples: examples, ...counts } = body['clicks'] as Json
  assert.deepEqual(counts, {
    in_period: CLICKS,
    decided: CLICKS,
    from_log: CLICKS,
    from_facts: 0,
    not_reproduced: 0,
    version_unknown: 0,
    unreadable: 0,
    is_cut: false,
  })
  assert.deepEqual([body['moved'], body['sample'], body['movements'], examples], [0, 1, [], []])
  assert.deepEqual(body['before'], body['after'])
  assert.equal(sumOf(body['before']), CLICKS)
  t.diagnostic(`${String(body['clicks_per_second'])} clicks/s with the start of the thread`)
})

test('says what a changed file would have moved, from where to where, and applies nothing', async (t) => {
  const api = await withApi(t)
  const clicks = await clicksOf(t, api)
  await api.feed(clicks)
  const configuration = 'links: { go: { campaign_id: winter, affiliate_id: anna } }'
  const { body } = await simulate(api, { configuration })
  assert.deepEqual([body['config_version'], body['is_saved']], [3, false])
  // A flow that the link's query names is not one of the other campaign.
  const expected = clicks.filter(({ link_code }) => link_code === 'go').length
  assert.deepEqual([body['moved'], sumOf(body['movements'])], [expected, expected])
  const targets = (body['movements'] as { from: Json; to: Json }[]).map(({ from, to }) => [from['campaign_id'], to['offer_id'] ?? to['refusal']]) // prettier-ignore
  assert.deepEqual([...new Set(targets.map(String))].sort(), ['summer,flow_unknown', 'summer,torch'])
  assert.equal((await findVersion(api.pool, undefined))!.version, 2)
})

test('reads from the facts what the log has dropped, with the same result', async (t) => {
  const api = await withApi(t)
  const clicks = await clicksOf(t, api)
  await api.feed(clicks)
  const configuration = 'offers: { torch: { advertiser_id: acme, status: paused, landing_url: "https://torch.example/", prices: [{ type: sale, payout: 1, revenue: 2 }] } }' // prettier-ignore
  const fromLog = await simulate(api, { configuration })
  const simulateThere = await withLog(t, api, { partitions: async () => [], bounds: assert.fail, read: assert.fail })
  const fromFacts = await simulateThere({ configuration })
  const { clicks: logged, clicks_per_second: _, ...rest } = fromLog.body
  const { clicks: kept, clicks_per_second: _other, ...restOfFacts } = fromFacts.body
  assert.deepEqual(restOfFacts, rest)
  assert.deepEqual([(logged as Json)['from_log'], (kept as Json)['from_facts']], [CLICKS, CLICKS])
  assert.ok((rest['moved'] as number) > 0)
})

test('takes a sample of a period that has more clicks than it may decide', async (t) => {
  const api = await withApi(t)
  await api.feed(await clicksOf(t, api))
  const { body } = await simulate(api, { version: 2, clicks_max: 100 })
  const { decided, in_period } = body['clicks'] as { decided: number; in_period: number }
  assert.equal(in_period, CLICKS)
  assert.ok(decided > 50 && decided <= 100, String(decided))
  assert.equal(body['sample'], 95 / CLICKS)
})

test('expects earnings by what a click of each offer brought, and says where it does not know', async (t) => {
  const api = await withApi(t)
  const clicks = await clicksOf(t, api)
  const ofOffer = (offerId: string) => clicks.filter(({ offer_id, outcome }) => offer_id === offerId && outcome === 'redirected') // prettier-ignore
  const [lamp, torch] = [ofOffer('lamp'), ofOffer('torch')]
  assert.ok(lamp.length >= 100 && torch.length >= 100)
  const sales = [...lamp.slice(0, 20), ...torch.slice(0, 5)].map(({ click_id }) => eventWith(click_id, 'sale'))
  await api.feed([...clicks, ...sales])
  const paused = 'offers: { torch: { advertiser_id: acme, status: paused, landing_url: "https://torch.example/", prices: [{ type: sale, payout: 1, revenue: 2 }] } }' // prettier-ignore
  const { body } = await simulate(api, { configuration: paused })
  const earnings = body['earnings'] as { by_currency: Json[]; rates: Json[]; unknown: Json[] }
  const after = (body['after'] as Rows).filter(
    ({ offer_id, outcome }) => offer_id === 'lamp' && outcome === 'redirected',
  )
  const lampAfter = sumOf(after)
  assert.deepEqual(earnings.unknown, [{ offer_id: 'torch', clicks_before: torch.length, clicks_after: 0 }])
  assert.deepEqual(earnings.rates, [
    {
      offer_id: 'lamp',
      country: '',
      currency: 'USD',
      observed_clicks: lamp.length,
      observed_conversions: 20,
      revenue_per_click: earnings.rates[0]!['revenue_per_click'],
      payout_per_click: earnings.rates[0]!['payout_per_click'],
      clicks_before: lamp.length,
      clicks_after: lampAfter,
    },
  ])
  const [{ currency, revenue }] = earnings.by_currency as [{ currency: string; revenue: Json }]
  const near = (text: unknown, wanted: number): void => assert.ok(Math.abs(Number(text) - wanted) < 0.01, `${String(text)} ${wanted}`) // prettier-ignore
  assert.equal(currency, 'USD')
  near(revenue['before'], 160)
  near(revenue['after'], (160 * lampAfter) / lamp.length)
  const difference = (160 * (lampAfter - lamp.length)) / lamp.length
  const margin = (1.96 * Math.sqrt(20 * 8 ** 2) * (lampAfter - lamp.length)) / lamp.length
  near(revenue['difference'], difference)
  near(revenue['difference_low'], difference - margin)
  near(revenue['difference_high'], difference + margin)
})

const CAPPED = (caps: string): string => `
advertisers: { acme: {} }
offers:
  lamp: { advertiser_id: acme, landing_url: "https://a.example/", prices: [{ type: sale, payout: 5, revenue: 8 }], cap_fallbacks: [torch], caps: [${caps}] }
  torch: { advertiser_id: acme, landing_url: "https://torch.example/", prices: [{ type: sale, payout: 1, revenue: 2 }] }
campaigns:
  main: { advertiser_id: acme, offer_id: lamp }
`

/** Clicks of two edges, ten seconds apart, whose offer takes so many. */
async function cappedClicksOf(t: TestContext, { pool }: TestApi, caps: string): Promise<readonly ClickRecord[]> {
  const applied = await applyConfiguration(pool, CAPPED(caps), { by: 'test' })
  assert.ok(applied.kind === 'applied', JSON.stringify(applied))
  const { snapshot } = (await findVersion(pool, undefined))!
  const clock = { at: NOW_MS - 3_000_000, now: () => clock.at }
  const edge = await withEdge(t, snapshot, { clock })
  for (let index = 0; index < 200; index += 1) {
    clock.at += 10_000
    await edge.ask('/click?c=main')
  }
  return (await edge.records()) as readonly ClickRecord[]
}

const toLamp = ({ body }: Answer): number => sumOf((body['after'] as Rows).filter((row) => row['offer_id'] === 'lamp'))

test('tells what another limit of a cap would have made of the clicks, from the log and from the facts alike', async (t) => {
  const api = await withApi(t)
  const cap = (limit: number) => `{ cap_id: daily, metric: clicks, period: day, limit: ${limit} }`
  const clicks = await cappedClicksOf(t, api, cap(100))
  await api.feed(clicks)
  const simulateFacts = await withLog(t, api, { partitions: async () => [], bounds: assert.fail, read: assert.fail })
  // The first forty are counted and not decided.
  const from = new Date(clicks[40]!.at).toISOString()
  for (const ask of [(body: object) => simulate(api, body), simulateFacts as (body: object) => Promise<Answer>]) {
    const asked = async (limit: number) => {
      const answer = await ask({ from, configuration: CAPPED(cap(limit)) })
      assert.equal(answer.status, 200, JSON.stringify(answer.body))
      return [toLamp(answer), answer.body['moved'], answer.body['caps']]
    }
    const caps = {
      counted_from: '2026-11-20T00:00:00.000Z',
      asked: 160,
      shifted: 0,
      expected_conversions: 0,
      is_cut: false,
    }
    assert.deepEqual(await asked(100), [60, 0, caps])
    assert.deepEqual(await asked(150), [110, 50, caps])
    assert.deepEqual(await asked(45), [5, 55, caps])
    assert.deepEqual(await asked(30), [0, 60, caps])
  }
  // More clicks lie between the begin of the day and the period than may be decided.
  const { body } = await simulate(api, { from, clicks_max: 30, configuration: CAPPED(cap(100)) })
  assert.equal((body['caps'] as Json)['counted_from'], from)
  assert.ok(toLamp({ body } as Answer) < 20)
})

test('settles the conversions of the period at their times', async (t) => {
  const api = await withApi(t)
  const cap = (limit: number) => `{ cap_id: daily, metric: conversions, period: day, mode: soft, limit: ${limit} }`
  const clicks = await cappedClicksOf(t, api, cap(1_000))
  await api.feed(clicks)
  await api.feed(
    clicks
      .filter((_, index) => index % 10 === 0)
      .map(({ click_id, at }) => ({ ...eventWith(click_id, 'sale'), at: at + 1_000 })),
  )
  const { body, status } = await simulate(api, {
    to: new Date(NOW_MS + 60_000).toISOString(),
    configuration: CAPPED(cap(5)),
  })
  assert.equal(status, 200, JSON.stringify(body))
  const told = body['caps'] as Json
  assert.deepEqual([told['asked'], told['shifted'], told['is_cut']], [200, 0, false])
  // The fifth conversion is that of the 41st click.
  assert.deepEqual([toLamp({ body } as Answer), sumOf(body['movements'])], [41, 159])
})

test('counts clicks apart whose decision hung on something that is not kept', async (t) => {
  const api = await withApi(t)
  const clicks = await clicksOf(t, api)
  const index = clicks.findIndex(({ flow_id, trace }) => flow_id === 'german' && trace.includes('a'))
  const strange = clicks.map((click, at) => (at === index ? { ...click, trace: 'c0;f0' } : { ...click, ...(at === 0 && { config_version: 77 }) })) // prettier-ignore
  await api.feed(strange)
  const { body } = await simulate(api, { version: 2 })
  const counts = body['clicks'] as Json
  assert.deepEqual([counts['version_unknown'], counts['not_reproduced'], counts['decided']], [1, 1, CLICKS - 2])
  assert.deepEqual(counts['not_reproduced_examples'], [clicks[index]!.click_id])
})

test('refuses periods that make no sense, and keys of others', async (t) => {
  const api = await withApi(t)
  const errorOf = ({ status, body }: Answer) => [
    status,
    (body['error'] as Json)['code'],
    (body['error'] as Json)['path'],
  ]
  assert.deepEqual(errorOf(await simulate(api, { to: PERIOD.from })), [400, 'request_invalid', 'to'])
  assert.deepEqual(errorOf(await simulate(api, { from: '2026-10-01T00:00:00Z' })), [400, 'request_invalid', 'from'])
  assert.deepEqual(errorOf(await simulate(api, { clicks_max: 1_000_001 })), [400, 'request_invalid', 'clicks_max'])
  assert.deepEqual(errorOf(await simulate(api, { configuration: 'offers: { x: {} }' })).slice(0, 2), [422, 'configuration_invalid']) // prettier-ignore
  const key = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  assert.deepEqual(errorOf(await simulate(api, {}, { key })), [403, 'forbidden', undefined])
})

test('a simulation that takes longer than its limit ends, and the next may run', async (t) => {
  const api = await withApi(t, { limits: { simulationTimeoutMs: 1 } })
  for (let count = 0; count < 2; count += 1) {
    const { status, body } = await simulate(api, {})
    assert.deepEqual([status, (body['error'] as Json)['code']], [422, 'query_too_expensive'])
  }
})

test('runs one simulation at a time, and ends it when its request is closed', async (t) => {
  const api = await withApi(t)
  const [click] = await clicksOf(t, api)
  const record = { offset: 0, appendedAt: NOW_MS, payload: encodeRecord(click!) }
  const reads = { left: Number.POSITIVE_INFINITY, done: 0 }
  const reading = Promise.withResolvers<void>()
  const endless: ReadableLog = {
    partitions: async () => ['edge-0'],
    bounds: async () => ({ firstOffset: 0, nextOffset: reads.left === 0 ? 0 : 1_000_000_000 }),
    read: async (partition, firstOffset, { maxRecords }) => {
      reads.done += 1
      if (reads.done > 100) reading.resolve()
      const records = Array.from({ length: maxRecords }, () => record)
      return { partition, firstOffset, nextOffset: firstOffset + maxRecords, records, damaged: [] }
    },
  }
  const simulateThere = await withLog(t, api, endless)
  const controller = new AbortController()
  const closed = simulateThere({ clicks_max: 1_000_000 }, controller.signal)
  await reading.promise
  const busy = await simulateThere({})
  assert.deepEqual([busy.status, (busy.body['error'] as Json)['code']], [409, 'simulation_running'])
  controller.abort()
  await assert.rejects(closed, { name: 'AbortError' })
  reads.left = 0
  // The server hears of it a moment later.
  let next = await simulateThere({})
  while (next.status === 409) next = await simulateThere({})
  assert.equal(next.status, 200)
  const { done } = reads
  await simulateThere({})
  assert.equal(reads.done, done)
})

/** The same API over HTTP with another log. */
async function withLog(t: TestContext, { pool, facts, hotState, clock }: TestApi, log: ReadableLog) {
  const api = await startApi({
    ...{ log, pool, facts, hotState, clock },
    config: { apiHost: '127.0.0.1', apiPort: 0, edgePort: 8080, sub2AllowedKeys: [] },
    openEnricher: () => assert.fail('Nobody asks for that here.'),
    snapshots: { current: () => undefined, isFresh: () => true },
    logLines: createLogLines('test', 'silent'),
  })
  t.after(() => api.stop())
  return async (body: object, signal?: AbortSignal): Promise<Pick<Answer, 'status' | 'body'>> => {
    const response = await fetch(`http://127.0.0.1:${api.port}/v1/routing/simulate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${OWNER_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...PERIOD, ...body }),
      ...(signal && { signal }),
    })
    return { status: response.status, body: (await response.json()) as Json }
  }
}
