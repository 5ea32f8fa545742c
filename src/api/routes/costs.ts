import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type, type Static } from 'typebox'

import type { Principal } from '#accounts'
import {
  costDimensions,
  costLimits,
  deleteImport,
  findById,
  importCosts,
  listImports,
  planImport,
  readCostCsv,
  readCosts,
  respreadImport,
  spreads,
  sumByCurrency,
  type CostImport,
  type CostRow,
  type CostVersion,
  type GivenRow,
  type ImportOutcome,
  type ImportSummary,
} from '#costs'
import { WaypostError } from '#platform/errors'
import { formatAmount, parseCurrency } from '#platform/money'
import { isTimezone } from '#platform/clock'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { decodeCursor, toPage } from '../paging.ts'
import {
  amountText,
  answers,
  idText,
  instantText,
  nullable,
  oneWord,
  pageOf,
  pageQuery,
  queryOf,
  uuidText,
} from '../schemas.ts'

const ROLES = ['owner', 'advertiser'] as const
const ROWS_SHOWN_MAX = 1_000

const importQuery = queryOf({
  key: Type.String({
    description: 'Of the import. The same key again with the same rows books nothing, with others it corrects',
    minLength: 1,
    maxLength: costLimits.keyCharactersMax,
  }),
  idempotency_key: Type.Optional(
    Type.String({
      description: 'Of this request: sent again it answers what was booked, also after a correction',
      minLength: 1,
      maxLength: costLimits.keyCharactersMax,
    }),
  ),
  advertiser_id: Type.Optional(idText('Whose clicks; an owner with several advertisers says it')),
  tz: Type.Optional(
    Type.String({ description: 'IANA zone of days and hours. Default: that of the advertiser', maxLength: 64 }),
  ),
  currency: Type.Optional(
    Type.String({ description: 'Of rows that name none, ISO 4217. Default: that of the advertiser', maxLength: 3 }),
  ),
  spread: Type.Optional(
    oneWord(spreads, 'Which of the matching clicks bear it: all, unique ones, or those of no bots'),
  ),
  dry_run: Type.Optional(Type.Boolean({ description: 'Count the clicks and book nothing', default: false })),
})

const rowSchema = Type.Record(
  Type.String({ maxLength: 60 }),
  Type.Union([Type.String({ maxLength: 300 }), Type.Number()]),
  {
    description: `\`date\`, or \`from\` and \`to\` (days, both included, or times, \`to\` excluded); \`amount\`; \`currency\`; and any of ${[...costDimensions].join(', ')}, sub2.<key>`,
  },
)
const bodySchema = Type.Object(
  { rows: Type.Array(rowSchema, { minItems: 1, maxItems: costLimits.rowsMax }) },
  { additionalProperties: false },
)

const amountSchema = Type.Object({
  currency: Type.String(),
  amount: amountText('What the rows sum to'),
  unallocated: amountText('The part of it that no click bears'),
})

const rowAnswer = Type.Object({
  row: Type.Integer({ description: 'Its place in what was sent, from 1; rows that name the same are one' }),
  from: instantText('Start'),
  to: instantText('Excluded'),
  dimensions: Type.Record(Type.String(), Type.String()),
  amount: amountText('What it cost'),
  currency: Type.String(),
  clicks: nullable(Type.Integer({ description: 'Clicks that bear it; null: it is being booked' })),
  cost_per_click: nullable(amountText('Amount ÷ clicks, rounded; null: no click bears it')),
  reason: nullable(
    oneWord(
      ['no_click_matches', 'not_over_yet'],
      'Why no click bears it: none has these values at that time, or they were retired; or its time has not come. It stands in reports under the values that it names',
    ),
  ),
})

const importAnswer = Type.Object({
  kind: oneWord(
    ['planned', 'booked', 'unchanged'],
    '`planned`: a dry run; `unchanged`: it was in already, nothing was booked',
  ),
  import_id: nullable(uuidText('Of the import; null: of a dry run')),
  version: nullable(Type.Integer({ description: '1, and one more with each correction, spread or deletion' })),
  version_kind: nullable(oneWord(['import', 'correction', 'respread', 'deletion'], 'What the version is')),
  advertiser_id: Type.String(),
  key: Type.String(),
  timezone: Type.String(),
  spread: oneWord(spreads, 'Which clicks bear it'),
  amounts: Type.Array(amountSchema),
  clicks: Type.Integer({ description: 'Shares of clicks: a click of two rows counts twice' }),
  rows: Type.Array(rowAnswer, { description: `The first ${ROWS_SHOWN_MAX}` }),
  rows_count: Type.Integer(),
})

const summarySchema = Type.Object({
  import_id: uuidText('Of the import'),
  key: Type.String(),
  advertiser_id: Type.String(),
  version: Type.Integer(),
  kind: oneWord(['import', 'correction', 'respread', 'deletion'], 'What the last version is'),
  state: oneWord(['booking', 'booked'], '`booking`: under way, or cut off and finished by itself within minutes'),
  spread: oneWord(spreads, 'Which clicks bear it'),
  timezone: Type.String(),
  created_at: instantText('When the last version came'),
  created_by: Type.String(),
  rows: Type.Integer(),
  clicks: Type.Integer(),
  amounts: Type.Array(amountSchema),
})

