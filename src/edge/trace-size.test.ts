import assert from 'node:assert/strict'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { test } from 'node:test'

import { createMemoryCaps } from '#caps'
import { openEnricher, type Enricher } from '#enrichment'
import { createRateBoard, openRateCounters } from '#fraud'
import { createLogLines } from '#platform/log-lines'
import { compileSnapshot, decodeTrace, type Campaign, type Flow, type Offer, type Snapshot } from '#routing'
import { affiliate, campaign, flow, landing, offer, snapshot, TEST_TIME } from '#routing/test-snapshots'
import { edgeCaps } from './caps.ts'
import { decideClick, type DecidedClick } from './decide-click.ts'
import { edgeLimits } from './limits.ts'

const SEED = 20_261_121
const CLICKS = 40_000
const [OFFERS, CAMPAIGNS] = [1_000, 1_500]
const COUNTRIES = ['US', 'DE', 'BR', 'IN', 'ID', 'MX', 'TR', 'GB', 'PH', 'TH', 'VN', 'NG']
const DESKTOP = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36' // prettier-ignore
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1' // prettier-ignore
const AGENTS = [...Array<string>(12).fill(PHONE), ...Array<string>(6).fill(DESKTOP), 'curl/8.9.1', '']

/** mulberry32 */
function seededRandom(seed: number) {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number): number => Math.floor(next() * count)
  return {
    chance: (share: number): boolean => next() < share,
    below,
    pick: <T>(list: readonly T[]): T => list[below(list.length)]!,
    /** Small numbers are frequent: a few links bring most of the traffic. */
    skewed: (count: number): number => Math.floor(count * next() ** 3),
  }
}
type Random = ReturnType<typeof seededRandom>

const offerId = (index: number): string => `o${index}`
const inCountries = (random: Random, count: number) =>
  ({ field: 'country', op: 'in', value: Array.from({ length: count }, () => random.pick(COUNTRIES)) }) as const

/** One in ten is paused, one in three has landings to draw from, one in four caps (most of them full sooner or later), one in eight takes
 * few countries and has a fallback, one in ten takes approved affiliates only.
 */
function offerOf(index: number, random: Random): Offer {
  const id = offerId(index)
  return offer(id, {
    ...(random.chance(0.1) && { status: 'paused' as const }),
    ...(random.chance(0.33) && { landings: [landing(`${id}-a`), landing(`${id}-b`, { weight: 3 })] }),
    ...(random.chance(0.25) && {
      caps: [
        { cap_id: 'daily', metric: 'clicks' as const, period: 'day' as const, limit: 5, mode: 'hard' as const },
        { cap_id: 'leads', metric: 'conversions' as const, period: 'day' as const, limit: 50, mode: 'hard' as const },
      ],
      cap_fallbacks: [offerId((index + 1) % OFFERS), offerId((index + 2) % OFFERS)],
    }),
    ...(random.chance(0.12) && { rule: inCountries(random, 5) }),
    ...(random.chance(0.1) && { access: 'on_approval' as const }),
  })
}

const someOffers = (random: Random, most: number): Flow['offers'] =>
  [...new Set(Array.from({ length: 1 + random.below(most) }, () => random.below(OFFERS)))].map((index) => ({
    offer_id: offerId(index),
    weight: 1 + random.below(9),
  }))

/** Up to two forced flows, one to eight regular ones with and without rules, two default ones; some are paused. */
function campaignOf(index: number, random: Random): Campaign {
  const id = `c${index}`
  const flowOf = (parts: Partial<Flow>): Flow =>
    flow(`${id}-f${(number += 1)}`, {
      offers: someOffers(random, random.chance(0.2) ? 20 : 3),
      ...(random.chance(0.05) && { status: 'paused' as const }),
      ...parts,
    })
  let number = 0
  const forced = Array.from({ length: random.below(3) }, () =>
    random.chance(0.5)
      ? flowOf({ kind: 'forced', rule: { field: 'bot', op: 'is', value: true }, offers: [], action: { kind: 'not_found' } })
      : flowOf({ kind: 'forced', rule: { field: 'sub1', op: 'is', value: `s${random.below(20)}` } }),
  ) // prettier-ignore
  const regular = Array.from({ length: 1 + random.below(8) }, () =>
    flowOf({ weight: 1 + random.below(50), ...(random.chance(0.7) && { rule: inCountries(random, 4) }) }),
  )
  const isDeadEnd = random.chance(0.05)
  const fallback = isDeadEnd ? [] : [flowOf({ kind: 'default' }), flowOf({ kind: 'default' })]
  const leadsOn = random.chance(0.05)
    ? [flowOf({ kind: 'forced', rule: inCountries(random, 2), offers: [], action: { kind: 'campaign', campaign_id: `c${(index + 1) % CAMPAIGNS}` } })]
    : [] // prettier-ignore
  return campaign({
    campaign_id: id,
    name: id,
    flows: [...leadsOn, ...forced, ...regular, ...fallback],
    rotation: random.chance(0.4) ? 'position' : 'weight',
    ...(random.chance(0.3) && { bind: { flow_hours: 24, offer_hours: 24 } }),
  })
}

