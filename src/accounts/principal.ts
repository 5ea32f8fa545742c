/** Who asks. An advertiser sees what is its own, an affiliate what is its own with every advertiser, or with one where its
 * key is for one; the owner of the installation sees everything.
 */
export type Principal = {
  readonly apiKeyId: string
  readonly name: string
  readonly scopes: readonly Scope[]
} & Tenant

export type Tenant =
  | { readonly role: 'owner' }
  | { readonly role: 'advertiser'; readonly advertiserId: string }
  | { readonly role: 'affiliate'; readonly affiliateId: string; readonly advertiserId?: string }

export type Role = Tenant['role']

/** What a key may do: `read` asks, `write` changes. */
export const scopes = ['read', 'write'] as const
export type Scope = (typeof scopes)[number]

/** The whole installation: for work that nobody asked for by a key. */
export const ownerTenant: Tenant = { role: 'owner' }

/** Ids that the tenant's own rows have, as a filter: leads a query to them by an index. It decides nothing: row-level
 * security does. Put it before the caller's own filter, so that a question for another tenant's rows finds none.
 */
export function ownIds(tenant: Tenant): { readonly advertiser_id?: string; readonly affiliate_id?: string } {
  if (tenant.role === 'owner') return {}
  const advertiser = tenant.advertiserId === undefined ? {} : { advertiser_id: tenant.advertiserId }
  return tenant.role === 'affiliate' ? { ...advertiser, affiliate_id: tenant.affiliateId } : advertiser
}
