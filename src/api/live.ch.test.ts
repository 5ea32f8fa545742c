import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import { revokeApiKey } from '#accounts'

import {
  clickWith,
  eventWith,
  globexPlace,
  NOW_MS,
  OWNER_KEY,
  postbackWith,
  withApi,
  type TestApi,
} from './test-api.ts'

type Message = { readonly event: string; readonly data: Record<string, unknown>; readonly id: string | undefined }
type Live = {
  readonly status: number
  readonly headers: Headers
  readonly body: () => Promise<string>
  /** The next message of this kind that fits, skipping others. */
  readonly next: (event: string, fits?: (data: Record<string, unknown>) => boolean) => Promise<Message>
  readonly close: () => void
}

async function listening(t: TestContext): Promise<TestApi & { readonly origin: string }> {
  const api = await withApi(t)
  await api.server.listen({ host: '127.0.0.1', port: 0 })
  return { ...api, origin: `http://127.0.0.1:${(api.server.server.address() as AddressInfo).port}` }
}

async function openLive(
  origin: string,
  query: string,
  key = OWNER_KEY,
  headers: Record<string, string> = {},
): Promise<Live> {
  const leaving = new AbortController()
  const response = await fetch(`${origin}/v1/live${query}`, {
    headers: { authorization: `Bearer ${key}`, ...headers },
    signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(20_000)]),
  })
  const messages = readMessages(response)
  return {
    status: response.status,
    headers: response.headers,
    body: () => response.text(),
    next: async (event, fits = () => true) => {
      for (;;) {
        const { value, done } = await messages.next()
        if (done === true) throw new Error(`The stream ended before ${event}.`)
        if (value.event === 'trouble') throw new Error(JSON.stringify(value.data))
        if (value.event === event && fits(value.data)) return value
      }
    },
    close: () => leaving.abort(),
  }
}

async function* readMessages(response: Response): AsyncGenerator<Message, undefined> {
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const event = field('event')
      if (event !== undefined)
        yield { event, data: JSON.parse(field('data')!) as Record<string, unknown>, id: field('id') }
    }
  }
  return undefined
}

const windowsOf = ({ data }: Message) => data['windows'] as readonly Record<string, unknown>[]
const summed = (windows: readonly Record<string, unknown>[], name: string): number =>
  windows.reduce((sum, window) => sum + Number(window[name]), 0)

test('counts what happened a moment ago, as reports do, and hides from an affiliate what is not its business', async (t) => {
  const api = await listening(t)
  const click = clickWith({ at: NOW_MS - 5_000 })
  await api.feed([
    click,
    clickWith({ at: NOW_MS - 5_000, bot: 'user_agent', country: 'AT' }),
    clickWith({ at: NOW_MS - 5_000, class: 'prefetch' }),
    clickWith({ at: NOW_MS - 4_000, ...globexPlace, affiliate_id: 'bert' }),
    eventWith(click.click_id, 'open', { at: NOW_MS - 4_500 }),
    postbackWith(click.click_id, { at: NOW_MS - 3_000, raw_status: 'sale' }),
  ])
  const owner = await openLive(api.origin, '?counts=second,minute&group_by=country&top=1')
  const seconds = await owner.next('counts', ({ window }) => window === 'second')
  const at = (ms: number) => new Date(Math.floor(ms / 1_000) * 1_000).toISOString()
  const first = windowsOf(seconds).find((window) => window['at'] === at(NOW_MS - 5_000))
  assert.deepEqual([first?.['clicks'], first?.['bots'], first?.['events']], [2, 1, { open: 1 }])
  assert.equal((first?.['groups'] as unknown[] | undefined)?.length, 1)
  assert.equal(summed(windowsOf(seconds), 'clicks'), 3)
  const minutes = await owner.next('counts', ({ window }) => window === 'minute')
  assert.equal(summed(windowsOf(minutes), 'clicks'), 3)
  const withSale = windowsOf(minutes).find((window) => Object.keys(window['conversions'] as object).length > 0)
  assert.deepEqual(withSale?.['revenue_pending'], { EUR: '45.00' })
  owner.close()

  const anna = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const affiliate = await openLive(api.origin, '?counts=minute', anna)
  const own = windowsOf(await affiliate.next('counts'))
  assert.equal(summed(own, 'clicks'), 2)
  assert.ok(own.every((window) => !('revenue' in window) && !('revenue_pending' in window) && 'payout' in window))
  affiliate.close()
})

