import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { encodeLogCursor, factsLogs, readLogPage, visibleLogColumns, type AskedLog, type FactsLog } from '#reports/logs'

import type { Api } from '../api.ts'
import { principalOf, readableBy, type Access } from '../authorize.ts'
import { missingDays, missingDaysJson } from '../missing-days.ts'
import { apiLimits } from '../limits.ts'
import {
  findMissingClicks,
  listedLogNames,
  listedLogs,
  readListedPage,
  readListedQuery,
  type ListedLogName,
} from '../listed-logs.ts'
import { logOrder, logProperties, readLogCursor, readLogQuery, sub2Filters, type LogAsked } from '../log-query.ts'
import { answers, nullable, openObject, pageQuery, queryOf } from '../schemas.ts'

const logQuery = Type.Object(
  {
    ...logProperties,
    order: logOrder,
    limit: pageQuery.limit,
    cursor: Type.Optional(Type.String({ description: '`next_cursor` of the page before', maxLength: 1_000 })),
  },
  { additionalProperties: false, patternProperties: sub2Filters },
)

const logPage = Type.Object({
  columns: Type.Array(Type.String()),
  items: Type.Array(openObject('A row: times are ISO 8601, amounts decimal text, unknown is empty text')),
  next_cursor: nullable(Type.String({ description: 'Of the next page; null: this is the last one' })),
})

const factsLogPage = Type.Object({ ...logPage.properties, missing_days: missingDays })

const logSchema = Type.Object({
  columns: Type.Array(
    Type.Object({
      name: Type.String(),
      title: Type.String(),
      type: Type.String({ description: '`text`, `id`, `time`, `number`, `money`, `flag` or `pairs`' }),
    }),
  ),
})

type Asked = LogAsked & { order?: AskedLog['order']; limit?: number; cursor?: string }

/** What happened, row by row. */
export function addLogRoutes(server: FastifyInstance, api: Api): void {
  const config = readableBy('owner', 'advertiser', 'affiliate')
  addListedLogs(server, api)
  for (const log of factsLogs) {
    server.get(
      `/v1/logs/${log}`,
      {
        config,
        schema: {
          tags: ['logs'],
          summary: `The log of ${log}, page by page, filtered as reports are`,
          querystring: logQuery,
          response: answers(factsLogPage),
        },
      },
      async (request) => readPage(api, log, request.query as Asked, principalOf(request)),
    )

    server.get(
      `/v1/logs/${log}/schema`,
      {
        config,
        schema: {
          tags: ['logs'],
          summary: `Columns of the log of ${log} that this key may see`,
          querystring: queryOf({}),
          response: answers(logSchema),
        },
      },
      (request) => ({
        columns: visibleLogColumns(log, principalOf(request).role).map(({ name, title, type }) => ({
          name,
          title,
          type,
        })),
      }),
    )
  }
}

type ListedAsked = LogAsked & { order?: AskedLog['order']; limit?: number; cursor?: string }

/** Affiliates have no part in what an advertiser's server sent. */
const listedAccess: Readonly<Record<ListedLogName, { readonly access: Access }>> = {
  'inbound-postbacks': readableBy('owner', 'advertiser'),
  deliveries: readableBy('owner', 'advertiser', 'affiliate'),
}

function addListedLogs(server: FastifyInstance, api: Api): void {
  for (const log of listedLogNames)
    server.get(
      `/v1/logs/${log}`,
      {
        config: listedAccess[log],
        schema: {
          tags: ['logs'],
          summary: `The log of ${log}, page by page, with the filters of GET /v1/${log} and those of reports for the clicks of its rows`,
          querystring: Type.Object(
            { ...logQuery.properties, ...listedLogs[log].filters, from: logProperties.from, to: logProperties.to },
            { additionalProperties: false, patternProperties: sub2Filters },
          ),
          response: answers(factsLogPage),
        },
      },
      async (request) => {
        const { order, limit = apiLimits.pageRowsDefault, cursor, ...asked } = request.query as ListedAsked
        const tenant = principalOf(request)
        const query = readListedQuery(api, tenant, log, asked as LogAsked)
        const { items, next_cursor } = await readListedPage(api, tenant, query, {
          limit,
          ...(order !== undefined && { order }),
          ...(cursor !== undefined && { cursor }),
        })
        const names = query.columns.map(({ name }) => name)
        const pick = (item: Row) => Object.fromEntries(names.map((name) => [name, item[name] ?? null]))
        const missing = await findMissingClicks(api, tenant, query)
        return { columns: names, items: items.map(pick), missing_days: missingDaysJson(missing), next_cursor }
      },
    )
}

type Row = Readonly<Record<string, unknown>>

async function readPage(
  api: Api,
  log: FactsLog,
  { order, limit = apiLimits.pageRowsDefault, cursor: text, ...asked }: Asked,
  tenant: ReturnType<typeof principalOf>,
) {
  const cursor = readLogCursor(log, text)
  const { query } = readLogQuery(api, tenant, log, asked, { order, cursor })
  const { rows, next, missing_days } = await readLogPage(api.facts, tenant, query, cursor?.place, limit)
  return {
    columns: query.columns.map(({ name }) => name),
    items: [...rows],
    missing_days: missingDaysJson(missing_days),
    next_cursor:
      next === undefined ? null : encodeLogCursor({ log, range: query.range, order: query.order, place: next }),
  }
}
