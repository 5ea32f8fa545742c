import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'

import { parseAmount } from '#platform/money'
import { newClickDraft, type ClickDraft } from './record-drafts.ts'
import { clickParameterNames, readClickQuery, type AskedClick } from './click-parameters.ts'
import { edgeLimits } from './limits.ts'

const read = (query: string): { draft: ClickDraft; asked: AskedClick } => {
  const draft = newClickDraft()
  draft.at = Date.UTC(2026, 0, 1)
  const asked = readClickQuery(draft, query, undefined, edgeLimits, new Set())
  return { draft, asked }
}

/** Where the value of each parameter ends up. */
function valueOf(name: string, value: string, query: string): unknown {
  const { draft, asked } = read(query)
  const targets: Readonly<Record<string, string | undefined>> = {
    campaign_id: asked.campaignId,
    flow_id: asked.flowId,
    offer_id: asked.offerId,
    landing_id: asked.landingId,
    affiliate_id: asked.affiliateId,
    external_id: draft.external_click_id,
    clickid: draft.click_id === value ? value : undefined,
    cost: draft.cost_micros?.toString(),
    redirect: asked.wantsAnswer ? '0' : undefined,
    referrer: asked.referrer,
    tz: asked.timeZone,
  }
  return name in targets ? targets[name] : draft[name as keyof ClickDraft]
}

describe('a parameter', () => {
  const samples: Readonly<Record<string, readonly [sent: string, kept: string]>> = {
    clickid: ['0196a1b2-0000-7000-8000-000000000001', '0196a1b2-0000-7000-8000-000000000001'],
    cost: ['1.5', '1500000'],
    currency: ['usd', 'USD'],
    redirect: ['0', '0'],
  }
  for (const [name, aliases] of Object.entries(clickParameterNames)) {
    test(`${name} is known by ${aliases.length} other names, and by its own first`, () => {
      const [sent, kept] = samples[name] ?? [`value-of-${name}`, `value-of-${name}`]
      for (const alias of [name, ...aliases]) assert.equal(valueOf(name, kept, `${alias}=${sent}`), kept, alias)
      for (const alias of aliases) {
        assert.equal(valueOf(name, kept, `${alias}=other&${name}=${sent}`), kept, alias)
        assert.equal(valueOf(name, kept, `${name}=${sent}&${alias}=other`), kept, alias)
      }
    })
  }

  test('given twice counts the first time', () => {
    assert.equal(read('sub1=a&sub1=b').draft.sub1, 'a')
    assert.equal(read('s1=a&p1=b').draft.sub1, 'a')
  })

  test('of the form sub ids have elsewhere is known', () => {
    const { draft } = read('aff_sub=1&aff_sub2=2&sub_id_3=3&p4=4&t5=5&s6=6&sub7=7&sub30=30&CV8=8')
    const subs = [
      draft.sub1,
      draft.sub2,
      draft.sub3,
      draft.sub4,
      draft.sub5,
      draft.sub6,
      draft.sub7,
      draft.sub8,
      draft.sub30,
    ]
    assert.deepEqual(subs, ['1', '2', '3', '4', '5', '6', '7', '8', '30'])
  })

  test('that is a label is cut at 255 characters', () => {
    assert.equal(read(`sub1=${'x'.repeat(300)}`).draft.sub1!.length, 255)
    assert.equal(read(`external_id=${'x'.repeat(300)}`).draft.external_click_id!.length, 255)
  })
})

test('a cost, a currency and a visitor code that cannot be read are left out', () => {
  const { draft } = read('cost=much&currency=XQQ&visitor_code=a%20b')
  assert.equal(draft.cost_micros, undefined)
  assert.equal(draft.currency, undefined)
  assert.equal(draft.visitor_code, undefined)
  assert.equal(read('cost=-1').draft.cost_micros, undefined)
})

test('a cost is the amount that parseAmount reads, where it is not negative', () => {
  const text = fc.oneof(
    fc.stringMatching(/^\d{0,12}(\.\d{0,8})?$/),
    fc.stringMatching(/^[-+]?\d{1,3}[.,]\d{1,3}$/),
    fc.string(),
  )
  fc.assert(
    fc.property(text, (cost) => {
      const amount = parseAmount(cost)
      const expected = amount === undefined || amount < 0n ? undefined : Number(amount)
      assert.equal(read(`cost=${encodeURIComponent(cost.toWellFormed())}`).draft.cost_micros, expected)
    }),
    { numRuns: 2_000 },
  )
})

test('sub2 is read by the keys that are allowed, whoever asked before', () => {
  const keysOf = (allowed: readonly string[]): unknown => {
    const draft = newClickDraft()
    draft.at = 0
    readClickQuery(draft, 'sub2=geo-TR%7Cdev-mobile', undefined, edgeLimits, new Set(allowed))
    return draft.sub2_keys
  }
  assert.deepEqual([keysOf(['geo']), keysOf(['dev']), keysOf(['x'])], [{ geo: 'TR' }, { dev: 'mobile' }, undefined])
})

test('sub2 of pairs gives keys, any other sub2 is a plain label', () => {
  assert.deepEqual(read('sub2=geo-TR%7Cdev-mobile').draft.sub2_keys, { geo: 'TR', dev: 'mobile' })
  const { draft } = read('sub2=plain')
  assert.equal(draft.sub2, 'plain')
  assert.equal(draft.sub2_keys, undefined)
})

test('one request leaves nothing behind for the next', () => {
  read('sub1=a&campaign_id=c&utm_source=x')
  const { draft, asked } = read('s2=b&c=d')
  assert.equal(draft.sub1, undefined)
  assert.equal(draft.utm_source, undefined)
  assert.equal(draft.sub2, 'b')
  assert.equal(asked.campaignId, 'd')
})

test('any query is read without an error', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webQueryParameters()), (query) => void read(query)))
})
