import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Principal, Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import {
  asKey,
  changeSavedReport,
  deleteSavedReport,
  findSavedReport,
  listLinks,
  listSavedReports,
  makeLink,
  makeLinkToken,
  openLink,
  readLinkToken,
  relativeRanges,
  revokeLink,
  savedReportLimits,
  saveReport,
  sharingKinds,
  tenantOf,
  type RelativeRange,
  type ReportLink,
  type SavedReport,
  type SavedReportContent,
  type Sharing,
} from '#saved-reports'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { asInAddress } from '../build-validators.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import { createRateLimit } from '../rate-limit.ts'
import { queryOfSaved, answerSavedReport, viewerOf } from '../saved-report-run.ts'
import { answers, idText, instantText, nullable, oneWord, openObject, pageOf, pageQuery, queryOf, uuidText } from '../schemas.ts' // prettier-ignore
import { readReport, reportAnswer, reportQuery } from './reports.ts'

const rangeNames = Object.keys(relativeRanges) as RelativeRange[]
const roles = ['owner', 'advertiser', 'affiliate'] as const
const everybody = ['owner', 'advertiser', 'affiliate'] as const

const ids = (description: string) =>
  Type.Optional(Type.Array(idText(description), { maxItems: savedReportLimits.sharedWithMax, uniqueItems: true }))

const sharingShape = Type.Object(
  {
    kind: oneWord(sharingKinds, 'private: this key and the owner; tenant: all keys of the tenant; named: those below'),
    roles: Type.Optional(Type.Array(oneWord(roles, 'Everybody of this role'), { maxItems: 3, uniqueItems: true })),
    advertiser_ids: ids('Advertiser'),
    affiliate_ids: ids('Affiliate'),
  },
  { additionalProperties: false },
)

const contentShape = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: savedReportLimits.nameCharactersMax }),
    folder: Type.Optional(Type.String({ maxLength: savedReportLimits.folderCharactersMax })),
    query: reportQuery,
    range: Type.Optional(
      nullable(oneWord(rangeNames, 'Days that move with today, in the zone of the report; in place of from and to')),
    ),
    sharing: Type.Optional(sharingShape),
  },
  { additionalProperties: false },
)
type AskedContent = { name: string; folder?: string; query: object; range?: RelativeRange | null; sharing?: Sharing }

const savedReportShape = Type.Object({
  saved_report_id: uuidText('Saved report'),
  name: Type.String(),
  folder: Type.String(),
  query: openObject('The parameters of GET /v1/reports'),
  range: nullable(oneWord(rangeNames, 'Days that move with today')),
  is_own: Type.Boolean({ description: 'Saved by the key that asks' }),
  saved_by: Type.Object({
    role: oneWord(roles, 'Of the key that saved it'),
    advertiser_id: nullable(Type.String()),
    affiliate_id: nullable(Type.String()),
  }),
  sharing: Type.Object({
    kind: oneWord(sharingKinds, 'Who sees it'),
    roles: Type.Array(oneWord(roles, 'Everybody of this role')),
    advertiser_ids: Type.Array(Type.String()),
    affiliate_ids: Type.Array(Type.String()),
  }),
  created_at: instantText('When it was saved'),
  updated_at: instantText('When it was changed'),
})

const linkProperties = {
  link_id: uuidText('Link'),
  created_at: instantText('When it was made'),
  expires_at: instantText('When it ends'),
  revoked_at: nullable(instantText('When it was ended')),
}

