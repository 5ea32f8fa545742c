import type { Role } from '#accounts'

export const everyone: readonly Role[] = ['owner', 'advertiser', 'affiliate']

/** What an advertiser pays, what is left of it and how it judges traffic is none of the affiliate's business. */
export const notAffiliates: readonly Role[] = ['owner', 'advertiser']
