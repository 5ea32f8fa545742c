import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'
import { applyConfiguration, findVersion, restoreVersion, type Application } from './index.ts'

const apply = (pool: Pool, yaml: string): Promise<Application> => applyConfiguration(pool, yaml, { by: 'test' })
const ADVERTISER =
  'advertisers: { acme: { postback_allow: { domains: ["*.partner.example"], addresses: [9.9.9.0/24] } } }'
const ENDPOINTS = `
affiliates: { anna: { advertiser_ids: [acme] } }
endpoints:
  own: { advertiser_id: acme, url: "https://crm.partner.example/{click_id}" }
  annas: { affiliate_id: anna, url: "https://anna.example/{click_id}" }
`

test("whoever sends finds an advertiser's list beside each of its endpoints, and beside no other", async (t) => {
  const { pool } = await withDatabase(t)
  const applied = await apply(pool, `${ADVERTISER}\n${ENDPOINTS}`)
  assert.equal(applied.kind, 'applied', JSON.stringify(applied))
  const { snapshot } = (await findVersion(pool, undefined))!
  const lists = Object.fromEntries(snapshot.endpoints.map((one) => [one.endpoint_id, one.postback_allow]))
  assert.deepEqual(lists, { own: { domains: ['*.partner.example'], addresses: ['9.9.9.0/24'] }, annas: undefined })
  assert.equal((await apply(pool, `${ADVERTISER}\n${ENDPOINTS}`)).kind, 'unchanged')
})

test('a list that an endpoint outside the file would break is refused where the list stands', async (t) => {
  const { pool } = await withDatabase(t)
  assert.equal((await apply(pool, `advertisers: { acme: {} }\n${ENDPOINTS}`)).kind, 'applied')
  const refused = await apply(pool, 'advertisers: { acme: { postback_allow: { domains: [other.example] } } }')
  assert.equal(refused.kind, 'refused')
  assert.deepEqual(
    refused.kind === 'refused' && refused.issues.map(({ code, path, message }) => [code, path, message]),
    [
      [
        'destination_not_allowed',
        'advertisers.acme.postback_allow',
        'The endpoint "own" sends to crm.partner.example, where "acme" lets nothing be sent.',
      ],
    ],
  )
})

test('a restored version brings the list back, for advertiser and endpoints', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, `${ADVERTISER}\n${ENDPOINTS}`)
  await apply(pool, 'advertisers: { acme: {} }')
  assert.equal((await findVersion(pool, undefined))!.snapshot.endpoints.find((one) => one.endpoint_id === 'own')!.postback_allow, undefined) // prettier-ignore
  assert.equal((await restoreVersion(pool, 1, { by: 'test', dryRun: false })).kind, 'restored')
  const { snapshot } = (await findVersion(pool, undefined))!
  assert.deepEqual(snapshot.advertisers[0]!.postback_allow, { domains: ['*.partner.example'], addresses: ['9.9.9.0/24'] }) // prettier-ignore
  assert.deepEqual(snapshot.endpoints.find((one) => one.endpoint_id === 'own')!.postback_allow, snapshot.advertisers[0]!.postback_allow) // prettier-ignore
})
