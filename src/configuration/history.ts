import type { Tx } from '#platform/postgres'
import type { SectionName } from './file-schema.ts'

/** Where an object of a section may be remembered for ever: table and column. Links are remembered by clicks alone. */
const rememberedIn: Readonly<Record<SectionName, readonly (readonly [table: string, column: string])[]>> = {
  advertisers: [['conversions', 'advertiser_id'], ['inbound_postbacks', 'advertiser_id'], ['ledger_accounts', 'advertiser_id'], ['deliveries', 'advertiser_id'], ['api_keys', 'advertiser_id']],
  affiliates: [['conversions', 'affiliate_id'], ['ledger_accounts', 'affiliate_id'], ['deliveries', 'affiliate_id'], ['api_keys', 'affiliate_id']],
  offers: [['conversions', 'offer_id'], ['inbound_postbacks', 'offer_id'], ['deliveries', 'offer_id']],
  campaigns: [['conversions', 'campaign_id'], ['deliveries', 'campaign_id']],
  links: [],
  endpoints: [['deliveries', 'endpoint_id']],
} // prettier-ignore

/** Which of the ids of a section conversions, postbacks, bookings or keys name. */
export async function findRemembered(tx: Tx, section: SectionName, ids: readonly string[]): Promise<readonly string[]> {
  const places = rememberedIn[section]
  if (ids.length === 0 || places.length === 0) return []
  const exists = places
    .map(([table, column]) => `EXISTS (SELECT FROM ${table} WHERE ${column} = wanted.id)`)
    .join(' OR ')
  const { rows } = await tx.query<{ id: string }>(`SELECT id FROM unnest($1::text[]) AS wanted(id) WHERE ${exists}`, [
    ids,
  ])
  return rows.map(({ id }) => id)
}
