import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { applyConfiguration, findVersion, maskSnapshot } from '#configuration'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { changeSchema, changesJson, issuesBody, issuesSchema } from '../configuration-json.ts'
import { errorSchema } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { answers, instantText, oneWord, openObject, queryOf } from '../schemas.ts'

const application = Type.Object({
  kind: oneWord(['applied', 'planned', 'unchanged'], '`planned`: a dry run'),
  version: Type.Integer({ description: 'Version of the configuration; of a dry run the one it would be' }),
  changes: Type.Array(changeSchema),
})

const yamlTypes = ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml', 'text/plain']

export function addConfigurationRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/config',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['configuration'],
        summary: 'The configuration that is in force, secrets masked',
        querystring: queryOf({
          version: Type.Optional(Type.Integer({ description: 'An earlier version', minimum: 1 })),
        }),
        response: answers(
          Type.Object({
            version: Type.Integer(),
            created_at: instantText('When it was applied'),
            created_by: Type.String(),
            snapshot: openObject('The whole configuration; amounts are integer micros'),
          }),
        ),
      },
    },
    async (request) => {
      const found = await findVersion(api.pool, request.query.version)
      if (found === undefined) throw new WaypostError('not_found')
      return {
        version: found.version,
        created_at: found.createdAt.toISOString(),
        created_by: found.createdBy,
        snapshot: maskSnapshot(found.snapshot),
      }
    },
  )

  // The body parsers of this route only: elsewhere YAML is no content type.
  plain.register(async (scope) => {
    scope.addContentTypeParser(
      yamlTypes,
      { parseAs: 'string', bodyLimit: apiLimits.configurationBytesMax },
      (_request, body, done) => done(null, body),
    )
    scope.withTypeProvider<TypeBoxTypeProvider>().post(
      '/v1/config',
      {
        config: writableBy('owner'),
        bodyLimit: apiLimits.configurationBytesMax,
        schema: {
          tags: ['configuration'],
          summary: 'Apply a YAML configuration wholly, or refuse it wholly',
          consumes: yamlTypes,
          querystring: queryOf({
            dry_run: Type.Optional(Type.Boolean({ description: 'Validate and compare only', default: false })),
          }),
          body: Type.String({ description: 'YAML, see docs/configuration.md' }),
          response: { 200: application, 422: issuesSchema, '4xx': errorSchema, '5xx': errorSchema },
        },
      },
      async (request, reply) => {
        const by = `API key ${principalOf(request).name}`
        const result = await applyConfiguration(api.pool, request.body, {
          by,
          dryRun: request.query.dry_run ?? false,
          clock: api.clock,
        })
        if (result.kind === 'refused') return reply.code(422).send(issuesBody(result.issues))
        const changes = result.kind === 'unchanged' ? [] : result.changes
        return { kind: result.kind, version: result.version, changes: changesJson(changes) }
      },
    )
  })
}
