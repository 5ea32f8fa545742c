import type { Role } from '#accounts'

export const everyone: readonly Role[] = ['owner', 'advertiser', 'affiliate']

/** What an advertiser pays, what is left of it and how it judges traffic is none of the affiliate's business. */
export const notAffiliates: readonly Role[] = ['owner', 'advertiser']

/** What tells of the traffic of all tenants together: whether a visitor is new here says whether others had that visitor before. */
export const ownerOnly: readonly Role[] = ['owner']
