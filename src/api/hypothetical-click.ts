import { isIP } from 'node:net'

import { Type, type Static, type TObject } from 'typebox'

import type { VisitorFacts } from '#records'
import type { Explainer, HypotheticalClick } from '#simulation'

import type { Api } from './api.ts'
import { RequestError } from './errors.ts'
import { idText, instantText } from './schemas.ts'

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

/** What can be said of a click that nobody made. */
export const clickSchema = {
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
      description: 'Headers of the request: `accept-language`, `referer`, `cookie`, `sec-ch-ua…`, `ect`',
      maxProperties: 50,
    }),
  ),
  at: Type.Optional(instantText('When; left out: now')),
}

/** What decides such a click. Nothing of it is changed. */
export const explainerOf = (api: Api): Explainer => ({
  enricher: api.openEnricher(),
  sub2AllowedKeys: api.sub2AllowedKeys,
  isClaimed: (space, key, at) => api.hotState.isClaimed(space, key, at),
  clickOf: (clickId) => api.hotState.getClick(clickId),
  caps: api.caps,
})

/** Fields of the question ↔ parameters of a link.
 * @throws {RequestError} the visitor's address is none
 */
export function hypotheticalClick(body: Static<TObject<typeof clickSchema>>, now: number): HypotheticalClick {
  const { campaign_id, flow_id, offer_id, landing_id, affiliate_id, visitor_code, click_id: clickid } = body
  const named = { campaign_id, flow_id, offer_id, landing_id, affiliate_id, visitor_code, clickid }
  const given = Object.entries({ ...named, ...body.parameters }).filter(([, value]) => value !== undefined)
  const { is_proxy, is_hosting, ...facts } = body.visitor ?? {}
  if (facts.ip !== undefined && isIP(facts.ip) === 0)
    throw new RequestError('request_invalid', `"${facts.ip}" is no IPv4 or IPv6 address`, 'visitor.ip')
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
