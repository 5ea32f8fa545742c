import type { Tenant } from '#accounts'

/** What two tenants may both see, as a tenant: whoever runs what somebody else saved sees the rows that are both theirs, with the
 * columns of the narrower role.
 * @returns undefined: there is nothing
 */
export function narrowTenant(a: Tenant, b: Tenant): Tenant | undefined {
  if (a.role === 'owner') return b
  if (b.role === 'owner') return a
  const advertiserId = a.advertiserId ?? b.advertiserId
  if (b.advertiserId !== undefined && b.advertiserId !== advertiserId) return undefined
  if (a.role === 'advertiser' && b.role === 'advertiser') return a
  const affiliates = [a, b].flatMap((one) => (one.role === 'affiliate' ? [one.affiliateId] : []))
  const [affiliateId] = affiliates
  if (affiliateId === undefined || affiliates.some((one) => one !== affiliateId)) return undefined
  return { role: 'affiliate', affiliateId, ...(advertiserId !== undefined && { advertiserId }) }
}

export const isSameTenant = (a: Tenant, b: Tenant): boolean =>
  a.role === b.role &&
  (a.role === 'owner' ||
    (b.role !== 'owner' &&
      a.advertiserId === b.advertiserId &&
      (a.role === 'affiliate' ? a.affiliateId : '') === (b.role === 'affiliate' ? b.affiliateId : '')))
