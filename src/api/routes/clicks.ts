import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { WaypostError } from '#platform/errors'
import { parseClickId } from '#platform/ids'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { readClickPage, whyNoClick } from '../click-page.ts'
import { keepConfigVersions } from '../config-versions.ts'
import { missingDays } from '../missing-days.ts'
import { answers, openObject, uuidText } from '../schemas.ts'

const clickPage = Type.Object({
  click: openObject('The click as it was logged; fields that are empty are left out'),
  decision: Type.Optional(
    Type.Array(Type.String(), { description: 'Why it went where it went, in sentences; not shown to affiliates' }),
  ),
  events: Type.Array(openObject('An event, refused ones with their reason'), { description: 'Oldest first' }),
  conversions: Type.Array(openObject('As in GET /v1/conversions')),
  revisions: Type.Array(openObject('A state that a conversion had')),
  bookings: Type.Array(openObject('An entry of the ledger')),
  inbound_postbacks: Type.Optional(Type.Array(openObject('As in GET /v1/inbound-postbacks; not shown to affiliates'))),
  deliveries: Type.Array(openObject('As in GET /v1/deliveries, with every try in `tries`')),
  not_sent: Type.Array(openObject('A postback that was not sent, with the reason')),
  is_in_reports: Type.Boolean({ description: 'Whether the reports count it already' }),
  missing_days: missingDays,
})

export function addClickRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const versions = keepConfigVersions(api.pool)

  server.get(
    '/v1/clicks/:click_id',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['clicks'],
        summary: 'Everything about one click on one page',
        params: Type.Object({ click_id: uuidText('Click') }),
        response: answers(clickPage),
      },
    },
    async (request) => {
      const clickId = parseClickId(request.params.click_id)
      if (clickId === undefined) throw new WaypostError('not_found')
      const tenant = principalOf(request)
      const page = await readClickPage(api, versions, tenant, clickId)
      if (page === undefined) throw new WaypostError('not_found', await whyNoClick(api, tenant, clickId))
      return page as never
    },
  )
}
