import type { Tenant } from '#accounts'
import type { ClickRecord, EventRecord } from '#records'

import type { CostShare, Revision } from './make-world.ts'
import type { Happened, SeenClick } from './read-log.ts'

/** One thing that happened, as a report looks at it. */
export type Fact =
  | { readonly kind: 'click'; readonly at: number; readonly click: ClickRecord; readonly seen: SeenClick }
  | {
      readonly kind: 'event'
      readonly at: number
      readonly click: ClickRecord | undefined
      readonly event: EventRecord
      readonly refusal: string | undefined
    }
  | { readonly kind: 'conversion'; readonly at: number; readonly click: ClickRecord; readonly conversion: Revision }
  | { readonly kind: 'cost'; readonly at: number; readonly click: ClickRecord; readonly cost: CostShare }

/** Everything that happened, each thing once: a conversion as it stands now. */
export function factsOf({ clicks, events, conversions, costs }: Happened): readonly Fact[] {
  return [
    ...clicks.map((seen): Fact => ({ kind: 'click', at: seen.record.at, click: seen.record, seen })),
    ...events.map(({ record, click, refusal }): Fact => ({ kind: 'event', at: record.at, click, event: record, refusal })), // prettier-ignore
    ...conversions.map(({ now }): Fact => ({ kind: 'conversion', at: now.at, click: now.click, conversion: now })),
    ...costs.map((cost): Fact => ({ kind: 'cost', at: cost.at, click: cost.click, cost })),
  ]
}

/** Whether a tenant may know of it. */
export function isOwn(fact: Fact, tenant: Tenant): boolean {
  const { advertiser_id, affiliate_id } = fact.click ?? {}
  switch (tenant.role) {
    case 'owner':
      return true
    case 'advertiser':
      return advertiser_id === tenant.advertiserId
    case 'affiliate':
      if (affiliate_id !== tenant.affiliateId) return false
      return tenant.advertiserId === undefined || advertiser_id === tenant.advertiserId
    default:
      return tenant satisfies never
  }
}
