import { asTenant, type Tenant } from '#accounts'

import type { Api } from './api.ts'

const OWN_ENDPOINT = 'SELECT endpoint_id FROM postback_endpoints WHERE endpoint_id = $1'

/** Whether an endpoint exists for who asks: another tenant's does not. */
export const ownsEndpoint = async (api: Api, tenant: Tenant, endpointId: string): Promise<boolean> =>
  asTenant(api.pool, tenant, async (tx) => (await tx.query(OWN_ENDPOINT, [endpointId])).rows.length > 0)
