import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { Value } from 'typebox/value'

import type { Tenant } from '#accounts'
import {
  checkLink,
  downloadName,
  EXPORT_KIND,
  exportFormats,
  exportLimits,
  signLink,
  type ExportInput,
  type ExportResult,
  type ListInput,
  type LogInput,
  type ReportInput,
} from '#exports'
import { addJob, cancelJob, expireJob, findJob, type JobRow } from '#jobs'
import { WaypostError } from '#platform/errors'
import {
  FILTER_RULE_LENGTH_MAX,
  FILTER_VALUE_LENGTH_MAX,
  FILTER_VALUES_MAX,
  refuseMissing,
  refuseMissingReport,
} from '#reports'
import { headerKinds } from '#reports/formats'
import { factsLogs, findMissingLog, type FactsLog } from '#reports/logs'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { asInAddress } from '../build-validators.ts'
import { RequestError } from '../errors.ts'
import { findMissingClicks, listedLogNames, listedLogs, readListedQuery, type ListedLogName } from '../listed-logs.ts'
import { readLogQuery, type LogAsked } from '../log-query.ts'
import { answers, instantText, nullable, oneWord, uuidText } from '../schemas.ts'
import { fileTypes } from '../send-report.ts'
import { findOwnJob, jobJson, jobProperties } from './jobs.ts'
import { prefixedProperties, readReport, reportFileName, reportQuery, type AskedQuery } from './reports.ts'

