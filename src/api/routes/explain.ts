import { isIP } from 'node:net'

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type, type Static } from 'typebox'

import type { Enricher } from '#enrichment'
import { explainClick, type HypotheticalClick } from '#simulation'
import type { VisitorFacts } from '#records'
import { compileSnapshot } from '#routing'

import type { Api } from '../api.ts'
import { readableBy } from '../authorize.ts'
import { issuesBody, issuesSchema } from '../configuration-json.ts'
import { errorSchema, RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { choiceSchema, chosenConfiguration } from '../chosen-configuration.ts'
import { idText, instantText, openObject } from '../schemas.ts'

const label = (description: string) => Type.Optional(Type.String({ description, minLength: 1, maxLength: 1_024 }))
const flag = (description: string) => Type.Optional(Type.Boolean({ description }))

const visitorFacts = Type.Object(
  {
    ip: Type.Optional(
      Type.String({ description: 'Address; place, network and datacentre are looked up', maxLength: 45 }),
    ),
    user_agent: label('Device, browser and bot are read from it'),
    country: Type.Optional(Type.String({ description: 'ISO 3166-1 alpha-2', pattern: '^[A-Z]{2}$' })),
    region: label('Region'),
    city: label('City'),
    asn: Type.Optional(Type.Integer({ description: 'Number of the network', minimum: 1 })),
    isp: label('Network'),
    is_proxy: flag('Comes by a proxy'),
    is_hosting: flag('Comes from a datacentre'),
    os: label('Operating system'),
    os_version: label('Its version'),
    browser: label('Browser'),
    browser_version: label('Its version'),
    device_type: label('desktop, mobile, tablet, …'),
    device_brand: label('Brand'),
    device_model: label('Model'),
    language: label('First language, lower case'),
    bot: Type.Optional(
      Type.Union([Type.Literal('user_agent'), Type.Literal('empty_user_agent'), Type.Literal('datacentre')]),
    ),
  },
  { additionalProperties: false, description: 'What is given here replaces what the address and the user agent say' },
)

const question = Type.Object(
  {
    url: Type.Optional(
      Type.String({ description: 'Address of a link, e.g. `https://go.example/summer?sub1=x`', maxLength: 8_192 }),
    ),
    link_code: Type.Optional(idText('Code of a link, instead of an address')),
    campaign_id: Type.Optional(idText('Campaign')),
    flow_id: Type.Optional(idText('Flow')),
    offer_id: Type.Optional(idText('Offer')),
    landing_id: Type.Optional(idText('Landing')),
    affiliate_id: Type.Optional(idText('Affiliate')),
    click_id: Type.Optional(Type.String({ description: 'Left out: a new one', maxLength: 64 })),
    visitor_code: Type.Optional(Type.String({ maxLength: 64 })),
    parameters: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 255 }), Type.String({ maxLength: 1_024 }), {
        description: 'Further parameters of the link: `sub1`, `utm_source`, `cost`, …',
        maxProperties: 100,
      }),
    ),
    visitor: Type.Optional(visitorFacts),
    headers: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 64 }), Type.String({ maxLength: 4_096 }), {
        description: 'Headers of the request: `accept-language`, `referer`, `cookie`, `sec-ch-ua…`',
        maxProperties: 50,
      }),
    ),
    at: Type.Optional(instantText('When; left out: now')),
    ...choiceSchema,
  },
  { additionalProperties: false },
)

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
  let enricher: Enricher | undefined
  const openOnce = (): Enricher => (enricher ??= api.openEnricher())

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
      const ip = request.body.visitor?.ip
      if (ip !== undefined && isIP(ip) === 0)
        throw new RequestError('request_invalid', `"${ip}" is no IPv4 or IPv6 address`, 'visitor.ip')
      const found = await chosenConfiguration(api, request.body)
      if (found.kind === 'refused') return reply.code(422).send(issuesBody(found.issues))
      const explainer = {
        enricher: openOnce(),
        sub2AllowedKeys: api.sub2AllowedKeys,
        isClaimed: (...claim: Parameters<Api['hotState']['isClaimed']>) => api.hotState.isClaimed(...claim),
        clickOf: (clickId: Parameters<Api['hotState']['getClick']>[0]) => api.hotState.getClick(clickId),
        caps: api.caps,
      }
      const answer = explainClick(explainer, compileSnapshot(found.snapshot), clickOf(request.body, api.clock.now()))
      if (answer.kind === 'no_click') throw new RequestError('request_invalid', answer.why, 'url')
      return { ...answer.explanation, is_saved: found.isSaved, is_recorded: false as const } as never
    },
  )
}

/** Fields of the question ↔ parameters of a link. */
function clickOf(body: Static<typeof question>, now: number): HypotheticalClick {
  const { campaign_id, flow_id, offer_id, landing_id, affiliate_id, visitor_code, click_id: clickid } = body
  const named = { campaign_id, flow_id, offer_id, landing_id, affiliate_id, visitor_code, clickid }
  const given = Object.entries({ ...named, ...body.parameters }).filter(([, value]) => value !== undefined)
  const { is_proxy, is_hosting, ...facts } = body.visitor ?? {}
  return {
    url: body.url,
    linkCode: body.link_code,
    parameters: Object.fromEntries(given) as Record<string, string>,
    visitor: {
      ...(facts as Partial<VisitorFacts>),
      // A record has these only where they are so.
      ...(is_proxy !== undefined && { is_proxy: is_proxy || undefined }),
      ...(is_hosting !== undefined && { is_hosting: is_hosting || undefined }),
    } as Partial<VisitorFacts>,
    headers: Object.fromEntries(Object.entries(body.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
    at: body.at === undefined ? now : Date.parse(body.at),
  }
}
