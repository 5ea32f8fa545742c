import { Type } from 'typebox'

import { clickParameterNames } from './click-parameters.ts'
import { postbackParameterNames } from './postback-parameters.ts'

/** The HTTP shapes of the edge, for documentation and tests. Requests are decoded by hand, once, into typed structs with
 * limits and reasons of their own: a validator before that would decode everything a second time and could only refuse
 * whole requests.
 */

const optionalTexts = (names: Readonly<Record<string, readonly string[]>>) =>
  Object.fromEntries(
    Object.entries(names).map(([name, aliases]) => [
      name,
      Type.Optional(Type.String(aliases.length === 0 ? {} : { description: `Also ${aliases.join(', ')}.` })),
    ]),
  )

const error = Type.Object({ code: Type.String(), message: Type.String() })

const clickAnswer = Type.Object(
  {
    click_id: Type.String({ format: 'uuid' }),
    visitor_code: Type.String(),
    outcome: Type.String({ description: 'redirected, shown, fallback or not_found' }),
    refusal: Type.Optional(Type.String()),
    url: Type.Optional(Type.String({ description: 'Where the visitor would go.' })),
    campaign_id: Type.Optional(Type.String()),
    flow_id: Type.Optional(Type.String()),
    offer_id: Type.Optional(Type.String()),
    landing_id: Type.Optional(Type.String()),
  },
  { description: 'With `redirect=0`.' },
)

export const clickSchema = {
  summary: 'Decide, record and redirect a click.',
  querystring: Type.Object(optionalTexts(clickParameterNames)),
  response: {
    200: Type.Union([
      Type.String({ description: 'A page that goes on by itself, or that the flow shows.' }),
      clickAnswer,
    ]),
    302: Type.Null(),
    303: Type.Null(),
    307: Type.Null(),
    404: Type.String(),
    414: error,
    503: error,
  },
}

export const hopSchema = {
  summary: 'Second page of a double meta refresh.',
  querystring: Type.Object({ s: Type.String({ description: 'Our signature.' }), u: Type.String() }),
  response: { 200: Type.String(), 404: Type.String() },
}

export const linkSchema = { ...clickSchema, params: Type.Object({ code: Type.String({ maxLength: 64 }) }) }

const event = Type.Object({
  clickid: Type.String({ format: 'uuid' }),
  type: Type.String({ description: 'open, lp_click, reg, deposit, sale, lead, lp_leave or a name the offer declares' }),
  event_id: Type.Optional(Type.String({ format: 'uuid' })),
  txid: Type.Optional(Type.String({ maxLength: 255 })),
  amount: Type.Optional(
    Type.Union([Type.String(), Type.Number({ minimum: 0 })], { description: 'Also revenue_deposit.' }),
  ),
  currency: Type.Optional(Type.String({ description: 'ISO 4217' })),
  sub2: Type.Optional(Type.String({ maxLength: 200, description: 'key-value|key2-value2' })),
  visitor_code: Type.Optional(Type.String({ maxLength: 64 })),
  time_on_page_ms: Type.Optional(Type.Integer({ minimum: 0 })),
  ts_client: Type.Optional(Type.Integer({ minimum: 0 })),
  lang: Type.Optional(Type.String()),
  tz: Type.Optional(Type.String()),
  screen: Type.Optional(Type.String()),
  connection: Type.Optional(Type.String()),
  device_type: Type.Optional(Type.String()),
  site: Type.Optional(Type.String()),
  referrer: Type.Optional(Type.String()),
})

const issues = Type.Object({
  accepted: Type.Integer(),
  errors: Type.Array(Type.Object({ path: Type.String(), code: Type.String(), message: Type.String() })),
})

export const eventSchema = {
  summary: 'Record events of a landing page.',
  body: Type.Union([event, Type.Array(event, { maxItems: 50 })]),
  response: { 204: Type.Null(), 400: error, 413: error, 415: error, 422: issues, 503: error },
}

export const preflightSchema = { summary: 'CORS preflight of events.', response: { 204: Type.Null() } }

const accepted = Type.Object({ status: Type.Literal('accepted'), postback_id: Type.String({ format: 'uuid' }) })
const refused = Type.Object({
  status: Type.Union([Type.Literal('refused'), Type.Literal('ignored')]),
  reason: Type.String(),
  message: Type.String(),
  postback_id: Type.String({ format: 'uuid' }),
})

export const postbackSchema = {
  summary: 'Receive a conversion from an advertiser or network.',
  querystring: Type.Object(optionalTexts(postbackParameterNames)),
  response: {
    200: accepted,
    202: accepted,
    401: refused,
    403: refused,
    404: refused,
    409: refused,
    422: refused,
    503: error,
  },
}

export const pathSecretSchema = { ...postbackSchema, params: Type.Object({ secret: Type.String({ maxLength: 255 }) }) }

export const pixelSchema = {
  summary: 'Receive a conversion from a page, as a picture.',
  querystring: postbackSchema.querystring,
  response: { 200: Type.String({ contentMediaType: 'image/gif' }), 503: error },
}

export const snippetSchema = { summary: 'The web snippet.', response: { 200: Type.String(), 304: Type.Null() } }

export const healthSchema = {
  summary: 'Whether the process answers.',
  response: { 200: Type.Object({ status: Type.Literal('ok') }) },
}

const readiness = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')]),
  config_version: Type.Union([Type.Integer(), Type.Null()]),
  is_config_fresh: Type.Boolean(),
  is_log_writable: Type.Boolean(),
})

export const readySchema = {
  summary: 'Whether clicks can be served: a configuration is loaded and the log takes records.',
  response: { 200: readiness, 503: readiness },
}

export const metricsSchema = { summary: 'Counters in the format of Prometheus.', response: { 200: Type.String() } }

export const robotsSchema = { summary: 'Crawlers are asked to stay away.', response: { 200: Type.String() } }

export const faviconSchema = { summary: 'There is no icon.', response: { 204: Type.Null() } }