type ImportQuery = Static<typeof importQuery>

/** What was paid for traffic, as rows over the clicks that it brought. */
export function addCostRoutes(plain: FastifyInstance, api: Api): void {
  // The body parser of these routes only: elsewhere CSV is no content type.
  plain.register(async (scope) => {
    scope.addContentTypeParser('text/csv', { parseAs: 'string' }, (_request, body, done) => done(null, body))
    addImportRoute(scope, api)
  })
  addPageRoutes(plain, api)
}

function addImportRoute(scope: FastifyInstance, api: Api): void {
  scope.withTypeProvider<TypeBoxTypeProvider>().post(
    '/v1/costs',
    {
      config: writableBy(...ROLES),
      bodyLimit: costLimits.bodyBytesMax,
      schema: {
        tags: ['costs'],
        summary: 'Spread what traffic cost over its clicks; or correct what was imported under the same key',
        consumes: ['application/json', 'text/csv'],
        querystring: importQuery,
        body: {
          content: {
            'application/json': { schema: bodySchema },
            'text/csv': { schema: Type.String({ description: 'The first line names the columns' }) },
          },
        },
        response: answers(importAnswer),
      },
    },
    async (request) => {
      const wanted = readImport(
        request.query,
        request.body as Static<typeof bodySchema> | string,
        principalOf(request),
        api,
      )
      if (request.query.dry_run === true) {
        const { clicks } = await planImport(api, wanted)
        const rows = wanted.rows.map((row) => ({ ...row, clicks: clicks.get(row.rowNo) ?? 0 }))
        return toJson({ ...wanted, importKey: wanted.key, rows }, 'planned', undefined, api)
      }
      return outcomeJson(await importCosts(api, wanted), api)
    },
  )
}

function addPageRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const params = Type.Object({ import_id: uuidText('Of the import') })

  server.get(
    '/v1/costs',
    {
      config: readableBy(...ROLES),
      schema: {
        tags: ['costs'],
        summary: 'Imports of costs by their last version, the newest import first',
        querystring: queryOf({ ...pageQuery, advertiser_id: Type.Optional(idText('Of this advertiser only')) }),
        response: answers(pageOf(summarySchema)),
      },
    },
    async (request) => {
      const { limit = 50, cursor, advertiser_id } = request.query
      const before = decodeCursor(cursor, 'uuid')
      const rows = await listImports(api.pool, principalOf(request), { advertiserId: advertiser_id, before, limit: limit + 1 }) // prettier-ignore
      const page = toPage(rows, limit, (row) => ({ atMs: row.first_at.getTime(), id: row.import_id }), summaryJson)
      return { ...page, items: [...page.items] }
    },
  )

  server.get(
    '/v1/costs/:import_id',
    {
      config: readableBy(...ROLES),
      schema: {
        tags: ['costs'],
        summary: 'An import with its rows',
        params,
        querystring: queryOf({}),
        response: answers(importAnswer),
      },
    },
    async (request) => {
      await findOwn(request, api, request.params.import_id)
      return versionJson((await findById(api.pool, request.params.import_id))!, 'booked', api)
    },
  )

  server.delete(
    '/v1/costs/:import_id',
    {
      config: writableBy(...ROLES),
      schema: {
        tags: ['costs'],
        summary: 'Book the opposite of an import',
        params,
        response: answers(importAnswer),
      },
    },
    (request) => change(request, api, request.params.import_id, deleteImport),
  )

  server.post(
    '/v1/costs/:import_id/respread',
    {
      config: writableBy(...ROLES),
      schema: {
        tags: ['costs'],
        summary: 'Spread an import over the clicks that are there by now',
        params,
        response: answers(importAnswer),
      },
    },
    (request) => change(request, api, request.params.import_id, respreadImport),
  )
}

async function change(
  request: FastifyRequest,
  api: Api,
  importId: string,
  work: typeof deleteImport,
): Promise<Static<typeof importAnswer>> {
  await findOwn(request, api, importId)
  const outcome = await work(api, importId, byOf(principalOf(request)))
  if (outcome === undefined) throw new WaypostError('conflict', 'The import is deleted.')
  return outcomeJson(outcome, api)
}

/** @throws {WaypostError} not_found: there is none, or it is another's */
async function findOwn(request: FastifyRequest, { pool }: Api, importId: string): Promise<void> {
  const found = await listImports(pool, principalOf(request), { importId, limit: 1 })
  if (found.length === 0) throw new WaypostError('not_found')
}

const byOf = (principal: Principal): string => `API key ${principal.name}`

