import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'

import { isSameTenant, narrowTenant } from './index.ts'

const ids = ['a', 'b']
const tenants: readonly Tenant[] = [
  { role: 'owner' },
  ...ids.map((advertiserId): Tenant => ({ role: 'advertiser', advertiserId })),
  ...['x', 'y'].flatMap((affiliateId): Tenant[] => [
    { role: 'affiliate', affiliateId },
    ...ids.map((advertiserId): Tenant => ({ role: 'affiliate', affiliateId, advertiserId })),
  ]),
]

type Row = { readonly advertiser: string; readonly affiliate: string }
const rows: readonly Row[] = ids.flatMap((advertiser) => ['x', 'y'].map((affiliate) => ({ advertiser, affiliate })))

const sees = (tenant: Tenant, { advertiser, affiliate }: Row): boolean =>
  tenant.role === 'owner' ||
  ((tenant.advertiserId === undefined || tenant.advertiserId === advertiser) &&
    (tenant.role === 'advertiser' || tenant.affiliateId === affiliate))

test('what two tenants may both see is exactly the rows of both, with the columns of the narrower role', () => {
  const rank = { owner: 0, advertiser: 1, affiliate: 2 }
  fc.assert(
    fc.property(fc.constantFrom(...tenants), fc.constantFrom(...tenants), (a, b) => {
      const both = narrowTenant(a, b)
      for (const row of rows) assert.equal(both !== undefined && sees(both, row), sees(a, row) && sees(b, row))
      if (both !== undefined) assert.equal(rank[both.role], Math.max(rank[a.role], rank[b.role]))
      assert.equal(isSameTenant(a, b), a === b)
    }),
  )
})
