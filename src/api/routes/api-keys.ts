import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { createApiKey, listApiKeys, revokeApiKey, scopes, type ApiKey } from '#accounts'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import { answers, idText, instantText, nullable, oneWord, pageOf, pageQuery, queryOf, uuidText } from '../schemas.ts'

const roles = ['owner', 'advertiser', 'affiliate'] as const

const apiKeyProperties = {
  api_key_id: uuidText('Key'),
  name: Type.String(),
  role: oneWord(roles, 'Whose data it opens'),
  advertiser_id: nullable(Type.String()),
  affiliate_id: nullable(Type.String()),
  scopes: Type.Array(oneWord(scopes, 'What it may do')),
  created_at: instantText('When it was made'),
  revoked_at: nullable(instantText('When it ended')),
}

const newKey = Type.Object(
  {
    name: Type.String({ description: 'What it is for', minLength: 1, maxLength: 100 }),
    role: oneWord(roles, 'Whose data it opens'),
    advertiser_id: Type.Optional(idText('Role advertiser: whose. Role affiliate: only what it has with this one')),
    affiliate_id: Type.Optional(idText('Role affiliate: whose')),
    scopes: Type.Optional(
      Type.Array(oneWord(scopes, 'What it may do'), { minItems: 1, maxItems: 2, uniqueItems: true, default: ['read'] }),
    ),
  },
  { additionalProperties: false },
)

const toJson = ({ created_at, revoked_at, ...rest }: ApiKey) => ({
  ...rest,
  scopes: [...rest.scopes],
  created_at: created_at.toISOString(),
  revoked_at: revoked_at?.toISOString() ?? null,
})

export function addApiKeyRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/api-keys',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['api keys'],
        summary: 'API keys, newest first, without the keys themselves',
        querystring: queryOf(pageQuery),
        response: answers(pageOf(Type.Object(apiKeyProperties))),
      },
    },
    async (request) => {
      const { limit = apiLimits.pageRowsDefault, cursor } = request.query
      const rows = await listApiKeys(api.pool, limit + 1, decodeCursor(cursor, 'uuid')?.id)
      return toPage(rows, limit, (row) => ({ atMs: row.created_at.getTime(), id: row.api_key_id }), toJson) as never
    },
  )

  server.post(
    '/v1/api-keys',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['api keys'],
        summary: 'Make an API key; the answer is the only time that it can be read',
        body: newKey,
        response: answers(
          Type.Object({
            ...apiKeyProperties,
            key: Type.String({ description: 'Send it as `Authorization: Bearer KEY`' }),
          }),
          201,
        ),
      },
    },
    async (request, reply) => {
      const { name, role, advertiser_id, affiliate_id, scopes: wanted = ['read'] } = request.body
      refuseWrongTenant(role, advertiser_id, affiliate_id)
      const tenant = { ...(advertiser_id && { advertiser_id }), ...(affiliate_id && { affiliate_id }) }
      const created = await createApiKey(api.pool, { name, role, scopes: wanted, ...tenant }, api.clock)
      if (created.kind === 'tenant_unknown')
        throw new RequestError(
          'request_invalid',
          'there is no such advertiser or affiliate, or the affiliate is no member of the advertiser',
          role === 'advertiser' ? 'advertiser_id' : 'affiliate_id',
        )
      return reply.code(201).send({ ...toJson(created.apiKey), key: created.key })
    },
  )

  server.delete(
    '/v1/api-keys/:api_key_id',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['api keys'],
        summary: 'End an API key at once',
        params: Type.Object({ api_key_id: uuidText('Key') }),
        response: answers(Type.Object(apiKeyProperties)),
      },
    },
    async (request) => {
      const apiKey = await revokeApiKey(api.pool, request.params.api_key_id, api.clock)
      if (apiKey === undefined) throw new WaypostError('not_found')
      return toJson(apiKey)
    },
  )
}

function refuseWrongTenant(
  role: (typeof roles)[number],
  advertiserId: string | undefined,
  affiliateId: string | undefined,
): void {
  if (role === 'advertiser' && advertiserId === undefined)
    throw new RequestError('request_invalid', 'the role advertiser needs it', 'advertiser_id')
  if (role === 'affiliate' && affiliateId === undefined)
    throw new RequestError('request_invalid', 'the role affiliate needs it', 'affiliate_id')
  if (role !== 'affiliate' && affiliateId !== undefined)
    throw new RequestError('request_invalid', 'only the role affiliate has it', 'affiliate_id')
  if (role === 'owner' && advertiserId !== undefined)
    throw new RequestError('request_invalid', 'the owner sees every advertiser', 'advertiser_id')
}