function toJson(row: SavedReport, { apiKeyId, role }: Principal) {
  const isOwn = row.api_key_id === apiKeyId
  const { saved_report_id, name, folder, query, range } = row
  // With whom else it is shared is nobody's business but its own and the owner's.
  const isOpen = isOwn || role === 'owner'
  return {
    ...{ saved_report_id, name, folder, query, range, is_own: isOwn },
    saved_by: { role: row.role, advertiser_id: row.advertiser_id, affiliate_id: row.affiliate_id },
    sharing: {
      kind: row.sharing,
      roles: isOpen ? row.shared_roles : [],
      advertiser_ids: isOpen ? row.shared_advertiser_ids : [],
      affiliate_ids: isOpen ? row.shared_affiliate_ids : [],
    },
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

const linkJson = ({ link_id, created_at, expires_at, revoked_at }: ReportLink) => ({
  link_id,
  created_at: created_at.toISOString(),
  expires_at: expires_at.toISOString(),
  revoked_at: revoked_at?.toISOString() ?? null,
})

const parameters = Type.Object({ saved_report_id: uuidText('Saved report') })
const linkParameters = Type.Object({ saved_report_id: uuidText('Saved report'), link_id: uuidText('Link') })
const DAY_MS = 86_400_000
const TOO_MANY = (what: string, most: number): WaypostError =>
  new WaypostError('conflict', `There are ${most} ${what} already, and no more at a time: delete one first.`)

export function addSavedReportRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/saved-reports',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Saved reports that this key sees, newest first',
        querystring: queryOf({ folder: Type.Optional(Type.String({ description: 'Of this folder' })), ...pageQuery }),
        response: answers(pageOf(savedReportShape)),
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const { cursor, limit = apiLimits.pageRowsDefault, folder } = request.query
      const before = decodeCursor(cursor, 'uuid')?.id
      const rows = await asKey(api.pool, principal, (tx) => listSavedReports(tx, { folder }, before, limit))
      const placeOf = (row: SavedReport) => ({ atMs: row.created_at.getTime(), id: row.saved_report_id })
      return toPage(rows, limit, placeOf, (row) => toJson(row, principal)) as never
    },
  )

  server.post(
    '/v1/saved-reports',
    {
      config: writableBy(...everybody),
      preValidation: asInAddress('query', reportQuery),
      schema: {
        tags: ['saved reports'],
        summary: 'Save a report',
        body: contentShape,
        response: answers(savedReportShape, 201),
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const content = await readContent(api, principal, request.body as AskedContent)
      const row = await saveReport(api.pool, principal, content, api.clock.now())
      if (row === undefined) throw TOO_MANY('saved reports of this key', savedReportLimits.savedReportsMax)
      return reply.code(201).send(toJson(row, principal) as never)
    },
  )

  server.get(
    '/v1/saved-reports/:saved_report_id',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'One saved report',
        params: parameters,
        response: answers(savedReportShape),
      },
    },
    async (request) =>
      toJson(await find(api, principalOf(request), request.params.saved_report_id), principalOf(request)) as never,
  )

  server.put(
    '/v1/saved-reports/:saved_report_id',
    {
      config: writableBy(...everybody),
      preValidation: asInAddress('query', reportQuery),
      schema: {
        tags: ['saved reports'],
        summary: 'Change a saved report: the whole of it; for the key that saved it, and for the owner',
        params: parameters,
        body: contentShape,
        response: answers(savedReportShape),
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const found = await findToChange(api, principal, request.params.saved_report_id)
      const content = await readContent(api, tenantOf(found), request.body as AskedContent)
      const row = await changeSavedReport(api.pool, found.saved_report_id, content, api.clock.now())
      if (row === undefined) throw new WaypostError('not_found')
      return toJson(row, principal) as never
    },
  )

  server.delete(
    '/v1/saved-reports/:saved_report_id',
    {
      config: writableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Delete a saved report with its links and schedules; for the key that saved it, and for the owner',
        params: parameters,
        response: answers(savedReportShape),
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const found = await findToChange(api, principal, request.params.saved_report_id)
      await deleteSavedReport(api.pool, found.saved_report_id)
      return toJson(found, principal) as never
    },
  )

  server.get(
    '/v1/saved-reports/:saved_report_id/run',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'The answer of a saved report, with what both this key and the one that saved it may see',
        params: parameters,
        response: answers(reportAnswer),
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const report = await find(api, principal, request.params.saved_report_id)
      return (await answerSavedReport(api, await viewerOf(api, report, principal), report)) as never
    },
  )

  addLinkRoutes(plain, api)
}

function addLinkRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/saved-reports/:saved_report_id/links',
    {
      config: readableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Public links of a saved report, without their tokens',
        params: parameters,
        response: answers(Type.Object({ items: Type.Array(Type.Object(linkProperties)) })),
      },
    },
    async (request) => {
      const { saved_report_id } = await findToChange(api, principalOf(request), request.params.saved_report_id)
      const links = await asKey(api.pool, principalOf(request), (tx) => listLinks(tx, saved_report_id))
      return { items: links.map(linkJson) }
    },
  )

  server.post(
    '/v1/saved-reports/:saved_report_id/links',
    {
      config: writableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'Make a public link: whoever has it sees the report as this key does, and nothing else',
        params: parameters,
        body: Type.Object(
          {
            days: Type.Optional(
              Type.Integer({
                description: 'Days until it ends',
                minimum: 1,
                maximum: savedReportLimits.linkDaysMax,
                default: savedReportLimits.linkDaysDefault,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            ...linkProperties,
            path: Type.String({ description: 'Address on this API; the only time that it can be read' }),
          }),
          201,
        ),
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const report = await findToChange(api, principal, request.params.saved_report_id)
      const nowMs = api.clock.now()
      const { days = savedReportLimits.linkDaysDefault } = request.body
      const link = await makeLink(api.pool, principal, report.saved_report_id, nowMs, nowMs + days * DAY_MS)
      if (link === undefined) throw TOO_MANY('links of this report', savedReportLimits.linksOfReportMax)
      const token = makeLinkToken('shared_report', link.link_id, link.expires_at.getTime())
      return reply.code(201).send({ ...linkJson(link), path: `/v1/shared-reports/${token}` })
    },
  )

  server.delete(
    '/v1/saved-reports/:saved_report_id/links/:link_id',
    {
      config: writableBy(...everybody),
      schema: {
        tags: ['saved reports'],
        summary: 'End a public link at once',
        params: linkParameters,
        response: answers(Type.Object(linkProperties)),
      },
    },
    async (request) => {
      const report = await findToChange(api, principalOf(request), request.params.saved_report_id)
      const link = await revokeLink(api.pool, report.saved_report_id, request.params.link_id, api.clock.now())
      if (link === undefined) throw new WaypostError('not_found')
      return linkJson(link)
    },
  )

  const runs = createRateLimit(savedReportLimits.linkRunsPerMinuteMax, api.clock)
  server.get(
    '/v1/shared-reports/:token',
    {
      schema: {
        tags: ['saved reports'],
        summary: 'The answer of a report by its public link, without a key',
        security: [],
        params: Type.Object({ token: Type.String({ description: 'Of the link', maxLength: 500 }) }),
        response: answers(
          Type.Object({
            name: Type.String(),
            folder: Type.String(),
            ...reportAnswer.properties,
          }),
        ),
      },
    },
    async (request) => {
      const nowMs = api.clock.now()
      const linkId = readLinkToken('shared_report', request.params.token, nowMs)
      if (linkId === undefined) throw new WaypostError('not_found')
      if (runs.isOver(linkId)) throw new WaypostError('rate_limited', 'This link was asked too often.')
      runs.count(linkId)
      const report = await openLink(api.pool, linkId, nowMs)
      if (report === undefined) throw new WaypostError('not_found')
      const answer = await answerSavedReport(api, tenantOf(report), report)
      return { name: report.name, folder: report.folder, ...answer } as never
    },
  )
}

/** @throws {WaypostError} not_found */
async function find(api: Api, principal: Principal, id: string): Promise<SavedReport> {
  const report = await asKey(api.pool, principal, (tx) => findSavedReport(tx, id))
  if (report === undefined) throw new WaypostError('not_found')
  return report
}

/** @throws {WaypostError} not_found; forbidden: it is another key's */
async function findToChange(api: Api, principal: Principal, id: string): Promise<SavedReport> {
  const report = await find(api, principal, id)
  if (principal.role !== 'owner' && report.api_key_id !== principal.apiKeyId)
    throw new WaypostError('forbidden', 'Another key saved this report; save one of your own.')
  return report
}

/** Checks the query as it would be run now.
 * @throws {RequestError} request_invalid, forbidden, with the path inside the body
 */
async function readContent(api: Api, tenant: Tenant, body: AskedContent): Promise<SavedReportContent> {
  const { name, folder = '', query, range = null, sharing = { kind: 'private' } } = body
  const asked = query as { from?: string; to?: string }
  if (range !== null && (asked.from !== undefined || asked.to !== undefined))
    throw new RequestError('request_invalid', 'a report has a range that moves, or from and to', 'range')
  if (Buffer.byteLength(JSON.stringify(query)) > savedReportLimits.queryBytesMax)
    throw new RequestError('request_invalid', `at most ${savedReportLimits.queryBytesMax} bytes`, 'query')
  const named = [...(sharing.roles ?? []), ...(sharing.advertiser_ids ?? []), ...(sharing.affiliate_ids ?? [])]
  if ((sharing.kind === 'named') !== named.length > 0)
    throw new RequestError('request_invalid', 'roles, advertiser_ids or affiliate_ids are for the kind named, and it needs one', 'sharing') // prettier-ignore
  try {
    await readReport(api, tenant, queryOfSaved(api, tenant, { query, range }))
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    throw new RequestError(error.code, error.detail ?? '', error.path === '' ? 'query' : `query.${error.path}`)
  }
  return { name, folder, query, range, sharing }
}
