import type { FastifyInstance, FastifyRequest } from 'fastify'

import { API_KEY_LENGTH_MAX, authenticate, type Principal, type Role, type Scope } from '#accounts'
import { WaypostError } from '#platform/errors'

import type { Api } from './api.ts'
import type { ApiLimits } from './limits.ts'
import { createRateLimit, type RateLimit } from './rate-limit.ts'

/** Who may call a route; left out: everybody, without a key. */
export type Access = { readonly roles: readonly Role[]; readonly scope: Scope }

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly access?: Access
  }
  interface FastifyRequest {
    principal: Principal | undefined
  }
}

/** `{ config: readableBy('owner', 'advertiser') }` on a route. */
export const readableBy = (...roles: Role[]): { access: Access } => ({ access: { roles, scope: 'read' } })
export const writableBy = (...roles: Role[]): { access: Access } => ({ access: { roles, scope: 'write' } })

const BEARER = /^Bearer +([\x21-\x7e]+)$/i

/** Asks every route with `access` for a key before anything else is looked at, its body included. */
export function addAuthorization(server: FastifyInstance, api: Api, limits: ApiLimits): void {
  const refusals = createRateLimit(limits.refusalsPerMinuteMax, api.clock)
  const requests = createRateLimit(limits.requestsPerMinuteMax, api.clock)
  server.decorateRequest('principal', undefined)
  server.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config
    if (access === undefined) return
    const principal = await findPrincipal(request, api)
    if (principal === undefined) throw refuseUnknown(request.ip, refusals)
    if (requests.isOver(principal.apiKeyId)) throw new WaypostError('rate_limited')
    requests.count(principal.apiKeyId)
    refuseForbidden(principal, access)
    request.principal = principal
  })
}

/** Whoever has a key is not held up by others who guess from the same address: behind a proxy all have the same. */
function refuseUnknown(address: string, refusals: RateLimit): WaypostError {
  if (refusals.isOver(address)) return new WaypostError('rate_limited')
  refusals.count(address)
  return new WaypostError('unauthorized')
}

async function findPrincipal(request: FastifyRequest, api: Api): Promise<Principal | undefined> {
  const key = BEARER.exec(request.headers.authorization ?? '')?.[1]
  return key === undefined || key.length > API_KEY_LENGTH_MAX ? undefined : authenticate(api.pool, key)
}

function refuseForbidden(principal: Principal, { roles, scope }: Access): void {
  if (!roles.includes(principal.role)) throw new WaypostError('forbidden', `It is for ${roles.join(' and ')} keys.`)
  if (!principal.scopes.includes(scope)) throw new WaypostError('forbidden', `The key lacks the scope "${scope}".`)
}

/** Who asks, on a route with `access`. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === undefined) throw new Error('The route has no access setting.')
  return request.principal
}
