import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { behaviourLimits, parsePaths, runPaths, type AskedPaths, type PathNode, type PathsAnswer } from './index.ts'
import { loadWorlds, momentsOfStep, worldOf, type Moment, type TestClick, type TestWorld } from './test-worlds.ts'

const DAY = Date.UTC(2026, 9, 24)
const SECOND = 1_000
const defaults = { timezone: 'UTC', nowMs: DAY + 10 * 86_400_000 }
const tenantOf = (world: string): Tenant => ({ role: 'advertiser', advertiserId: world })

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
})

async function ask(tenant: Tenant, asked: AskedPaths): Promise<PathsAnswer> {
  const parsed = parsePaths({ from: '2026-10-24', to: '2026-10-24', ...asked }, tenant, defaults)
  assert.ok(parsed.kind === 'asked', JSON.stringify(parsed))
  return runPaths(facts, tenant, parsed.paths)
}

const word = ({ of, value }: PathNode): string => `${of}:${value}`
const pathsOf = ({ paths }: PathsAnswer): Record<string, number> =>
  Object.fromEntries(paths.map(({ nodes, count }) => [nodes.map(word).join(' > '), count]))

const clickAt = (seconds: number, index: number, landing: string): TestClick => ({
  ...{ atMs: DAY + seconds * SECOND, clickId: `00000000-0000-7000-8000-00000000000${index}`, visitor: 'v' },
  ...{ country: 'DE', landing, isCounted: true },
})
const [a, b, c] = [clickAt(0, 1, 'one'), clickAt(1, 2, 'one'), clickAt(2, 3, 'two')] as const
const event = (click: TestClick, seconds: number, type: string) => ({
  ...{ atMs: click.atMs + seconds * SECOND, click, type, site: 'shop', isRefused: false },
})
/** One click opens twice, clicks on and buys; one opens and leaves; one leaves at once. */
const hand: TestWorld = {
  clicks: [a, b, c],
  events: [event(a, 1, 'open'), event(a, 2, 'open'), event(a, 3, 'lp_click'), event(b, 5, 'open')],
  conversions: [{ atMs: a.atMs + 60 * SECOND, click: a, type: 'sale', statuses: ['pending', 'approved'] }],
}

test('counts the sequences of what clicks did, repeats as one, and those of clicks that did nothing', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const answer = await ask(tenantOf('hand'), {})
  assert.deepEqual(pathsOf(answer), {
    'clicks:one > events:open > events:lp_click > conversions:sale': 1,
    'clicks:one > events:open': 1,
    'clicks:two': 1,
  })
  assert.deepEqual([answer.total, answer.other_count], [3, 0])
  const repeated = await ask(tenantOf('hand'), { collapse: false, length: 3 })
  assert.equal(pathsOf(repeated)['clicks:one > events:open > events:open'], 1)
})

test('draws nodes and links by position', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const { sankey } = await ask(tenantOf('hand'), { length: 3 })
  assert.deepEqual(sankey.nodes.map((node) => [node.position, word(node), node.count]), [
    [1, 'clicks:one', 2], [2, 'events:open', 2], [1, 'clicks:two', 1], [3, 'events:lp_click', 1],
  ]) // prettier-ignore
  assert.deepEqual(sankey.links.map(({ position, source, target, count }) => [position, word(source), word(target), count]), [
    [1, 'clicks:one', 'events:open', 2], [2, 'events:open', 'events:lp_click', 1],
  ]) // prettier-ignore
})

test('paths may begin or end where it is asked, and count backwards from an end', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const begun = await ask(tenantOf('hand'), { start: { of: 'events', type: 'open' } })
  assert.deepEqual(pathsOf(begun), { 'events:open > events:lp_click > conversions:sale': 1, 'events:open': 1 })
  const ended = await ask(tenantOf('hand'), { end: { of: 'conversions' }, length: 2 })
  assert.deepEqual(pathsOf(ended), { 'events:lp_click > conversions:sale': 1 })
  assert.deepEqual(ended.sankey.nodes.map((node) => [node.position, word(node)]), [[-2, 'events:lp_click'], [-1, 'conversions:sale']]) // prettier-ignore
  const soon = await ask(tenantOf('hand'), { end: { of: 'conversions' }, window_seconds: 57 })
  assert.deepEqual(pathsOf(soon), { 'events:lp_click > conversions:sale': 1 })
})

