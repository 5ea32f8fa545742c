import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Principal } from '#accounts'
import { WaypostError } from '#platform/errors'
import { isTimezone } from '#platform/clock'
import {
  asKey,
  deleteSchedule,
  findSavedReport,
  findSchedule,
  listRuns,
  listSchedules,
  makeSchedule,
  parseCron,
  readLinkToken,
  readReportFile,
  reportFilePath,
  reportFormatNames,
  runStates,
  savedReportLimits,
  scheduleStates,
  setScheduleState,
  type ReportSchedule,
  type ScheduledRun,
  type ScheduleState,
} from '#saved-reports'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { errorSchema, RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import { viewerOf } from '../saved-report-run.ts'
import { answers, instantText, nullable, oneWord, pageOf, pageQuery, queryOf, uuidText } from '../schemas.ts'

const everybody = ['owner', 'advertiser', 'affiliate'] as const

const scheduleShape = Type.Object({
  schedule_id: uuidText('Schedule'),
  saved_report_id: uuidText('Saved report'),
  cron: Type.String(),
  timezone: Type.String(),
  format: oneWord(reportFormatNames, 'Of the file'),
  keep_days: Type.Integer(),
  state: oneWord(Object.keys(scheduleStates) as ScheduleState[], 'Whether it runs, see docs/saved-reports.md'),
  failures: Type.Integer({ description: 'Runs in a row that failed' }),
  next_at: nullable(instantText('When it runs next')),
  created_at: instantText('When it was made'),
})

const runShape = Type.Object({
  run_id: uuidText('Run'),
  due_at: instantText('The moment of the schedule'),
  missed: Type.Integer({ description: 'Earlier moments that passed while nothing ran; this run stands for them' }),
  state: oneWord(runStates, 'How it is'),
  rows: nullable(Type.Integer({ description: 'Of the report' })),
  currency: nullable(Type.String({ description: 'Of the money in the file' })),
  other_currencies: nullable(
    Type.Array(Type.String(), { description: 'Of amounts that are not in the file, or not all of them' }),
  ),
  error: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
  finished_at: nullable(instantText('When it ended')),
  file: nullable(
    Type.Object({
      name: Type.String(),
      path: Type.String({ description: 'Address on this API; opens without a key' }),
      expires_at: instantText('Until when'),
    }),
  ),
})

const scheduleJson = (row: ReportSchedule) => {
  const { schedule_id, saved_report_id, cron, timezone, format, keep_days, state, failures } = row
  return {
    ...{ schedule_id, saved_report_id, cron, timezone, format, keep_days, state, failures },
    next_at: state === 'active' ? (row.next_at?.toISOString() ?? null) : null,
    created_at: row.created_at.toISOString(),
  }
}

const runJson = (row: ScheduledRun, nowMs: number) => ({
  run_id: row.run_id,
  due_at: row.due_at.toISOString(),
  missed: row.missed,
  state: row.state,
  rows: row.rows,
  currency: row.currency,
  other_currencies: row.other_currencies,
  error: row.error_code === null ? null : { code: row.error_code, message: row.error ?? '' },
  finished_at: row.finished_at?.toISOString() ?? null,
  file:
    row.file_name === null || row.expires_at === null || row.expires_at.getTime() <= nowMs
      ? null
      : {
          name: row.file_name,
          path: reportFilePath(row.run_id, row.expires_at.getTime()),
          expires_at: row.expires_at.toISOString(),
        },
})

const parameters = Type.Object({ schedule_id: uuidText('Schedule') })

/** Schedules belong to the key that made them; the owner sees all. */
export function addReportScheduleRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/report-schedules',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Schedules of reports that this key made, newest first; for the owner those of all',
        querystring: queryOf({ saved_report_id: Type.Optional(uuidText('Of this report')), ...pageQuery }),
        response: answers(pageOf(scheduleShape)),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, saved_report_id: savedReportId } = request.query
      const before = decodeCursor(cursor, 'uuid')?.id
      const rows = await asKey(api.pool, principalOf(request), (tx) =>
        listSchedules(tx, { savedReportId }, before, limit),
      )
      const placeOf = (row: ReportSchedule) => ({ atMs: row.created_at.getTime(), id: row.schedule_id })
      return toPage(rows, limit, placeOf, scheduleJson) as never
    },
  )

  server.post(
    '/v1/report-schedules',
    {
      config: writableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Make a schedule: a saved report at moments of a cron pattern, kept as a file and told by a notice',
        body: Type.Object(
          {
            saved_report_id: uuidText('Saved report that this key sees'),
            cron: Type.String({ description: 'Minute, hour, day of the month, month, weekday', maxLength: 100 }),
            timezone: Type.Optional(Type.String({ description: 'IANA zone of the pattern. Default: UTC', maxLength: 64 })), // prettier-ignore
            format: Type.Optional(oneWord(reportFormatNames, 'Of the file. Default: csv')),
            keep_days: Type.Optional(
              Type.Integer({
                description: 'Days that a file is kept and its link opens',
                minimum: 1,
                maximum: savedReportLimits.keepDaysMax,
                default: savedReportLimits.keepDaysDefault,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(scheduleShape, 201),
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const { saved_report_id, cron, timezone = 'UTC', format = 'csv', keep_days = 14 } = request.body
      const nextAtMs = nextMoment(cron, timezone, api.clock.now())
      const report = await asKey(api.pool, principal, (tx) => findSavedReport(tx, saved_report_id))
      if (report === undefined) throw new RequestError('request_invalid', 'there is no such saved report', 'saved_report_id') // prettier-ignore
      await viewerOf(api, report, principal)
      const wanted = { savedReportId: saved_report_id, cron, timezone, format, keepDays: keep_days, nextAtMs }
      const row = await makeSchedule(api.pool, principal, wanted, api.clock.now())
      if (row === undefined)
        throw new WaypostError('conflict', `This key has ${savedReportLimits.schedulesMax} schedules, and no more at a time: delete one first.`) // prettier-ignore
      return reply.code(201).send(scheduleJson(row))
    },
  )

  server.get(
    '/v1/report-schedules/:schedule_id',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'One schedule',
        params: parameters,
        response: answers(scheduleShape),
      },
    },
    async (request) => scheduleJson(await find(api, principalOf(request), request.params.schedule_id)),
  )

  server.get(
    '/v1/report-schedules/:schedule_id/runs',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Runs of a schedule, newest first, with their files or errors',
        params: parameters,
        querystring: queryOf(pageQuery),
        response: answers(pageOf(runShape)),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault } = request.query
      const { schedule_id } = await find(api, principalOf(request), request.params.schedule_id)
      const before = decodeCursor(cursor, 'uuid')?.atMs
      const rows = await asKey(api.pool, principalOf(request), (tx) => listRuns(tx, schedule_id, before, limit))
      const placeOf = (row: ScheduledRun) => ({ atMs: row.due_at.getTime(), id: row.run_id })
      return toPage(rows, limit, placeOf, (row) => runJson(row, api.clock.now())) as never
    },
  )

  for (const [verb, state, summary] of [
    ['pause', 'paused', 'Stop a schedule until it is resumed'],
    ['resume', 'active', 'Let a schedule run again, from its next moment on; what passed meanwhile is not made up for'],
  ] as const)
    server.post(
      `/v1/report-schedules/:schedule_id/${verb}`,
      {
        config: writableBy(...everybody),
        schema: { tags: ['saved reports'], summary, params: parameters, response: answers(scheduleShape) },
      },
      async (request) => {
        const { schedule_id, cron, timezone } = await find(api, principalOf(request), request.params.schedule_id)
        const nextAtMs = state === 'active' ? nextMoment(cron, timezone, api.clock.now()) : undefined
        const row = await setScheduleState(api.pool, schedule_id, state, nextAtMs)
        if (row === undefined) throw new WaypostError('not_found')
        return scheduleJson(row)
      },
    )

  server.delete(
    '/v1/report-schedules/:schedule_id',
    {
      config: writableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Delete a schedule with its runs and files',
        params: parameters,
        response: answers(scheduleShape),
      },
    },
    async (request) => {
      const row = await find(api, principalOf(request), request.params.schedule_id)
      await deleteSchedule(api.pool, row.schedule_id)
      return scheduleJson(row)
    },
  )

  server.get(
    '/v1/report-files/:token',
    {
      schema: {
        tags: ['saved reports'],
        summary: 'The file of a scheduled report by its link, without a key',
        security: [],
        params: Type.Object({ token: Type.String({ description: 'Of the link', maxLength: 250 }) }),
        response: { 200: Type.Unsafe<Buffer>({ description: 'The file' }), '4xx': errorSchema, '5xx': errorSchema },
      },
    },
    async (request, reply) => {
      const nowMs = api.clock.now()
      const runId = readLinkToken('report_file', request.params.token, nowMs)
      const file = runId === undefined ? undefined : await readReportFile(api.pool, runId, nowMs)
      if (file === undefined) throw new WaypostError('not_found')
      return reply
        .type(file.content_type)
        .header('Content-Disposition', `attachment; filename="${file.file_name}"`)
        .send(file.content)
    },
  )
}

/** @throws {RequestError} request_invalid */
function nextMoment(cron: string, timezone: string, nowMs: number): number {
  if (!isTimezone(timezone)) throw new RequestError('request_invalid', `"${timezone}" is no IANA time zone`, 'timezone')
  const parsed = parseCron(cron, timezone, nowMs)
  if (parsed.kind === 'invalid') throw new RequestError('request_invalid', parsed.detail, 'cron')
  return parsed.cron.next(nowMs)!
}

/** @throws {WaypostError} not_found */
async function find(api: Api, principal: Principal, id: string): Promise<ReportSchedule> {
  const row = await asKey(api.pool, principal, (tx) => findSchedule(tx, id))
  if (row === undefined) throw new WaypostError('not_found')
  return row
}
