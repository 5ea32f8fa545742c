import type { PostbackEndpoint, PostbackTrigger } from '#routing'
import { findMacro } from './macros.ts'
import { isSecretValue, placeholderOf, SECRET_VALUE_FORM } from './secret-placeholders.ts'

/** What a template asks of whoever uses it.
 * - `host`: host name, a port may follow
 * - `macro`: name of the macro that holds the receiver's own click id: `external_id`, `sub1`, …
 * - `text`: a value of theirs, or macros
 * - `secret`: a key of theirs, which becomes a secret of the endpoint; with macros in it, a `text`
 * - `url`: the whole address, macros included
 */
export type TemplateParameter = {
  readonly name: string
  readonly kind: 'host' | 'macro' | 'text' | 'secret' | 'url'
  readonly isNeeded: boolean
  readonly byDefault?: string
  readonly description: string
}

/** How a system wants to be told of conversions. In `url` a parameter stands as `<name>`, and `[…]` is left out where the parameter
 * in it is not given; the rest is a template of ours.
 */
export type ReceiverTemplate = {
  readonly label: string
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly triggers: readonly PostbackTrigger[]
  readonly parameters: readonly TemplateParameter[]
  /** POST with the standard JSON body, which must be signed. */
  readonly isSigned?: true
  /** What its answer must be, where a good status alone does not tell that the message was taken. */
  readonly success?: PostbackEndpoint['success']
  /** What is worth knowing about the receiver. */
  readonly note: string
  /** Where its form is documented. */
  readonly source: string
}

const host = (description: string): TemplateParameter => ({ name: 'host', kind: 'host', isNeeded: true, description })
const needed = (name: string, description: string): TemplateParameter => ({ name, kind: 'text', isNeeded: true, description }) // prettier-ignore
const optional = (name: string, description: string): TemplateParameter => ({ name, kind: 'text', isNeeded: false, description }) // prettier-ignore
const key = (parameter: TemplateParameter): TemplateParameter => ({ ...parameter, kind: 'secret' })

const clickId: TemplateParameter = {
  name: 'click_id',
  kind: 'macro',
  isNeeded: false,
  byDefault: 'external_id',
  description: 'Macro that holds the click id of the receiver: what its links bring along, e.g. `sub1`.',
}

const ALL_STATES = ['lead', 'sale', 'rejected', 'status_changed'] as const
/** For receivers that know no rejection: what came once stays. */
const NEW_ONLY = ['lead', 'sale'] as const

/** Refused, mostly for a reason that stays: an hour is enough for a click or a setting that comes late. */
const notWith = (...words: readonly string[]): PostbackEndpoint['success'] => ({
  body: { not_contains: words },
  otherwise: 'retry_briefly',
})

