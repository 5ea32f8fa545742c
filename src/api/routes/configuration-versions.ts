import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import {
  diffVersions,
  findVersion,
  listVersions,
  maskSnapshot,
  restoreVersion,
  type ConfigurationVersion,
  type Restoration,
  type VersionSummary,
} from '#configuration'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { changeSchema, changesJson } from '../configuration-json.ts'
import { apiLimits } from '../limits.ts'
import { answers, instantText, nullable, oneWord, openObject, pageQuery, queryOf } from '../schemas.ts'

const versionNumber = Type.Integer({ description: 'Number of a version', minimum: 1, maximum: 2_147_483_647 })
const made = {
  version: Type.Integer(),
  created_at: instantText('When'),
  created_by: Type.String({ description: 'Name of an API key, or who called the command' }),
  restored_version: nullable(Type.Integer({ description: 'The version that this one put in force again' })),
}
const madeJson = (one: VersionSummary | ConfigurationVersion) => ({
  version: one.version,
  created_at: one.createdAt.toISOString(),
  created_by: one.createdBy,
  restored_version: one.restoredVersion ?? null,
})

const summary = Type.Object({
  ...made,
  added: Type.Integer({ description: 'Objects' }),
  changed: Type.Integer(),
  removed: Type.Integer(),
  first_objects: Type.Array(Type.String(), { description: 'Up to five of them, such as `offer lamp`' }),
})
const restoration = Type.Object({
  kind: oneWord(['restored', 'planned', 'unchanged'], '`planned`: a dry run'),
  version: Type.Integer({ description: 'Version that was made, or of a dry run the one that would be' }),
  restored_version: Type.Integer(),
  changes: Type.Array(changeSchema),
  kept: Type.Array(
    Type.Object({ object: Type.String(), id: Type.String(), status: Type.String(), why: Type.String() }),
    { description: 'Objects that the old version does not have and that stay, out of service' },
  ),
})

export function addConfigurationVersionRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/config/versions',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['configuration'],
        summary: 'Who changed the configuration, when and how much, newest first',
        querystring: queryOf({
          limit: pageQuery.limit,
          before: Type.Optional(Type.Integer({ description: 'Versions below this one', minimum: 1 })),
        }),
        response: answers(
          Type.Object({
            items: Type.Array(summary),
            next_before: nullable(
              Type.Integer({ description: '`before` of the next page; null: this is the last one' }),
            ),
          }),
        ),
      },
    },
    async (request) => {
      const { limit = apiLimits.pageRowsDefault, before } = request.query
      const versions = await listVersions(api.pool, before, limit + 1)
      const shown = versions.slice(0, limit)
      const items = shown.map((one) => ({
        ...madeJson(one),
        added: one.added,
        changed: one.changed,
        removed: one.removed,
        first_objects: [...one.firstObjects],
      }))
      return { items, next_before: versions.length > limit ? shown.at(-1)!.version : null }
    },
  )

  server.get(
    '/v1/config/versions/:version',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['configuration'],
        summary: 'One version: what changed in it, and the whole of it with secrets masked',
        params: Type.Object({ version: versionNumber }),
        response: answers(
          Type.Object({
            ...made,
            changes: Type.Array(changeSchema),
            snapshot: openObject('The whole configuration; amounts are integer micros'),
          }),
        ),
      },
    },
    async (request) => {
      const found = await findVersion(api.pool, request.params.version)
      if (found === undefined) throw new WaypostError('not_found')
      return { ...madeJson(found), changes: changesJson(found.changes), snapshot: maskSnapshot(found.snapshot) }
    },
  )

  server.get(
    '/v1/config/versions/:version/diff/:other',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['configuration'],
        summary: 'What turns one version into another',
        params: Type.Object({ version: versionNumber, other: versionNumber }),
        response: answers(Type.Object({ from: Type.Integer(), to: Type.Integer(), changes: Type.Array(changeSchema) })),
      },
    },
    async (request) => {
      const { version: from, other: to } = request.params
      const changes = await diffVersions(api.pool, from, to)
      if (changes === undefined) throw new WaypostError('not_found')
      return { from, to, changes: changesJson(changes) }
    },
  )

  server.post(
    '/v1/config/versions/:version/restore',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['configuration'],
        summary: 'Put an earlier version in force again as a new one; a dry run unless `dry_run=false`',
        params: Type.Object({ version: versionNumber }),
        querystring: queryOf({
          dry_run: Type.Optional(Type.Boolean({ description: 'Compare only', default: true })),
          newest: Type.Optional(
            Type.Integer({
              description: 'The newest version that you know; with a newer one nothing is done',
              minimum: 1,
            }),
          ),
        }),
        response: answers(restoration),
      },
    },
    async (request) => {
      const { dry_run: dryRun = true, newest } = request.query
      const result = await restoreVersion(api.pool, request.params.version, {
        by: `API key ${principalOf(request).name}`,
        dryRun,
        ...(newest !== undefined && { newest }),
        clock: api.clock,
      })
      return { ...restorationJson(result), restored_version: request.params.version }
    },
  )
}

function restorationJson(result: Restoration) {
  switch (result.kind) {
    case 'version_unknown':
      throw new WaypostError('not_found')
    case 'outdated':
      throw new WaypostError('conflict', `The newest version is ${result.newest}.`)
    case 'refused':
      throw new WaypostError('conflict', result.reasons.join(' '))
    case 'unchanged':
      return { kind: result.kind, version: result.version, changes: [], kept: [...result.kept] }
    case 'planned':
    case 'restored':
      return {
        kind: result.kind,
        version: result.version,
        changes: changesJson(result.changes),
        kept: [...result.kept],
      }
    default:
      return result satisfies never
  }
}