function readImport(
  query: ImportQuery,
  body: Static<typeof bodySchema> | string,
  principal: Principal,
  api: Api,
): CostImport {
  const advertiser = findAdvertiser(query.advertiser_id, principal, api)
  const timezone = query.tz ?? advertiser.timezone
  if (!isTimezone(timezone)) throw new RequestError('request_invalid', `"${timezone}" is no IANA time zone`, 'tz')
  const currency = query.currency === undefined ? advertiser.currency : parseCurrency(query.currency)
  if (currency === undefined) throw new RequestError('request_invalid', `"${query.currency}" is no ISO 4217 code`, 'currency') // prettier-ignore
  const read = readCosts(typeof body === 'string' ? rowsOfCsv(body) : body.rows, { timezone, currency })
  if (read.kind === 'invalid') throw new RequestError('request_invalid', read.detail, read.path)
  return {
    ...{ advertiserId: advertiser.advertiser_id, key: query.key, idempotencyKey: query.idempotency_key, timezone },
    ...{ spread: query.spread ?? 'clicks', rows: read.rows, by: byOf(principal) },
  }
}

function rowsOfCsv(text: string): readonly GivenRow[] {
  const read = readCostCsv(text)
  if ('problem' in read) throw new RequestError('body_unreadable', `The CSV cannot be read: ${read.problem}.`)
  return read.rows
}

function findAdvertiser(asked: string | undefined, principal: Principal, { snapshots }: Api) {
  const advertisers = snapshots.current()?.advertisers ?? []
  const only = advertisers.length === 1 ? advertisers[0]!.advertiser_id : undefined
  const own = principal.role === 'owner' ? undefined : principal.advertiserId
  // Another's is as one that is not there.
  const wanted = own !== undefined && asked !== undefined && asked !== own ? undefined : (own ?? asked ?? only)
  const found = advertisers.find(({ advertiser_id }) => advertiser_id === wanted)
  if (found !== undefined) return found
  const detail = asked === undefined ? 'say whose clicks it is for' : `there is no advertiser "${asked}"`
  throw new RequestError('request_invalid', detail, 'advertiser_id')
}

function outcomeJson(outcome: ImportOutcome, api: Api): Static<typeof importAnswer> {
  switch (outcome.kind) {
    case 'busy':
      throw new WaypostError('conflict', 'This import is being booked by another request: ask again in a moment.')
    case 'booked':
    case 'unchanged':
      return versionJson(outcome.version, outcome.kind, api)
    default:
      return outcome satisfies never
  }
}

const versionJson = (version: CostVersion, kind: 'booked' | 'unchanged', api: Api): Static<typeof importAnswer> =>
  toJson(version, kind, version, api)

type Shown = Pick<CostVersion, 'advertiserId' | 'importKey' | 'timezone' | 'spread' | 'rows'>

function toJson(
  shown: Shown,
  kind: 'planned' | 'booked' | 'unchanged',
  version: CostVersion | undefined,
  { clock }: Api,
): Static<typeof importAnswer> {
  const unallocated = sumByCurrency(shown.rows.filter(({ clicks }) => clicks === 0))
  return {
    kind,
    ...{ import_id: version?.importId ?? null, version: version?.version ?? null, version_kind: version?.kind ?? null },
    ...{ advertiser_id: shown.advertiserId, key: shown.importKey, timezone: shown.timezone, spread: shown.spread },
    amounts: [...sumByCurrency(shown.rows)].map(([currency, amount]) => ({
      currency,
      amount: formatAmount(amount, 2),
      unallocated: formatAmount(unallocated.get(currency) ?? 0n, 2),
    })),
    clicks: shown.rows.reduce((sum, { clicks }) => sum + (clicks ?? 0), 0),
    rows: shown.rows.slice(0, ROWS_SHOWN_MAX).map((row) => rowJson(row, clock.now())),
    rows_count: shown.rows.length,
  }
}

function rowJson(row: CostRow & { readonly clicks: number | undefined }, nowMs: number): Static<typeof rowAnswer> {
  const { clicks = null } = row
  const reason = row.endsMs > nowMs ? 'not_over_yet' : 'no_click_matches'
  return {
    ...{ row: row.rowNo, from: new Date(row.startsMs).toISOString(), to: new Date(row.endsMs).toISOString() },
    ...{ dimensions: row.dimensions, amount: formatAmount(row.amountMicros, 2), currency: row.currency, clicks },
    cost_per_click:
      clicks === null || clicks === 0 ? null : formatAmount(perClick(row.amountMicros, BigInt(clicks)), 2),
    reason: clicks === 0 ? reason : null,
  }
}

/** Rounded half away from zero. */
const perClick = (micros: bigint, clicks: bigint): bigint =>
  (2n * micros + (micros < 0n ? -clicks : clicks)) / (2n * clicks)

const summaryJson = ({ amounts, created_at, booked_at: _, ...row }: ImportSummary): Static<typeof summarySchema> => ({
  ...row,
  created_at: created_at.toISOString(),
  amounts: amounts.map(({ currency, amount_micros, unallocated_micros }) => ({
    currency,
    amount: formatAmount(BigInt(amount_micros), 2),
    unallocated: formatAmount(BigInt(unallocated_micros), 2),
  })),
})