test('shows the most frequent ones and counts the rest', async () => {
  await loadWorlds(facts, new Map([['hand', { ...hand, clicks: [a, b, c, clickAt(9, 4, 'two')] }]]))
  const answer = await ask(tenantOf('hand'), { limit: 1 })
  assert.deepEqual([pathsOf(answer), answer.total, answer.other_count], [{ 'clicks:two': 2 }, 4, 2])
})

test('makes a path of the first rows only, as many as the limit says', async () => {
  const { momentsPerPathMax } = behaviourLimits
  const after = async (opens: number): Promise<Record<string, number>> => {
    const events = Array.from({ length: opens }, (_, index) => event(a, index + 1, 'open'))
    await loadWorlds(facts, new Map([['many', { clicks: [a], events: [...events, event(a, opens + 2, 'reg')], conversions: [] }]])) // prettier-ignore
    return pathsOf(await ask(tenantOf('many'), { nodes: [{ of: 'events' }] }))
  }
  assert.deepEqual(await after(momentsPerPathMax - 1), { 'events:open > events:reg': 1 })
  assert.deepEqual(await after(momentsPerPathMax), { 'events:open': 1 })
})

test('refuses what it cannot name or may not show', () => {
  const refusal = (asked: AskedPaths, tenant: Tenant = { role: 'owner' }): string => {
    const parsed = parsePaths(asked, tenant, defaults)
    return parsed.kind === 'asked' ? 'asked' : `${parsed.kind} ${parsed.path}`
  }
  const affiliate: Tenant = { role: 'affiliate', affiliateId: 'anna' }
  assert.equal(refusal({ nodes: [{ of: 'events', by: 'luck' }] }), 'invalid nodes.0.by')
  assert.equal(refusal({ nodes: [{ of: 'clicks', by: 'type' }] }), 'invalid nodes.0.by')
  assert.equal(refusal({ nodes: [{ of: 'events' }, { of: 'events' }] }), 'invalid nodes.1.of')
  assert.equal(refusal({ start: { of: 'clicks' }, end: { of: 'events' } }), 'invalid end')
  assert.equal(refusal({ nodes: [{ of: 'clicks', by: 'fraud_reason' }] }, affiliate), 'forbidden nodes.0.by')
  assert.equal(refusal({ nodes: [{ of: 'events', by: 'site' }] }, affiliate), 'forbidden nodes.0.by')
  assert.equal(refusal({ nodes: [{ of: 'events', by: 'site' }] }), 'asked')
})