const exportedReport = Type.Object(
  {
    ...reportQuery.properties,
    limit: Type.Optional(
      Type.Integer({ description: 'Rows. Default: all', minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    ),
  },
  {
    description: 'The parameters of GET /v1/reports',
    additionalProperties: false,
    patternProperties: prefixedProperties,
  },
)

const exportBody = Type.Object(
  {
    log: Type.Optional(oneWord([...factsLogs, ...listedLogNames], 'A log; or else `report`')),
    report: Type.Optional(exportedReport),
    format: Type.Optional(oneWord(exportFormats, 'Default: csv')),
    gzip: Type.Optional(Type.Boolean({ description: 'Compressed; only CSV and JSON lines' })),
    headers: Type.Optional(oneWord(headerKinds, 'What stands at the head of columns. Default: name')),
    byte_order_mark: Type.Optional(Type.Boolean({ description: 'CSV begins with one, for spreadsheets of Windows' })),
    from: Type.Optional(Type.String({ description: 'As in GET /v1/logs', maxLength: 40 })),
    to: Type.Optional(Type.String({ description: 'As in GET /v1/logs', maxLength: 40 })),
    tz: Type.Optional(Type.String({ description: 'IANA zone of days', maxLength: 64 })),
    columns: Type.Optional(
      Type.Array(Type.String({ maxLength: 80 }), { description: 'Default: all that the key may see', maxItems: 200 }),
    ),
    filter: Type.Optional(Type.String({ description: 'A rule in its text form', maxLength: FILTER_RULE_LENGTH_MAX })),
    filters: Type.Optional(
      Type.Record(
        Type.String({ maxLength: 80 }),
        Type.Array(Type.String({ maxLength: FILTER_VALUE_LENGTH_MAX }), { maxItems: FILTER_VALUES_MAX }),
        { description: 'Values of dimensions: `{"country": ["DE"], "not.os": ["iOS"]}`' },
      ),
    ),
  },
  { additionalProperties: false },
)

const exportShape = Type.Object({
  ...jobProperties,
  file_name: Type.String({ description: 'Name that a browser gives the file' }),
  bytes: nullable(Type.Integer()),
  rows: nullable(Type.Integer()),
  currency: nullable(Type.String({ description: 'Of the money of a report' })),
  other_currencies: nullable(
    Type.Array(Type.String(), { description: 'Of amounts that are not in the file, or not all of them' }),
  ),
  download: nullable(
    Type.Object(
      {
        url: Type.String({ description: 'Path of the API; needs no key' }),
        expires_at: instantText('Until when it is good'),
      },
      { description: 'Null: the file is not there yet, or not any more' },
    ),
  ),
})

/** Exports of any size: asked for, made in the background, fetched by a link that expires. */
export function addExportRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const config = readableBy('owner', 'advertiser', 'affiliate')
  const parameters = Type.Object({ job_id: uuidText('Export') })

  server.post(
    '/v1/exports',
    {
      config,
      preValidation: asInAddress('report', exportedReport),
      schema: {
        tags: ['exports'],
        summary: 'Begin an export of any size; it is made in the background',
        body: exportBody,
        response: answers(exportShape, 201),
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      if (api.exportsDirectory === undefined) throw new WaypostError('not_ready', 'This process makes no exports.')
      const input = await readExport(api, principal, request.body as AskedExport)
      const added = await addJob(api.pool, {
        kind: EXPORT_KIND,
        input,
        tenant: principal,
        by: `API key ${principal.name}`,
      })
      if (added.kind === 'refused')
        throw new RequestError(
          added.reason === 'too_many_queued' ? 'conflict' : 'request_invalid',
          added.reason === 'too_many_queued' ? 'too many jobs wait already: let some end' : 'the question is too long',
        )
      return reply.code(201).send(exportJson(await findExport(api, principal, added.jobId), api) as never)
    },
  )

  server.get(
    '/v1/exports/:job_id',
    {
      config,
      schema: {
        tags: ['exports'],
        summary: 'How far an export is, and a link to its file',
        params: parameters,
        response: answers(exportShape),
      },
    },
    async (request) => exportJson(await findExport(api, principalOf(request), request.params.job_id), api) as never,
  )

  server.delete(
    '/v1/exports/:job_id',
    {
      config,
      schema: {
        tags: ['exports'],
        summary: 'End an export and remove its file',
        params: parameters,
        response: answers(exportShape),
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const { job_id } = request.params
      await findExport(api, principal, job_id)
      await cancelJob(api.pool, job_id)
      await expireJob(api.pool, job_id)
      return exportJson(await findExport(api, principal, job_id), api) as never
    },
  )

  server.get(
    '/v1/exports/:job_id/download',
    {
      schema: {
        tags: ['exports'],
        summary: 'The file of an export, by the link of GET /v1/exports/{job_id}; takes ranges',
        security: [],
        params: parameters,
        querystring: Type.Object(
          {
            expires: Type.Integer({ minimum: 0, maximum: 1e14, description: 'Of the link' }),
            signature: Type.String({ maxLength: 100, description: 'Of the link' }),
          },
          { additionalProperties: false },
        ),
        response: answers(Type.Any({ description: 'The file' })),
      },
    },
    async (request, reply) => {
      const { expires, signature } = request.query
      const { job_id } = request.params
      const link = checkLink(job_id, expires, signature, api.clock.now())
      if (link === 'wrong') throw new WaypostError('not_found')
      if (link === 'expired') throw new WaypostError('link_expired')
      const row = await findJob(api.pool, job_id)
      const file = row && fileOf(row, api)
      if (file === undefined) throw new WaypostError('not_found')
      return sendFile(reply, file, request.headers)
    },
  )
}

type AskedExport = {
  readonly log?: FactsLog | ListedLogName
  readonly report?: AskedQuery
  readonly format?: ExportInput['format']
  readonly gzip?: boolean
  readonly headers?: ExportInput['headers']
  readonly byte_order_mark?: boolean
  readonly filters?: Readonly<Record<string, readonly string[]>>
} & AskedOfLog
type AskedOfLog = Pick<LogAsked, 'from' | 'to' | 'tz' | 'filter'> & { readonly columns?: readonly string[] }

/** Checked in full before it is queued: what cannot be answered is said at once.
 * @throws {RequestError} request_invalid, forbidden
 * @throws {WaypostError} conflict: a file would lack retired days
 */
async function readExport(api: Api, tenant: Tenant, body: AskedExport): Promise<ExportInput> {
  const {
    log,
    report,
    format = 'csv',
    gzip = false,
    headers = 'name',
    byte_order_mark = false,
    filters,
    ...asked
  } = body
  if (gzip && format !== 'csv' && format !== 'jsonl')
    throw new RequestError('request_invalid', `${format} is compressed already`, 'gzip')
  const how = { format, isZipped: gzip, headers, isMarked: byte_order_mark }
  if (report === undefined && log !== undefined) {
    const question = { ...asked, ...filters }
    if (!isListed(log)) return { ...(await readLog(api, tenant, log, question)), ...how }
    if (format !== 'parquet') return { ...(await readListed(api, tenant, log, question)), ...how }
    throw new RequestError('request_invalid', `of ${log} there is no Parquet: take csv, jsonl or xlsx`, 'format')
  }
  if (report === undefined || log !== undefined)
    throw new RequestError('request_invalid', 'one of "log" and "report" is needed', 'log')
  const extra = Object.keys({ ...asked, ...(filters && { filters }) })[0]
  if (extra !== undefined) throw new RequestError('request_invalid', 'of a report it stands inside of "report"', extra)
  return { ...(await readReportExport(api, tenant, report)), ...how }
}

const isListed = (log: FactsLog | ListedLogName): log is ListedLogName =>
  (listedLogNames as readonly string[]).includes(log)

type Question = Pick<ExportInput, 'fileName'> & (LogInput | ListInput | ReportInput)

const isoOf = (ms: number): string => new Date(ms).toISOString()

async function readLog(api: Api, tenant: Tenant, log: FactsLog, asked: LogAsked): Promise<Question> {
  const { query, question } = readLogQuery(api, tenant, log, asked)
  refuseMissing('A file', await findMissingLog(api.facts, tenant, query))
  const [from, to] = [isoOf(query.range.fromMs), isoOf(query.range.toMs)]
  return { log, asked: { ...question, from, to }, fileName: `${log}_${from.slice(0, 10)}_${to.slice(0, 10)}` }
}

async function readListed(api: Api, tenant: Tenant, list: ListedLogName, asked: LogAsked): Promise<Question> {
  if (list === 'inbound-postbacks' && tenant.role === 'affiliate') throw new WaypostError('forbidden')
  const plain = onlyOne(list, asked)
  const query = readListedQuery(api, tenant, list, plain)
  refuseMissing('A file', await findMissingClicks(api, tenant, query))
  const { from, to } = query.own as { from?: string; to?: string }
  const days = [from, to].flatMap((at) => at?.slice(0, 10) ?? [])
  const range = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) }
  return { list, asked: { ...plain, ...range }, fileName: [list, ...days].join('_') }
}

/** @throws {RequestError} request_invalid: a filter of the list has several values, or one that it does not take */
function onlyOne(list: ListedLogName, asked: LogAsked): LogAsked {
  const known = listedLogs[list].filters
  const entries = Object.entries(asked).map(([name, value]) => {
    if (!Object.hasOwn(known, name) || !Array.isArray(value)) return [name, value]
    const [one] = value.map((text) => Value.Convert(known[name]!, text))
    if (value.length === 1 && Value.Check(known[name]!, one)) return [name, one]
    throw new RequestError('request_invalid', `it takes one value, as in GET /v1/${list}`, `filters.${name}`)
  })
  return Object.fromEntries(entries) as LogAsked
}

async function readReportExport(api: Api, tenant: Tenant, asked: AskedQuery): Promise<Question> {
  const { limit, ...query } = asked
  const report = await readReport(api, tenant, query as AskedQuery)
  await refuseMissingReport(api.facts, tenant, report)
  const { fromMs, toMs } = report.range
  return { report: { ...query, from: isoOf(fromMs), to: isoOf(toMs) }, limit, fileName: reportFileName(report) }
}

async function findExport(api: Api, tenant: Tenant, jobId: string): Promise<JobRow> {
  const row = await findOwnJob(api, tenant, jobId)
  if (row.kind !== EXPORT_KIND) throw new WaypostError('not_found')
  return row
}

type ExportFile = { readonly path: string; readonly name: string; readonly type: string }

/** Undefined: the file is not there yet, or its time is over. */
function fileOf(row: JobRow, { exportsDirectory, clock }: Api): ExportFile | undefined {
  const isThere = row.state === 'done' && row.discarded_at === null && (row.expires_at?.getTime() ?? 0) > clock.now()
  if (!isThere || row.kind !== EXPORT_KIND || exportsDirectory === undefined) return undefined
  const input = row.input as ExportInput
  return {
    path: join(exportsDirectory, (row.result as ExportResult).file),
    name: downloadName(input),
    type: input.isZipped ? 'application/gzip' : fileTypes[input.format],
  }
}

function exportJson(row: JobRow, api: Api) {
  const result = row.result as ExportResult | null
  const expiresMs = Math.min(api.clock.now() + exportLimits.linkSeconds * 1_000, row.expires_at?.getTime() ?? 0)
  return {
    ...jobJson(row),
    file_name: downloadName(row.input as ExportInput),
    bytes: result?.bytes ?? null,
    rows: result?.rows ?? null,
    currency: result?.currency ?? null,
    other_currencies: result?.other_currencies ?? null,
    download:
      fileOf(row, api) === undefined
        ? null
        : {
            url: `/v1/exports/${row.job_id}/download?${signLink(row.job_id, expiresMs)}`,
            expires_at: new Date(expiresMs).toISOString(),
          },
  }
}

/** Sends a file or one range of it (RFC 9110 §14): a download that broke goes on where it broke. */
async function sendFile(
  reply: FastifyReply,
  { path, name, type }: ExportFile,
  headers: { readonly range?: string | undefined; readonly 'if-range'?: string | undefined },
): Promise<FastifyReply> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new WaypostError('not_found')
  const tag = `"${found.size.toString(36)}-${Math.floor(found.mtimeMs).toString(36)}"`
  reply
    .header('Accept-Ranges', 'bytes')
    .header('ETag', tag)
    .header('Content-Disposition', `attachment; filename="${name}"`)
  const isSame = headers['if-range'] === undefined || headers['if-range'] === tag
  const range = isSame ? readRange(headers.range, found.size) : 'whole'
  if (range === 'outside')
    return reply.code(416).header('Content-Range', `bytes */${found.size}`).header('Content-Length', 0).send()
  reply.type(type)
  if (range === 'whole') return reply.header('Content-Length', found.size).send(createReadStream(path))
  const { start, end } = range
  return reply
    .code(206)
    .header('Content-Range', `bytes ${start}-${end}/${found.size}`)
    .header('Content-Length', end - start + 1)
    .send(createReadStream(path, { start, end }))
}

type Range = { readonly start: number; readonly end: number }

/** One range; several, and what cannot be read, are the whole file. */
export function readRange(text: string | undefined, size: number): Range | 'whole' | 'outside' {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'whole'
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (start >= size || (first === '' && Number(last) === 0)) return 'outside'
  return start > end ? 'whole' : { start, end }
}
