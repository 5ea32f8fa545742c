export {
  API_KEY_LENGTH_MAX,
  authenticate,
  createApiKey,
  ensureOwnerKey,
  findActiveKeys,
  listApiKeys,
  revokeApiKey,
} from './api-keys.ts'
export type { ApiKey, CreatedApiKey, NewApiKey } from './api-keys.ts'
export { asTenant, becomeTenant, READ_TIMEOUT_MS } from './as-tenant.ts'
export { ownerTenant, ownIds, scopes } from './principal.ts'
export type { Principal, Role, Scope, Tenant } from './principal.ts'
