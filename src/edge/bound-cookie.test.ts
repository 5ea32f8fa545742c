import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import type { Binding } from '#routing'
import { bind, boundIn } from './bound-cookie.ts'

const AT = Date.UTC(2026, 0, 15, 12)
const HOUR = 3_600_000
const assignment = { campaign_id: 'summer', flow_id: 'f1', offer_id: 'o1', landing_id: 'l1' }
const kept = (to: typeof assignment, hours: Binding['hours'], isRegular = true) => ({
  assignment: to,
  hours,
  isRegular,
})
const all = { flow_hours: 1, offer_hours: 2, landing_hours: 3 }

test('keeps flow, offer and landing each for its time', () => {
  const { value, maxAgeSeconds } = bind(undefined, kept(assignment, all), AT)!
  assert.equal(maxAgeSeconds, 3 * 3_600)
  assert.deepEqual(boundIn(value, 'summer', AT), { flowId: 'f1', offerId: 'o1', landingId: 'l1' })
  assert.deepEqual(boundIn(value, 'summer', AT + 1.5 * HOUR), { flowId: undefined, offerId: 'o1', landingId: 'l1' })
  assert.deepEqual(boundIn(value, 'summer', AT + 3 * HOUR), {
    flowId: undefined,
    offerId: undefined,
    landingId: undefined,
  })
  assert.equal(boundIn(value, 'winter', AT), undefined)
})

test('keeps only what the campaign binds', () => {
  const { value } = bind(undefined, kept(assignment, { offer_hours: 1 }), AT)!
  assert.deepEqual(boundIn(value, 'summer', AT), { flowId: undefined, offerId: 'o1', landingId: undefined })
})

test('a visit with the same is not counted from anew, one with another is', () => {
  const first = bind(undefined, kept(assignment, { flow_hours: 1 }), AT)!.value
  const second = bind(first, kept(assignment, { flow_hours: 1 }), AT + HOUR / 2)!.value
  assert.equal(boundIn(second, 'summer', AT + HOUR)?.flowId, undefined)
  const other = bind(first, kept({ ...assignment, flow_id: 'f2' }, { flow_hours: 1 }), AT + HOUR / 2)!.value
  assert.equal(boundIn(other, 'summer', AT + HOUR)?.flowId, 'f2')
})

test('a forced or default flow leaves what the visitor has of a regular one', () => {
  const first = bind(undefined, kept(assignment, all), AT)!.value
  const forced = { campaign_id: 'summer', flow_id: 'promo', offer_id: 'o9', landing_id: 'l9' }
  assert.equal(bind(first, kept(forced, all, false), AT + HOUR / 2), undefined)
  const later = bind(first, kept(forced, all, false), AT + HOUR)!.value
  assert.deepEqual(boundIn(later, 'summer', AT + HOUR), { flowId: undefined, offerId: 'o9', landingId: 'l9' })
})

test('the offer and landing of a default flow are kept where no flow is', () => {
  const hours = { offer_hours: 1 }
  const value = bind(undefined, kept(assignment, hours, false), AT)!.value
  assert.deepEqual(boundIn(value, 'summer', AT), { flowId: undefined, offerId: 'o1', landingId: undefined })
  const other = bind(value, kept({ ...assignment, offer_id: 'o2' }, hours, false), AT)!.value
  assert.equal(boundIn(other, 'summer', AT)?.offerId, 'o2')
  assert.equal(bind(undefined, kept(assignment, { flow_hours: 1 }, false), AT), undefined)
})

test('remembers twelve campaigns, the newest, and none whose time has come', () => {
  let value: string | undefined
  for (let index = 0; index < 13; index += 1)
    value = bind(value, kept({ ...assignment, campaign_id: `c${index}` }, all), AT)!.value
  assert.equal(boundIn(value, 'c0', AT), undefined)
  assert.notEqual(boundIn(value, 'c1', AT), undefined)
  const later = bind(value, kept(assignment, all), AT + 4 * HOUR)!.value
  assert.equal(later.split('~').length, 1)
})

test('stays below what browsers keep, with the longest ids', () => {
  const id = 'x'.repeat(63)
  let value: string | undefined
  for (let index = 0; index < 20; index += 1) {
    const campaign_id = `${index}${'c'.repeat(61)}`
    value = bind(value, kept({ campaign_id, flow_id: id, offer_id: id, landing_id: id }, all), AT)!.value
  }
  assert.ok(value!.length < 3_600, `${value!.length}`)
})

test('any cookie is read without an error', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[a-z|~0-9]*$/))
  fc.assert(fc.property(text, (value) => void bind(value, kept(assignment, all), AT)))
  fc.assert(fc.property(text, (value) => void boundIn(value, 'summer', AT)))
})