test('shows rows as they arrive, to each tenant its own, and of many a sample with its share', async (t) => {
  const api = await listening(t)
  await api.feed([clickWith({ at: NOW_MS - 2_000, sub1: 'before' })])
  const owner = await openLive(api.origin, '?counts=second&rows=clicks,conversions&rate=2')
  const bert = await openLive(api.origin, '?counts=second&rows=clicks', await api.keyFor({ role: 'affiliate', affiliate_id: 'bert' })) // prettier-ignore
  await Promise.all([owner.next('counts'), bert.next('counts')])
  const clicks = Array.from({ length: 4 }, (_, index) => clickWith({ at: NOW_MS - 1_000, sub1: `own${index}`, cost_micros: 10_000, currency: 'EUR' })) // prettier-ignore
  const berts = clickWith({ at: NOW_MS - 1_000, ...globexPlace, affiliate_id: 'bert', sub1: 'of bert', cost_micros: 10_000, currency: 'USD' }) // prettier-ignore
  await api.feed([...clicks, berts, postbackWith(clicks[0]!.click_id, { at: NOW_MS - 500, raw_status: 'sale' })])
  const { data } = await owner.next('clicks')
  const items = data['items'] as readonly Record<string, unknown>[]
  assert.deepEqual([data['total'], data['shown'], data['share']], [5, 2, 0.4])
  assert.ok(items.every(({ sub1, cost }) => sub1 !== 'before' && cost === '0.01'))
  const conversion = ((await owner.next('conversions')).data['items'] as readonly Record<string, unknown>[])[0]
  assert.deepEqual(
    [conversion?.['type'], conversion?.['status'], conversion?.['revenue']],
    ['sale', 'pending', '45.00'],
  )
  const seen = (await bert.next('clicks')).data['items'] as readonly Record<string, unknown>[]
  assert.deepEqual(seen.map(({ sub1, click_id, cost }) => [sub1, click_id, cost]), [['of bert', berts.click_id, undefined]]) // prettier-ignore
  owner.close()
  bert.close()
})

test('counts only what meets a rule, and resumes from the last message that the reader had', async (t) => {
  const api = await listening(t)
  await api.feed([
    clickWith({ at: NOW_MS - 300_000, country: 'DE' }),
    clickWith({ at: NOW_MS - 2_000, country: 'DE' }),
    clickWith({ at: NOW_MS - 2_000, country: 'AT' }),
  ])
  const filter = `?filter=${encodeURIComponent('country is DE')}&of=clicks`
  const fresh = await openLive(api.origin, filter)
  const first = await fresh.next('counts')
  assert.equal(first.id, String(NOW_MS))
  assert.equal(summed(windowsOf(first), 'clicks'), 1)
  fresh.close()
  const resumed = await openLive(api.origin, filter, OWNER_KEY, { 'last-event-id': String(NOW_MS - 290_000) })
  assert.equal(summed(windowsOf(await resumed.next('counts')), 'clicks'), 2)
  resumed.close()
  const tooLate = await openLive(api.origin, filter, OWNER_KEY, { 'last-event-id': String(NOW_MS - 900_000_000) })
  assert.equal(summed(windowsOf(await tooLate.next('counts')), 'clicks'), 2)
  tooLate.close()
})

test('ends when its key does, and has a limit for each key', async (t) => {
  const api = await listening(t)
  const key = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  const streams = await Promise.all(Array.from({ length: 10 }, () => openLive(api.origin, '', key)))
  const { headers } = streams[0]!
  assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
  assert.deepEqual([headers.get('x-accel-buffering'), headers.get('cache-control')], ['no', 'no-store, no-transform'])
  const refused = await openLive(api.origin, '', key)
  assert.equal(refused.status, 429)
  assert.match(await refused.body(), /10 live streams/)
  const other = await openLive(api.origin, '', await api.keyFor({ role: 'advertiser', advertiser_id: 'globex' }))
  assert.equal(other.status, 200)
  const { rows } = await api.pool.query<{ api_key_id: string }>(
    `SELECT api_key_id FROM api_keys WHERE advertiser_id = 'acme'`,
  )
  await revokeApiKey(api.pool, rows[0]!.api_key_id, api.clock)
  assert.equal((await streams[9]!.next('end')).data['reason'], 'key_revoked')
  await api.server.close()
  assert.equal((await other.next('end')).data['reason'], 'server_stops')
})

test('says what is wrong with a question, and to an affiliate what is not for it', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  for (const [query, path] of [
    ['counts=hour', 'counts'],
    ['rows=visits', 'rows'],
    ['of=money', 'of'],
    ['counts=', 'counts'],
    ['group_by=nothing', 'group_by'],
    ['group_by=date', 'group_by'],
    ['filter=country+is', 'filter'],
    ['filter=status+is+approved', 'filter'],
    ['top=51', 'top'],
    ['rate=101', 'rate'],
  ] as const) {
    const { status, body } = await ask(`/v1/live?${query}`)
    assert.deepEqual([status, (body['error'] as { path?: string }).path], [400, path], query)
  }
  for (const query of ['group_by=fraud_reason', `of=clicks&filter=${encodeURIComponent('user_agent contains x')}`])
    assert.equal((await ask(`/v1/live?${query}`, { key: anna })).status, 403, query)
  assert.equal((await ask('/v1/live', { key: '' })).status, 401)
})
