import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSeededRandom } from './seeded-random.ts'
import { demoUserAgents } from './user-agents.ts'
import { createVisits, type Visit, type VisitOptions } from './visits.ts'
import { defaultCityFile, pickWorldAddresses } from './world-addresses.ts'

const targets = [{ path: '/spring', weight: 1 }]

const visitsOf = (addresses: VisitOptions['addresses'], seed: number, count: number): readonly Visit[] => {
  const random = createSeededRandom(seed)
  const next = createVisits({ random, addresses, targets, subCount: 30, returningShare: 0.2 })
  return Array.from({ length: count }, next)
}

test('visits come from all over the world, with many browsers, some people more than once, and the same again for a seed', async () => {
  const addresses = await pickWorldAddresses(defaultCityFile(), createSeededRandom(1))
  assert.ok(addresses.size > 120, `${addresses.size} countries`)
  const visits = visitsOf(addresses, 7, 3_000)
  assert.deepEqual(visitsOf(addresses, 7, 50), visits.slice(0, 50))
  assert.notDeepEqual(visitsOf(addresses, 8, 50), visits.slice(0, 50))
  assert.ok(new Set(visits.map(({ visitor }) => visitor.country)).size > 60)
  assert.ok(new Set(visits.map(({ headers }) => headers['user-agent'])).size > 50)
  const people = new Set(visits.map(({ visitor }) => visitor))
  assert.ok(people.size > 2_200 && people.size < 2_600, `${people.size} people in 3000 visits`)
})

test('a visit fills every parameter that the facts keep of a link', async () => {
  const addresses = new Map([['TR', ['78.160.0.1']]])
  const query = new URL(visitsOf(addresses, 1, 1)[0]!.path, 'http://edge').searchParams
  for (let number = 1; number <= 30; number++) assert.notEqual(query.get(`sub${number}`), null)
  for (const name of ['source_id', 'external_id', 'cost', 'currency', 'ad_campaign_id', 'creative_id', 'utm_term'])
    assert.notEqual(query.get(name), null, name)
})

test('the list of user agents has every kind of device and no string twice', () => {
  assert.deepEqual([...new Set(demoUserAgents.map(({ device }) => device))].toSorted(), [
    'bot',
    'desktop',
    'mobile',
    'tablet',
    'tv',
  ])
  assert.equal(new Set(demoUserAgents.map(({ userAgent }) => userAgent)).size, demoUserAgents.length)
})