/** Ready-made endpoints by name. */
export const receiverTemplates = {
  keitaro: {
    label: 'Keitaro',
    method: 'GET',
    url: 'https://<host>/<key>/postback?subid={<click_id>!}&status={status}&payout={payout}&currency={currency}&tid={txid}&return=waypost_ok',
    success: { body: { contains: ['waypost_ok'] }, otherwise: 'retry_briefly' },
    triggers: ALL_STATES,
    parameters: [
      host('Domain of the tracker.'),
      key(needed('key', 'Postback key, which is part of the address.')),
      clickId,
    ],
    note: 'Takes `lead`, `sale` and `rejected`. Another `tid` of the same click is an upsell. It says `waypost_ok`, which `return` asks for, where it took the conversion; anything else is a failure.',
    source: 'https://docs.keitaro.io/en/conversions-and-postback/postback.html',
  },
  binom: {
    label: 'Binom 2',
    method: 'GET',
    url: 'https://<host>/postback?clickid={<click_id>!}&payout={payout}&cnv_currency={currency}&cnv_status={status}&cnv_status2={conversion_status}',
    triggers: ALL_STATES,
    parameters: [host('Domain of the tracker.'), clickId],
    note: 'Statuses are free text there.',
    source: 'https://docs.binom.org/payout-tracking-v2.php',
  },
  binom_v1: {
    label: 'Binom 1',
    method: 'GET',
    url: 'https://<host>/click.php?cnv_id={<click_id>!}&payout={payout}&cnv_currency={currency}&cnv_status={status}&cnv_status2={conversion_status}',
    triggers: ALL_STATES,
    parameters: [host('Domain of the tracker.'), clickId],
    note: 'Statuses are free text there.',
    source: 'https://docs.binom.org/postback-url.php',
  },
  voluum: {
    label: 'Voluum',
    method: 'GET',
    url: 'https://<host>/postback?cid={<click_id>!}&payout={payout}&txid={txid}&currency={currency}[&et=<event>]',
    triggers: NEW_ONLY,
    parameters: [
      host('Tracking domain.'),
      clickId,
      optional('event', 'Custom conversion, `et`, e.g. `{goal}`; upper and lower case count there.'),
    ],
    note: 'Knows no rejection. Several conversions of a click need their own `txid` and the switch for duplicates.',
    source: 'https://doc.voluum.com/article/parameters-in-postback-urls',
  },
  redtrack: {
    label: 'RedTrack',
    method: 'GET',
    url: 'https://<host>/postback?clickid={<click_id>!}&sum={payout}&status={conversion_status:pending=Pending approved=Approved rejected=Declined}[&type=<type>]',
    triggers: ALL_STATES,
    parameters: [
      host('Tracking domain.'),
      clickId,
      optional('type', 'Conversion type, e.g. `{goal}`; upper and lower case count there.'),
    ],
    note: 'The currency is that of the offer source there. Whether a second postback edits the first one is set there too.',
    source: 'https://docs.redtrack.io/knowledgebase/tracking-event-types/',
  },
  bemob: {
    label: 'BeMob',
    method: 'GET',
    url: 'https://<host>/postback?cid={<click_id>!}&payout={payout}&txid={txid}&status={conversion_status}[&cet=<event>]',
    triggers: ALL_STATES,
    parameters: [host('Tracking domain.'), clickId, optional('event', 'Custom event, `cet`, e.g. `{goal}`.')],
    note: 'Its postback statuses must be switched on to be seen.',
    source: 'https://docs.bemob.com/en/postback-settings-of-affiliate-network',
  },
  everflow: {
    label: 'Everflow',
    method: 'GET',
    url: 'https://<host>/?nid=<nid>&transaction_id={<click_id>!}&amount={sale_amount}&order_id={txid}[&event_id=<event_id>][&verification_token=<token>]',
    triggers: NEW_ONLY,
    parameters: [
      host('Tracking domain.'),
      needed('nid', 'Network id.'),
      clickId,
      optional('event_id', 'Event of the offer there; left out: the base conversion.'),
      key(optional('token', 'Verification token.')),
    ],
    note: 'Payout and revenue are worked out there; `amount` is the size of the sale. Rejections are made there.',
    source: 'https://helpdesk.everflow.io/customer/accessing-editing-s2s-postback-urls',
  },
  tune: {
    label: 'TUNE (HasOffers)',
    method: 'GET',
    url: 'https://<host>/aff_lsr?transaction_id={<click_id>!}&amount={sale_amount}&conversion_unique_id={txid}[&goal_id=<goal_id>][&security_token=<token>]',
    success: notWith('success=false'),
    triggers: NEW_ONLY,
    parameters: [
      host('Tracking domain, e.g. demo.go2cloud.org.'),
      clickId,
      optional('goal_id', 'Goal there; left out: the default one.'),
      key(optional('token', 'Advertiser security token.')),
    ],
    note: 'Answers 200 to what it refuses too, with `success=false` in the body: that is a failure.',
    source: 'https://support.tune.com/hc/en-us/articles/4413247665431-Receiving-Conversions-via-Postback-URL',
  },
  affise: {
    label: 'Affise',
    method: 'GET',
    url: 'https://<host>/postback?clickid={<click_id>!}&action_id={conversion_id}&sum={payout}&currency={currency}&status={conversion_status:approved=1 pending=2 rejected=3}&goal=<goal>[&secure=<secure>]',
    success: notWith('"status":2', '"status": 2'),
    triggers: ALL_STATES,
    parameters: [
      host('Tracking domain.'),
      clickId,
      { ...optional('goal', 'Goal number or value there.'), byDefault: '{goal}' },
      key(optional('secure', 'Secure code of the offer, advertiser or platform.')),
    ],
    note: 'Statuses are 1 approved, 2 pending, 3 declined. The same `action_id` is the same conversion. An answer with `"status":2` took the request and made no conversion: that is a failure.',
    source: 'https://help-center.affise.com/en/articles/6475468-affise-postback-url-parameters',
  },
  trackier: {
    label: 'Trackier',
    method: 'GET',
    url: 'https://<host>/acquisition?click_id={<click_id>!}&txn_id={txid}&status={conversion_status}&revenue={payout}&sale_amount={sale_amount}&currency={currency}[&goal_value=<goal>][&security_token=<token>]',
    triggers: ALL_STATES,
    parameters: [
      host('Tracking domain.'),
      clickId,
      optional('goal', 'Value of the goal there, e.g. `{goal}`.'),
      key(optional('token', 'Security token, where the campaign asks for one.')),
    ],
    note: 'Statuses are approved, pending, rejected and cancelled.',
    source: 'https://help.trackier.com/en/articles/8107277-key-parameters-for-setting-up-advertiser-postback',
  },
  standard_webhooks: {
    label: 'Standard Webhooks',
    method: 'POST',
    url: '<url>',
    triggers: ALL_STATES,
    parameters: [{ name: 'url', kind: 'url', isNeeded: true, description: 'Address of the receiver.' }],
    isSigned: true,
    note: 'JSON of the form `{type, timestamp, data}`, signed with the `secret` of the endpoint, which is needed.',
    source: 'https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md',
  },
} as const satisfies Readonly<Record<string, ReceiverTemplate>>

