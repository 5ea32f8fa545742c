import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { AddedJob } from '#jobs'
import { WaypostError } from '#platform/errors'
import {
  archiveKinds,
  askForRestore,
  askForRun,
  listRetirements,
  planRetirements,
  policiesOf,
  readRetentionStatus,
  retentionLimits,
  type PlannedRetirement,
  type PlanTools,
  type Retirement,
} from '#retention'

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

const dayText = (description: string) =>
  Type.String({ description: `${description}, YYYY-MM-DD (UTC)`, format: 'date' })

const retirementProperties = {
  retirement_id: Type.String(),
  table: oneWord(['clicks', 'events', 'conversions'], 'Whose rows'),
  day: dayText('Of which day'),
  advertiser_ids: Type.Array(Type.String(), { description: 'Whose rows; empty text: of no advertiser' }),
  archive: oneWord(archiveKinds, 'Where the rows are'),
  path: nullable(Type.String({ description: 'Below the directory of archives or the prefix of the bucket' })),
  state: Type.String({ description: 'See docs/retention.md' }),
  rows: Type.Integer(),
  checksum: Type.String({ description: 'Sum of the hashes of all rows' }),
  bytes: Type.Integer({ description: 'Of the file; 0: elsewhere' }),
  kept_rows: Type.Integer({ description: 'Rows that stay' }),
  planned_at: instantText('When it was begun'),
  retired_at: nullable(instantText('From when on reports count what is kept')),
  restored_at: nullable(instantText('When the raw rows were put back')),
  held_until: nullable(dayText('Restored rows are left alone until this day')),
}

const retirementJson = (one: Retirement) => ({
  retirement_id: String(one.retirement_id),
  table: one.table_name,
  day: one.day,
  advertiser_ids: [...one.advertiser_ids],
  archive: one.archive,
  path: one.path,
  state: one.state,
  rows: Number(one.rows),
  checksum: one.checksum,
  bytes: Number(one.bytes),
  kept_rows: Number(one.kept_rows),
  planned_at: one.planned_at.toISOString(),
  retired_at: one.retired_at?.toISOString() ?? null,
  restored_at: one.restored_at?.toISOString() ?? null,
  held_until: one.held_until,
})

const planned = Type.Object({
  table: Type.String(),
  day: Type.String(),
  advertiser_ids: Type.Array(Type.String()),
  archive: Type.String(),
  rows: Type.Integer(),
})

const plannedJson = ({ table_name, day, advertiser_ids, archive, rows }: PlannedRetirement) => ({
  ...{ table: table_name, day, advertiser_ids: [...advertiser_ids], archive, rows },
})

const asked = Type.Object({ job_id: uuidText('Follow it at GET /v1/jobs/{job_id}') })

/** Raw facts past their age: what was retired, what is due, and days put back. Of the whole installation: its owner's business. */
export function addRetentionRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const tags = ['retention']

  server.get(
    '/v1/retention',
    {
      config: readableBy('owner'),
      schema: {
        ...{ tags, summary: 'What was retired of the raw facts, newest day first' },
        querystring: queryOf({
          ...pageQuery,
          from: Type.Optional(dayText('First day')),
          to: Type.Optional(dayText('Last day, included')),
          advertiser_id: Type.Optional(Type.String({ description: 'Whose rows', maxLength: 63 })),
        }),
        response: answers(pageOf(Type.Object(retirementProperties))),
      },
    },
    async ({ query }) => {
      const { limit = apiLimits.pageRowsDefault, cursor, from, to, advertiser_id } = query
      const after = decodeCursor(cursor, 'number')
      const rows = await listRetirements(api.pool, {
        limit: limit + 1,
        ...(after && {
          after: { day: new Date(after.atMs).toISOString().slice(0, 10), retirementId: BigInt(after.id) },
        }),
        ...(from !== undefined && { fromDay: from }),
        ...(to !== undefined && { toDay: to }),
        ...(advertiser_id !== undefined && { advertiserId: advertiser_id }),
      })
      const placeOf = (one: Retirement) => ({ atMs: Date.parse(one.day), id: String(one.retirement_id) })
      const { items, next_cursor } = toPage(rows, limit, placeOf, retirementJson)
      return { items: [...items], next_cursor }
    },
  )

  server.get(
    '/v1/retention/status',
    {
      config: readableBy('owner'),
      schema: {
        ...{ tags, summary: 'How far retention is, and what is due now', querystring: queryOf({}) },
        response: answers(
          Type.Object({
            retired: Type.Array(openObject('By table: retirements, rows, archive_bytes, kept_rows, from, to')),
            moving: openObject('Retirements under way or cut off, by state'),
            moving_since: nullable(instantText('When the oldest of them was begun')),
            due: Type.Array(planned, { description: 'What a run would retire now' }),
          }),
        ),
      },
    },
    async () => {
      const { retired, moving, moving_since } = await readRetentionStatus(api.pool)
      const due = await planRetirements(planToolsOf(api))
      return {
        retired: retired.map((one) => ({ ...one })),
        moving: { ...moving },
        moving_since: moving_since?.toISOString() ?? null,
        due: due.map(plannedJson),
      }
    },
  )

  server.post(
    '/v1/retention/runs',
    {
      config: writableBy('owner'),
      schema: {
        ...{ tags, summary: 'Retire now what is due, as each night', querystring: queryOf({}) },
        response: answers(asked, 201),
      },
    },
    async (request, reply) => {
      const added = await askForRun(api.pool, `API key ${principalOf(request).name}`)
      return reply.code(201).send(jobOf(added))
    },
  )

  server.post(
    '/v1/retention/restores',
    {
      config: writableBy('owner'),
      schema: {
        ...{ tags, summary: 'Put the raw facts of a day back from their archive', querystring: queryOf({}) },
        body: Type.Object(
          {
            day: dayText('Which day'),
            hold_days: Type.Optional(
              Type.Integer({
                description: 'Days that they stay before they are retired again',
                minimum: 1,
                maximum: retentionLimits.holdDaysMax,
                default: retentionLimits.holdDaysDefault,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(asked, 201),
      },
    },
    async (request, reply) => {
      const { day, hold_days = retentionLimits.holdDaysDefault } = request.body
      const [found] = await listRetirements(api.pool, { fromDay: day, toDay: day, limit: 1 })
      if (found === undefined) throw new WaypostError('not_found', `No raw facts of ${day} were retired.`)
      const added = await askForRestore(api.pool, day, hold_days, `API key ${principalOf(request).name}`)
      return reply.code(201).send(jobOf(added))
    },
  )
}

const planToolsOf = ({ pool, facts, clock, retention, snapshots }: Api): PlanTools => ({
  ...{ pool, facts, clock },
  policies: () => policiesOf(retention.byDefault, snapshots.current()?.advertisers),
})

function jobOf(added: AddedJob): { readonly job_id: string } {
  if (added.kind === 'refused') throw new WaypostError('conflict', `The job was refused: ${added.reason}.`)
  return { job_id: added.jobId }
}
