import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { applyConfiguration } from '#configuration'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { errorBody, errorSchema } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { instantText, answers, nullable, oneWord, openObject, pageQuery, queryOf } from '../schemas.ts'

const change = Type.Object({
  kind: oneWord(['added', 'changed', 'removed'], 'What happens to it'),
  object: Type.String({ description: 'advertiser, affiliate, offer, campaign, link, endpoint or setting' }),
  id: Type.String(),
  fields: Type.Array(
    Type.Object({ path: Type.String(), before: Type.Optional(Type.String()), after: Type.Optional(Type.String()) }),
  ),
})

const application = Type.Object({
  kind: oneWord(['applied', 'planned', 'unchanged'], '`planned`: a dry run'),
  version: Type.Integer({ description: 'Version of the configuration; of a dry run the one it would be' }),
  changes: Type.Array(change),
})

const refused = Type.Object({
  ...errorSchema.properties,
  issues: Type.Array(
    Type.Object({
      line: Type.Integer(),
      column: Type.Integer(),
      path: Type.String(),
      code: Type.String({ description: 'See docs/configuration.md' }),
      message: Type.String(),
      hint: Type.Optional(Type.String()),
    }),
  ),
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
      const row = await findVersion(api, request.query.version)
      if (row === undefined) throw new WaypostError('not_found')
      return {
        version: row.version,
        created_at: row.created_at.toISOString(),
        created_by: row.created_by,
        snapshot: maskSecrets(row.snapshot),
      }
    },
  )

  server.get(
    '/v1/config/versions',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['configuration'],
        summary: 'Who changed what, newest first',
        querystring: queryOf({
          limit: pageQuery.limit,
          before: Type.Optional(Type.Integer({ description: 'Versions below this one', minimum: 1 })),
        }),
        response: answers(
          Type.Object({
            items: Type.Array(
              Type.Object({
                version: Type.Integer(),
                created_at: instantText('When'),
                created_by: Type.String(),
                changes: Type.Array(change),
              }),
            ),
            next_before: nullable(
              Type.Integer({ description: '`before` of the next page; null: this is the last one' }),
            ),
          }),
        ),
      },
    },
    async (request) => {
      const { limit = apiLimits.pageRowsDefault, before } = request.query
      const { rows } = await api.pool.query<VersionRow>(LIST_VERSIONS, [before ?? null, limit + 1])
      const shown = rows.slice(0, limit)
      const items = shown.map(({ created_at, diff, ...rest }) => ({
        ...rest,
        created_at: created_at.toISOString(),
        changes: diff as never,
      }))
      return { items, next_before: rows.length > limit ? shown.at(-1)!.version : null }
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
          response: { 200: application, 422: refused, '4xx': errorSchema, '5xx': errorSchema },
        },
      },
      async (request, reply) => {
        const by = `API key ${principalOf(request).name}`
        const result = await applyConfiguration(api.pool, request.body, {
          by,
          dryRun: request.query.dry_run ?? false,
          clock: api.clock,
        })
        if (result.kind === 'refused')
          return reply.code(422).send({
            ...(errorBody('configuration_invalid', `There are ${result.issues.length} mistakes.`) as {
              error: never
            }),
            issues: [...result.issues],
          })
        const changes = result.kind === 'unchanged' ? [] : result.changes
        return {
          kind: result.kind,
          version: result.version,
          changes: changes.map((one) => ({ ...one, fields: [...one.fields] })),
        }
      },
    )
  })
}

type VersionRow = {
  readonly version: number
  readonly created_at: Date
  readonly created_by: string
  readonly diff: unknown
}

const LIST_VERSIONS = `
  SELECT version, created_at, created_by, diff FROM config_versions WHERE $1::integer IS NULL OR version < $1 ORDER BY version DESC LIMIT $2`

const FIND_VERSION = `
  SELECT version, created_at, created_by, snapshot FROM config_versions WHERE $1::integer IS NULL OR version = $1
  ORDER BY version DESC LIMIT 1`

async function findVersion(
  { pool }: Api,
  version: number | undefined,
): Promise<(Omit<VersionRow, 'diff'> & { snapshot: object }) | undefined> {
  const { rows } = await pool.query<Omit<VersionRow, 'diff'> & { snapshot: object }>(FIND_VERSION, [version ?? null])
  return rows[0]
}

const SECRET_KEYS: ReadonlySet<string> = new Set(['secret', 'secrets', 'hmac_secrets'])

const maskSecrets = (snapshot: object): object =>
  JSON.parse(JSON.stringify(snapshot, (key, value: unknown) => (SECRET_KEYS.has(key) ? '(secret)' : value))) as object