export type ReceiverTemplateName = keyof typeof receiverTemplates
export const receiverTemplateNames = Object.keys(receiverTemplates) as readonly ReceiverTemplateName[]

export type FilledTemplate = Pick<PostbackEndpoint, 'method' | 'url' | 'triggers' | 'success'> & {
  readonly isSigned: boolean
  /** Parameters that are keys, by name: they stand in the URL as `{secret.name}`. */
  readonly secrets: Readonly<Record<string, string>>
}

/** What is wrong with the parameters that were given for a template. */
export type ParameterProblem = {
  readonly code: 'key_unknown' | 'key_missing' | 'value_not_allowed'
  readonly parameter: string
  readonly message: string
  /** What may be given, for a parameter that there is not. */
  readonly known: readonly string[]
}

/** Makes the URL of an endpoint out of a ready-made template. Values are encoded, but for the macros in them.
 * @param given values by the name of the parameter
 */
export function fillReceiverTemplate(
  name: ReceiverTemplateName,
  given: Readonly<Record<string, string>>,
): FilledTemplate | readonly ParameterProblem[] {
  const template: ReceiverTemplate = receiverTemplates[name]
  const problems = parameterProblems(template, given)
  if (problems.length > 0) return problems
  const secrets = Object.fromEntries(
    template.parameters.flatMap(({ name: key, kind }) => {
      const value = given[key]
      return kind === 'secret' && value !== undefined && !MACRO.test(value) ? [[key, value]] : []
    }),
  )
  const values = new Map(
    template.parameters.flatMap(({ name: key, kind, byDefault }): [string, string][] => {
      if (Object.hasOwn(secrets, key)) return [[key, placeholderOf(key)]]
      const value = given[key] ?? byDefault
      return value === undefined ? [] : [[key, kind === 'text' || kind === 'secret' ? encodeText(value) : value]]
    }),
  )
  const url = template.url
    .replaceAll(/\[([^\][]*<(\w+)>[^\][]*)\]/g, (_whole, part: string, key: string) => (values.has(key) ? part : ''))
    .replaceAll(/<(\w+)>/g, (_whole, key: string) => values.get(key)!)
  const { method, triggers, success } = template
  return { method, url, triggers, isSigned: template.isSigned === true, secrets, ...(success && { success }) }
}

const MACRO = /\{[^{}]*\}/

/** Everything but the macros in a value. */
const encodeText = (value: string): string =>
  value.replaceAll(/\{[^{}]*\}|[^{]+|\{/g, (part) => (/^\{.*\}$/s.test(part) ? part : encodeURIComponent(part)))

const HOST = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::\d{1,5})?$/i

function parameterProblems(
  { parameters }: ReceiverTemplate,
  given: Readonly<Record<string, string>>,
): readonly ParameterProblem[] {
  const known = parameters.map((parameter) => parameter.name)
  const unknown = Object.keys(given).filter((key) => !known.includes(key))
  return [
    ...unknown.map((parameter): ParameterProblem => {
      return { code: 'key_unknown', parameter, message: `The template has no parameter "${parameter}".`, known }
    }),
    ...parameters.flatMap((parameter) => {
      const value = Object.hasOwn(given, parameter.name) ? given[parameter.name] : undefined
      const found = value === undefined ? missing(parameter) : mistaken(parameter, value)
      return found === undefined ? [] : [{ ...found, parameter: parameter.name, known }]
    }),
  ]
}

type Mistake = Pick<ParameterProblem, 'code' | 'message'>

const missing = ({ name, isNeeded, description }: TemplateParameter): Mistake | undefined =>
  isNeeded ? { code: 'key_missing', message: `The template needs "${name}": ${description}` } : undefined

function mistaken(parameter: TemplateParameter, value: string): Mistake | undefined {
  const message = valueMistake(parameter, value)
  return message === undefined ? undefined : { code: 'value_not_allowed', message }
}

function valueMistake({ kind, name }: TemplateParameter, value: string): string | undefined {
  switch (kind) {
    case 'host':
      return HOST.test(value) ? undefined : `"${name}" is a host name without https:// and path.`
    case 'macro':
      return findMacro(value) === undefined
        ? `"${name}" is the name of a macro without braces, such as sub1.`
        : undefined
    case 'text':
      return value.trim() === '' ? `"${name}" is empty.` : undefined
    case 'secret':
      return MACRO.test(value) || isSecretValue(value) ? undefined : `"${name}" is ${SECRET_VALUE_FORM}.`
    case 'url':
      return /^https?:\/\//i.test(value) ? undefined : `"${name}" is an address with https://.`
    default:
      return kind satisfies never
  }
}
