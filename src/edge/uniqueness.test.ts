import assert from 'node:assert/strict'
import { test } from 'node:test'

import { visitorClaimKey, type ClaimSpace } from '#hot-state'
import type { ClickRecord } from '#records'
import { campaign, flow, offer, snapshot } from '#routing/test-snapshots'
import { withEdge, type TestEdge } from './test-edge.ts'

const HOUR_MS = 3_600_000
const NEW = { offers: [{ offer_id: 'new', weight: 1 }], kind: 'forced' } as const
const KNOWN = { offers: [{ offer_id: 'known', weight: 1 }], kind: 'default' } as const
const configFor = (scope: 'campaign' | 'offer' | 'global') =>
  snapshot({
    campaigns: [
      campaign({
        flows: [flow('f1', { ...NEW, rule: { field: 'unique', op: 'is', value: scope } }), flow('f2', KNOWN)],
      }),
    ],
    offers: [offer('new'), offer('known')],
  })

/** Counts a visitor as the pipeline does. */
const claim = ({ hotState }: TestEdge, space: ClaimSpace, scopeId: string, visitor: string) =>
  hotState.claim(space, [
    {
      key: visitorClaimKey(scopeId, visitor),
      origin: { partition: 'edge-0', offset: 0 },
      at: Date.now(),
      ttlMs: HOUR_MS,
    },
  ])

const flowOf = async (edge: TestEdge, headers: Readonly<Record<string, string>> = {}): Promise<string | undefined> => {
  await edge.ask('/click?c=summer', { headers: { 'user-agent': 'A', ...headers } })
  return ((await edge.records()).at(-1) as ClickRecord).flow_id
}

test('a rule may ask whether the visitor is new to the campaign, by cookie or by address and user agent', async (t) => {
  const edge = await withEdge(t, configFor('campaign'))
  assert.equal(await flowOf(edge), 'f1')
  await claim(edge, 'visitor_campaign', 'summer', '127.0.0.1\nA')
  assert.equal(await flowOf(edge), 'f2')
  assert.equal(await flowOf(edge, { 'user-agent': 'B' }), 'f1')
  assert.equal(await flowOf(edge, { cookie: 'wp_v=known-visitor' }), 'f1')
  await claim(edge, 'visitor_campaign', 'summer', 'known-visitor')
  assert.equal(await flowOf(edge, { cookie: 'wp_v=known-visitor' }), 'f2')
})

test('who brings a code of ours is new nowhere', async (t) => {
  const edge = await withEdge(t, configFor('global'))
  assert.equal(await flowOf(edge), 'f1')
  assert.equal(await flowOf(edge, { cookie: 'wp_v=known-visitor' }), 'f2')
})

test('an offer may take new visitors only', async (t) => {
  const rule = { field: 'unique', op: 'is', value: 'offer' } as const
  const edge = await withEdge(t, snapshot({ offers: [offer('o1', { rule })] }))
  assert.equal(await flowOf(edge), 'f1')
  await claim(edge, 'visitor_offer', 'o1', '127.0.0.1\nA')
  const { status } = await edge.ask('/click?o=o1', { headers: { 'user-agent': 'A' } })
  assert.equal(status, 404)
})
