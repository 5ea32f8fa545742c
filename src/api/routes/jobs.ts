import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant, type Tenant } from '#accounts'
import { cancelJob, findJob, jobStates, listJobs, type JobRow } from '#jobs'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import {
  answers,
  instantText,
  nullable,
  oneWord,
  openObject,
  pageOf,
  pageQuery,
  queryOf,
  uuidText,
} from '../schemas.ts'

/** What every answer about a job says. */
export const jobProperties = {
  job_id: uuidText('Job'),
  kind: Type.String({ description: 'Kind of work' }),
  state: oneWord(jobStates, 'What it is doing, see docs/jobs.md'),
  is_cancel_asked: Type.Boolean({ description: 'It runs, and ends as soon as its process hears of the cancel' }),
  done: Type.Integer({ description: 'How far it is' }),
  total: nullable(Type.Integer({ description: 'Where that ends; null: not known yet' })),
  attempts: Type.Integer({ description: 'Runs begun' }),
  error: nullable(Type.Object({ code: Type.String(), message: Type.String() }, { description: 'Of the last run' })),
  asked_by: Type.String(),
  run_at: instantText('Not before'),
  created_at: instantText('When it was asked for'),
  started_at: nullable(instantText('When its first run began')),
  finished_at: nullable(instantText('When it ended')),
  expires_at: nullable(instantText('Until when what it made is kept')),
}

/** The properties of `jobProperties`. */
export const jobJson = (row: JobRow) => ({
  job_id: row.job_id,
  kind: row.kind,
  state: row.state,
  is_cancel_asked: row.is_cancel_asked,
  done: Number(row.done),
  total: row.total === null ? null : Number(row.total),
  attempts: row.attempts,
  error: row.error_code === null ? null : { code: row.error_code, message: row.error ?? '' },
  asked_by: row.asked_by,
  run_at: row.run_at.toISOString(),
  created_at: row.created_at.toISOString(),
  started_at: row.started_at?.toISOString() ?? null,
  finished_at: row.finished_at?.toISOString() ?? null,
  expires_at: row.expires_at?.toISOString() ?? null,
})

const jobShape = Type.Object({
  ...jobProperties,
  input: openObject('What it was asked'),
  result: nullable(openObject('What it made')),
})
const wholeJob = (row: JobRow) => ({ ...jobJson(row), input: row.input, result: row.result })

export function addJobRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const parameters = Type.Object({ job_id: uuidText('Job') })
  const everybody = readableBy('owner', 'advertiser', 'affiliate')

  server.get(
    '/v1/jobs',
    {
      config: everybody,
      schema: {
        tags: ['jobs'],
        summary: 'Work in the background, newest first',
        querystring: queryOf({
          kind: Type.Optional(Type.String({ description: 'Of this kind', maxLength: 63 })),
          state: Type.Optional(oneWord(jobStates, 'In this state')),
          ...pageQuery,
        }),
        response: answers(pageOf(jobShape)),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, ...filter } = request.query
      const after = decodeCursor(cursor, 'uuid')
      const rows = await asTenant(api.pool, principalOf(request), (tx) => listJobs(tx, filter, after, limit))
      return toPage(rows, limit, (row) => ({ atMs: row.created_at.getTime(), id: row.job_id }), wholeJob) as never
    },
  )

  server.get(
    '/v1/jobs/:job_id',
    {
      config: everybody,
      schema: {
        tags: ['jobs'],
        summary: 'One job and how far it is',
        params: parameters,
        response: answers(jobShape),
      },
    },
    async (request) => wholeJob(await findOwnJob(api, principalOf(request), request.params.job_id)) as never,
  )

  server.post(
    '/v1/jobs/:job_id/cancel',
    {
      config: writableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['jobs'],
        summary: 'End a job; one that runs ends within seconds, and what it has made is taken away',
        params: parameters,
        response: answers(jobShape),
      },
    },
    async (request) => {
      const { job_id } = request.params
      await findOwnJob(api, principalOf(request), job_id)
      await cancelJob(api.pool, job_id)
      return wholeJob(await findOwnJob(api, principalOf(request), job_id)) as never
    },
  )
}

/** @throws {WaypostError} not_found: there is none of that id, or it is another tenant's */
export async function findOwnJob({ pool }: Pick<Api, 'pool'>, tenant: Tenant, jobId: string): Promise<JobRow> {
  const row = await asTenant(pool, tenant, (tx) => findJob(tx, jobId))
  if (row === undefined) throw new WaypostError('not_found')
  return row
}