/** The same with plain loops over units and rows. */
function slowPaths(
  world: TestWorld,
  asked: AskedPaths & { readonly nodes: NonNullable<AskedPaths['nodes']> },
  fromMs: number,
  toMs: number,
) {
  const { unit, length = 0, window_seconds = 0, collapse, start, end } = asked
  const key = ({ click }: Moment): string => (unit === 'click' ? click.clickId : click.visitor)
  const isInRange = ({ atMs }: Moment): boolean => atMs >= fromMs && atMs < toMs
  const nameOf = ({ click, of, type, site }: Moment, by = of === 'clicks' ? '' : 'type'): string =>
    by === ''
      ? ''
      : by === 'landing_id'
        ? click.landing
        : by === 'country'
          ? click.country
          : by === 'site'
            ? site
            : type
  const rows = asked.nodes.flatMap((node) =>
    momentsOfStep(world, node).map((moment) => ({ moment, label: `${node.of}:${nameOf(moment, node.by)}` })))
    .sort((one, two) => one.moment.atMs - two.moment.atMs || compareLabels(one.label, two.label)) // prettier-ignore
  const anchor = start ?? end
  const anchors = anchor === undefined ? rows.map(({ moment }) => moment) : momentsOfStep(world, anchor)
  const counts = new Map<string, number>()
  for (const one of new Set(anchors.filter(isInRange).map(key))) {
    if (one === '') continue
    const beginMs = Math.min(
      ...anchors.filter((moment) => key(moment) === one && isInRange(moment)).map(({ atMs }) => atMs),
    )
    const [low, high] =
      end === undefined ? [beginMs, beginMs + window_seconds * SECOND] : [beginMs - window_seconds * SECOND, beginMs]
    const labels = rows.filter(({ moment }) => key(moment) === one && moment.atMs >= low && moment.atMs <= high).map(({ label }) => label) // prettier-ignore
    const sequence = labels.filter((label, index) => collapse !== true || label !== labels[index - 1])
    const path = (end === undefined ? sequence.slice(0, length) : sequence.slice(-length)).join(' > ')
    if (path !== '') counts.set(path, (counts.get(path) ?? 0) + 1)
  }
  return counts
}

const TABLES = ['clicks', 'events', 'conversions']
function compareLabels(one: string, two: string): number {
  const rank = (label: string): number => TABLES.indexOf(label.split(':')[0]!)
  return rank(one) - rank(two) || (one < two ? -1 : one > two ? 1 : 0)
}

test('agrees with plain loops for any nodes, anchor, unit, window and length', async () => {
  const worlds = new Map(
    Array.from({ length: 8 }, (_, index) => {
      const name = `p${index}`
      const world = worldOf({ name, fromMs: DAY - 30 * SECOND, stepMs: 5 * SECOND, steps: 40, clicksMax: 12 })
      return [name, fc.sample(world, { numRuns: 1, seed: index })[0]!] as const
    }),
  )
  await loadWorlds(facts, worlds)
  const clicks = fc.constantFrom<NonNullable<AskedPaths['nodes']>[number]>(
    { of: 'clicks' },
    { of: 'clicks', by: 'landing_id' },
  )
  const events = fc.constantFrom<NonNullable<AskedPaths['nodes']>[number]>(
    { of: 'events' },
    { of: 'events', by: 'site', type: 'open' },
  )
  const conversions = fc.constantFrom<NonNullable<AskedPaths['nodes']>[number]>(
    { of: 'conversions' },
    { of: 'conversions', by: 'country' },
  )
  const steps: readonly AskedPaths['start'][] = [
    undefined,
    { of: 'clicks' },
    { of: 'events', type: 'open' },
    { of: 'conversions' },
  ]
  const askedArb = fc.record({
    nodes: fc.oneof(fc.tuple(clicks, events, conversions), fc.tuple(events, conversions), fc.tuple(clicks)),
    anchor: fc.tuple(fc.constantFrom(...steps), fc.boolean()),
    unit: fc.constantFrom('click' as const, 'visitor' as const),
    window_seconds: fc.constantFrom(10, 60, 1_000),
    length: fc.constantFrom(1, 3, 10),
    collapse: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(askedArb, fc.constantFrom(...worlds.keys()), async ({ anchor: [step, isEnd], ...rest }, name) => {
      const asked = { ...rest, limit: 500, ...(isEnd ? { end: step } : { start: step }) }
      const [fromMs, toMs] = [DAY, DAY + 100 * SECOND]
      const expected = slowPaths(worlds.get(name)!, asked, fromMs, toMs)
      const answer = await ask(tenantOf(name), { ...asked, from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() }) // prettier-ignore
      assert.deepEqual(new Map(Object.entries(pathsOf(answer))), expected)
      assert.equal(answer.total, [...expected.values()].reduce((sum, count) => sum + count, 0)) // prettier-ignore
    }),
    { numRuns: 50, seed: 8 },
  )
})