function worldOf(random: Random): Snapshot {
  return snapshot({
    fallback_url: 'https://fallback.example/',
    affiliates: [affiliate(), affiliate({ affiliate_id: 'bob' })],
    offers: Array.from({ length: OFFERS }, (_, index) => offerOf(index, random)),
    campaigns: Array.from({ length: CAMPAIGNS }, (_, index) => campaignOf(index, random)),
    links: Array.from({ length: CAMPAIGNS }, (_, index) => ({ code: `l${index}`, campaign_id: `c${index}` })),
    fraud: { thresholds: { mark: 30, divert: 60, refuse: 90 } },
  })
}

/** A UUIDv7: draws by weight hang on it, and are to be the same in each run. */
function clickIdOf(at: number, random: Random): string {
  const hex = (digits: number): string =>
    random
      .below(16 ** digits)
      .toString(16)
      .padStart(digits, '0')
  const time = at.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`
}

type Decider = Parameters<typeof decideClick>[0]

/** The country of 10.0.c.x is the c-th. */
const locatingEnricher = (enricher: Enricher): Enricher => ({
  ...enricher,
  addVisitor: (draft, visitor) => {
    enricher.addVisitor(draft, visitor)
    Object.assign(draft, { country: COUNTRIES[Number(visitor.ip.split('.')[2])] })
  },
})

/** An edge's decider with counts of caps and clicks of its own, and visits that come one by one, a fifth of them again. */
function visitsTo(world: Snapshot, random: Random): () => DecidedClick {
  const routing = compileSnapshot(world)
  const clock = { now: () => TEST_TIME + decided * 20 }
  let decided = 0
  let address = ''
  const decider: Decider = {
    limits: edgeLimits,
    sub2AllowedKeys: new Set(),
    enricher: locatingEnricher(openEnricher({ geoFiles: [] })),
    caps: edgeCaps(createMemoryCaps(), clock, createLogLines('test', 'silent')),
    rates: openRateCounters(createRateBoard(SEED)),
    hotState: { getClick: () => undefined, indexPosition: () => undefined, isClaimed: () => false },
    clock,
    originOf: () => ({ address, isHttps: true }),
  }
  const earlier: {
    readonly address: string
    readonly cookie: string
    readonly visitor: string
    readonly code: string | undefined
  }[] = []
  return () => {
    const known = random.chance(0.2) && earlier.length > 0 ? random.pick(earlier) : undefined
    address = known?.address ?? `10.0.${random.below(COUNTRIES.length)}.${random.below(256)}`
    const request = new IncomingMessage(new Socket())
    request.method = 'GET'
    const target = random.chance(0.03) ? `o=${offerId(random.below(OFFERS + 20))}` : ''
    const visitor = known?.visitor ?? `v${decided}`
    request.url = `/click?clickid=${clickIdOf(clock.now(), random)}&visitor_code=${visitor}&sub1=s${random.below(40)}&a=${random.chance(0.01) ? 'nobody' : random.pick(['ann', 'bob'])}&${target}`
    request.headers = {
      host: 'go.example',
      'user-agent': random.pick(AGENTS),
      ...(random.chance(0.9) && { 'accept-language': 'en-US' }),
      ...(known && { cookie: known.cookie }),
    }
    const code = target === '' ? (known?.code ?? `l${random.skewed(CAMPAIGNS + 5)}`) : undefined
    const click = decideClick(decider, { routing }, request, code)
    decided += 1
    if (known === undefined) earlier.push({ address, visitor, cookie: `wp_b=${click.bound?.value ?? ''}`, code })
    return click
  }
}

test('a trace takes less than 100 bytes on average, with 1,000 offers, 10,000 flows, caps and fraud', (t) => {
  const random = seededRandom(SEED)
  const world = worldOf(random)
  assert.ok(world.campaigns.flatMap(({ flows }) => flows).length > 9_000)
  const visit = visitsTo(world, random)
  const sizes: number[] = []
  const kinds = new Map<string, number>()
  for (let count = 0; count < CLICKS; count += 1) {
    const { trace } = visit().record
    sizes.push(Buffer.byteLength(trace))
    for (const kind of new Set(decodeTrace(trace).map((step) => step.kind))) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  sizes.sort((left, right) => left - right)
  const average = sizes.reduce((sum, size) => sum + size, 0) / CLICKS
  const [median, p99, max] = [0.5, 0.99, 1].map((share) => sizes[Math.ceil(CLICKS * share) - 1])
  t.diagnostic(`seed ${SEED}: average ${average.toFixed(1)}, median ${median}, p99 ${p99}, max ${max} bytes`)
  t.diagnostic(JSON.stringify(Object.fromEntries(kinds)))
  assert.ok(average < 100, `${average} bytes`)
  // The average says something only where all of it happens.
  for (const kind of ['flow_refused', 'flow_paused', 'flow_taken', 'flow_drawn', 'flow_bound', 'offer_out', 'offer_drawn', 'offer_refused', 'landing_drawn', 'cap_full', 'offer_for_cap', 'fraud', 'campaign_next', 'refused', 'fallback'])
    assert.ok((kinds.get(kind) ?? 0) > CLICKS / 400, `${kind}: ${kinds.get(kind) ?? 0} clicks`)
}) // prettier-ignore
