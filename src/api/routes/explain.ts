import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { compileSnapshot } from '#routing'
import { explainClick } from '#simulation'

import type { Api } from '../api.ts'
import { readableBy } from '../authorize.ts'
import { issuesBody, issuesSchema } from '../configuration-json.ts'
import { errorSchema, RequestError } from '../errors.ts'
import { clickSchema, explainerOf, hypotheticalClick } from '../hypothetical-click.ts'
import { apiLimits } from '../limits.ts'
import { choiceSchema, chosenConfiguration } from '../chosen-configuration.ts'
import { instantText, openObject } from '../schemas.ts'

const question = Type.Object({ ...clickSchema, ...choiceSchema }, { additionalProperties: false })

const optionalText = (description: string) => Type.Optional(Type.String({ description }))

const explanation = Type.Object({
  outcome: Type.String({ description: '`redirected`, `shown`, `fallback` or `not_found`' }),
  class: Type.String({ description: 'How the edge would count the request' }),
  refusal: optionalText('Why it goes to no offer, see docs/reasons.md'),
  refusal_meaning: optionalText('The same for a person'),
  advertiser_id: optionalText('Advertiser'),
  campaign_id: optionalText('Campaign'),
  flow_id: optionalText('Flow'),
  offer_id: optionalText('Offer'),
  landing_id: optionalText('Landing'),
  affiliate_id: optionalText('Affiliate'),
  url: optionalText('Where the visitor would go, macros filled'),
  html: optionalText('The page that would be shown'),
  redirect: Type.String({ description: 'How: 302, meta, js, …' }),
  referrer_policy: optionalText('What the target would be told of the page before'),
  click_id: Type.String(),
  at: instantText('When'),
  config_version: Type.Integer({ description: 'Version that decided; of an unsaved one the number that it would get' }),
  is_saved: Type.Boolean({ description: 'Whether that version exists' }),
  is_recorded: Type.Literal(false, { description: 'Nothing was recorded, counted or reserved' }),
  trace: Type.String({ description: 'As clicks store it' }),
  decision: Type.Array(Type.String(), { description: 'The same in sentences' }),
  click: openObject('What rules would see of the visitor and the parameters'),
  notes: Type.Array(Type.String(), { description: 'In what it may differ from a click of a visitor' }),
})

/** What would happen to one click. */
export function addExplainRoute(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.post(
    '/v1/routing/explain',
    {
      config: readableBy('owner'),
      bodyLimit: apiLimits.configurationBytesMax,
      schema: {
        tags: ['routing'],
        summary: 'Where a click would go and why; nothing is recorded or reserved',
        body: question,
        response: { 200: explanation, 422: issuesSchema, '4xx': errorSchema, '5xx': errorSchema },
      },
    },
    async (request, reply) => {
      const found = await chosenConfiguration(api, request.body)
      if (found.kind === 'refused') return reply.code(422).send(issuesBody(found.issues))
      const click = hypotheticalClick(request.body, api.clock.now())
      const answer = explainClick(explainerOf(api), compileSnapshot(found.snapshot), click)
      if (answer.kind === 'no_click') throw new RequestError('request_invalid', answer.why, 'url')
      return { ...answer.explanation, is_saved: found.isSaved, is_recorded: false as const } as never
    },
  )
}
