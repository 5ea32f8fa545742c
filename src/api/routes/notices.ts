import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { asTenant } from '#accounts'
import { listNotices, noticeKinds, type Notice, type NoticeKind } from '#postbacks'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { apiLimits } from '../limits.ts'
import { decodeCursor, toPage } from '../paging.ts'
import { answers, idText, instantText, nullable, oneWord, openObject, pageOf, pageQuery, queryOf } from '../schemas.ts'

const kinds = Object.keys(noticeKinds) as NoticeKind[]

const notice = Type.Object({
  notice_id: Type.String(),
  at: instantText('When'),
  kind: oneWord(kinds, 'What happened, see docs/states/delivery.md'),
  meaning: Type.String({ description: 'The same in words' }),
  endpoint_id: nullable(Type.String()),
  advertiser_id: nullable(Type.String()),
  affiliate_id: nullable(Type.String()),
  details: openObject(
    '`failing_since`, `hours`, `reason`, `missed`; of a quota `count`, `per`, `zone`, `period_start`; of a scheduled report `schedule_id`, `name`, `due_at`, `path`, `expires_at`',
  ),
})

const toJson = ({ notice_id, at, kind, ...rest }: Notice): Record<string, unknown> => ({
  notice_id: String(notice_id),
  at: at.toISOString(),
  kind,
  meaning: noticeKinds[kind],
  ...rest,
})

/** What operators are told, each tenant of its own endpoints. */
export function addNoticeRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  server.get(
    '/v1/notices',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary:
          'Endpoints that fail, were disabled, came back or used their quota up, and scheduled reports, newest first',
        querystring: queryOf({
          endpoint_id: Type.Optional(idText('Of this endpoint')),
          kind: Type.Optional(oneWord(kinds, 'Of this kind')),
          ...pageQuery,
        }),
        response: answers(pageOf(notice)),
      },
    },
    async (request) => {
      const { cursor, limit = apiLimits.pageRowsDefault, ...filter } = request.query
      const after = decodeCursor(cursor, 'number')
      const rows = await asTenant(api.pool, principalOf(request), (tx) => listNotices(tx, filter, after, limit))
      const placeOf = (row: Notice) => ({ atMs: row.at.getTime(), id: String(row.notice_id) })
      return toPage(rows, limit, placeOf, toJson) as never
    },
  )
}
