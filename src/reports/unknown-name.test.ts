import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ownerTenant, type Tenant } from '#accounts'

import { defineMetric, parseReport, type AskedReport } from './index.ts'

const anna: Tenant = { role: 'affiliate', affiliateId: 'anna' }

function refusal(asked: Partial<AskedReport>, tenant: Tenant = ownerTenant): string {
  const customMetrics = [{ name: 'net_margin', formula: 'profit / revenue' }]
  const defaults = { timezone: 'UTC', currency: 'USD', nowMs: 0, customMetrics }
  const parsed = parseReport({ only: {}, not: {}, ...asked }, tenant, defaults)
  return parsed.kind === 'asked' ? '' : `${parsed.path}: ${parsed.detail}`
}

test('a mistyped name is refused with the one that was probably meant', () => {
  assert.equal(refusal({ metrics: ['clikcs'] }), 'metrics: there is no metric "clikcs"; did you mean "clicks"?')
  assert.equal(refusal({ group_by: ['contry'] }), 'group_by: there is no dimension "contry"; did you mean "country"?')
  assert.match(refusal({ group_by: ['date'], having: 'revenu > 1' }), /^having: .* did you mean "revenue"\?$/)
  assert.match(refusal({ metrics: ['net_margn'] }), /did you mean "net_margin"\?$/)
  assert.match(refusal({ only: { browsr: ['Chrome'] } }), /^browsr: there is no filter "browsr"; did you mean "browser"\?$/)
  assert.match(refusal({ formulas: { mine: 'revenu / 2' } }), /^formula.mine: .* did you mean "revenue"\?$/)
}) // prettier-ignore

test('a name that is like no other is refused with the place where all are listed', () => {
  assert.equal(refusal({ metrics: ['luck_of_the_day'] }), 'metrics: there is no metric "luck_of_the_day"; GET /v1/reports/schema lists them') // prettier-ignore
})

test('no metric or dimension is suggested that the role may not see', () => {
  assert.doesNotMatch(refusal({ metrics: ['revenu'] }, anna), /"revenue"/)
  assert.doesNotMatch(refusal({ metrics: ['net_margn'] }, anna), /net_margin/)
  assert.doesNotMatch(refusal({ group_by: ['fraud_resaon'] }, anna), /"fraud_reason"/)
  const defined = defineMetric({ name: 'mine', formula: 'revenu' }, 'affiliate')
  assert.ok(defined.kind === 'invalid' && !defined.message.includes('"revenue"'))
})
