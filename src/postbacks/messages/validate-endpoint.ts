import type { PostbackEndpoint } from '#routing'
import { checkDestination } from '../sending/check-destination.ts'
import { bodyKindOf, compileEndpoint, unknownSecrets } from './compile-endpoints.ts'
import { compileHeaders, headerProblems } from './headers.ts'
import { eventIdOf } from './delivery-causes.ts'
import { macroFactsOf } from './prepare-deliveries.ts'
import { madeUpSale } from './made-up-sale.ts'
import { placeholderOf } from './secret-placeholders.ts'
import { parseSecret } from '../sending/sign.ts'
import {
  compileTemplate,
  confidentialMacros,
  hasMacros,
  problemOf,
  renderTemplate,
  type Template,
  type TemplateProblem,
} from './templates.ts'

export type EndpointProblem = {
  readonly field: 'url' | 'body' | 'secret' | 'previous_secret' | 'headers' | 'batch' | NoticeField
  /** Which of the headers. */
  readonly header?: string
  readonly code:
    | TemplateProblem['code']
    | 'url_invalid'
    | 'body_invalid'
    | 'secret_invalid'
    | 'header_invalid'
    | 'batch_invalid'
    | 'notice_invalid'
  readonly message: string
  /** Characters from the start of the field. */
  readonly offset: number
}

/** What an endpoint for notices may not have, or must. */
type NoticeField = 'triggers' | 'method' | 'rule' | 'campaign_id' | 'offer_id' | 'source_id'

type Candidate = Pick<
  PostbackEndpoint,
  | 'scope'
  | 'triggers'
  | 'rule'
  | 'method'
  | 'url'
  | 'body'
  | 'content_type'
  | 'headers'
  | 'batch'
  | 'secret'
  | 'secrets'
  | 'previous_secret'
  | 'allow_private_address'
>

/** Everything that would keep an endpoint from being sent to, found when the configuration is applied and not when the first
 * sale is lost. An endpoint without problems never sends a macro as text.
 */
export function validateEndpoint(endpoint: Candidate): readonly EndpointProblem[] {
  const url = compileTemplate(endpoint.url, 'url')
  const hasBody = endpoint.method === 'POST' && endpoint.body !== undefined
  const body = hasBody ? compileTemplate(endpoint.body, bodyKindOf(endpoint)) : undefined
  const problems: EndpointProblem[] = [
    ...url.problems.map((problem) => ({ field: 'url' as const, ...problem })),
    ...(body?.problems ?? []).map((problem) => ({ field: 'body' as const, ...problem })),
    ...misusedMacros(endpoint, 'url', url.template),
    ...(body === undefined ? [] : misusedMacros(endpoint, 'body', body.template)),
    ...headerProblems(endpoint.headers, endpoint.scope.affiliate_id !== undefined).map(({ name, ...problem }) => ({
      field: 'headers' as const,
      header: name,
      ...problem,
    })),
    ...secretsAskedFor(endpoint, { field: 'url' }, url.template),
    ...(body === undefined ? [] : secretsAskedFor(endpoint, { field: 'body' }, body.template)),
    ...[...compileHeaders(endpoint.headers)].flatMap(([header, template]) =>
      secretsAskedFor(endpoint, { field: 'headers', header: nameAsGiven(endpoint, header) }, template),
    ),
    ...checkSecret(endpoint),
    ...checkSignedQuery(endpoint),
    ...checkBatch(endpoint, url.template, body?.template),
    ...checkNotices(endpoint, url.template),
  ]
  return problems.length > 0 ? problems : checkFilled(endpoint as PostbackEndpoint)
}

/** What an affiliate must not see, and signatures where there are none. */
function misusedMacros(endpoint: Candidate, field: 'url' | 'body', template: Template): readonly EndpointProblem[] {
  const confidential = endpoint.scope.affiliate_id === undefined ? [] : confidentialMacros(template)
  const misplaced = endpoint.secret === undefined ? [...template.lateMacros] : []
  return [
    ...confidential.map((name) => ({ field, ...problemOf('macro_confidential', 0, `{${name}}`) })),
    ...misplaced.map((name) => ({ field, ...problemOf('macro_misplaced', 0, name) })),
  ]
}

const secretsAskedFor = (
  endpoint: Candidate,
  place: Pick<EndpointProblem, 'field' | 'header'>,
  template: Template,
): readonly EndpointProblem[] =>
  unknownSecrets([template], endpoint).map(([name, offset]) => ({
    ...place,
    ...problemOf('secret_unknown', offset, placeholderOf(name)),
  }))

const nameAsGiven = ({ headers = {} }: Candidate, lower: string): string =>
  Object.keys(headers).find((name) => name.toLowerCase() === lower)!

/** One request has one address and one set of headers, whatever the messages in it are about. */
function checkBatch(endpoint: Candidate, url: Template, body: Template | undefined): readonly EndpointProblem[] {
  if (endpoint.batch === undefined) return []
  const wrong = (field: EndpointProblem['field'], message: string): EndpointProblem => ({
    ...{ field, code: 'batch_invalid', message, offset: 0 },
  })
  const problems: EndpointProblem[] = []
  if (endpoint.method !== 'POST' || bodyKindOf(endpoint) !== 'json')
    problems.push(wrong('batch', 'Many messages go in one request only as JSON by POST.'))
  if (body !== undefined && body.lateMacros.size > 0)
    problems.push(
      wrong('body', 'The body of a message among many has no {sig} and {ts}: they are of the request, in its headers.'),
    )
  if (hasMacros(url)) problems.push(wrong('url', 'The URL of many messages has no macros: they may differ.'))
  for (const [name, template] of compileHeaders(endpoint.headers))
    if (hasMacros(template))
      problems.push({ ...wrong('headers', 'A header of many messages has no macros: they may differ.'), header: name })
  return problems
}

/** A notice is about an endpoint: it has no click and no conversion that macros, rules and the narrower scopes could ask for. */
function checkNotices(endpoint: Candidate, url: Template): readonly EndpointProblem[] {
  const { triggers, scope, batch, body, secret, rule, method } = endpoint
  if (!triggers.includes('notice')) return []
  const wrong = (field: EndpointProblem['field'], message: string): EndpointProblem => ({
    ...{ field, code: 'notice_invalid', message, offset: 0 },
  })
  const problems: EndpointProblem[] = []
  if (triggers.length > 1)
    problems.push(wrong('triggers', 'An endpoint that is told of notices is told of nothing else.'))
  if (method !== 'POST' || bodyKindOf(endpoint) !== 'json')
    problems.push(wrong('method', 'Notices go by POST, as JSON.'))
  if (secret === undefined) problems.push(wrong('triggers', 'Notices are signed: the endpoint needs a "secret".'))
  if (body !== undefined) problems.push(wrong('body', 'The body of a notice is the standard one.'))
  if (batch !== undefined) problems.push(wrong('batch', 'Each notice has a request of its own.'))
  if (rule !== undefined) problems.push(wrong('rule', 'Rules ask for conversions; a notice has none.'))
  for (const field of ['campaign_id', 'offer_id', 'source_id'] as const)
    if (scope[field] !== undefined)
      problems.push(wrong(field, 'Notices are of an advertiser or an affiliate, or of all.'))
  if (hasMacros(url)) problems.push(wrong('url', 'The URL of notices has no macros but secrets.'))
  for (const [name, template] of compileHeaders(endpoint.headers))
    if (hasMacros(template))
      problems.push({ ...wrong('headers', 'A header of notices has no macros but secrets.'), header: name })
  return problems
}

function checkSecret(endpoint: Candidate): readonly EndpointProblem[] {
  const message = 'The secret is not of the form whsec_<base64 of 24 to 64 bytes>.'
  return (['secret', 'previous_secret'] as const).flatMap((field) => {
    const secret = endpoint[field]
    const isRight = secret === undefined || parseSecret(secret) !== undefined
    return isRight ? [] : [{ field, code: 'secret_invalid' as const, message, offset: 0 }]
  })
}

/** Names that are added to the query of a signed GET must not be there with another meaning: receivers take the first or the last. */
function checkSignedQuery({ method, url, secret }: Candidate): readonly EndpointProblem[] {
  if (method !== 'GET' || secret === undefined || /\{sig\}/i.test(url)) return []
  const pairs = url.slice(url.indexOf('?') + 1 || url.length).split('&')
  const isTaken = (name: string, own: string): boolean =>
    pairs.some((pair) => pair.startsWith(`${name}=`) && pair.slice(name.length + 1).toLowerCase() !== own)
  const taken = ([['event_id', '{event_id}'], ['ts', '{ts}'], ['sig', '{sig}']] as const).filter(([name, own]) => isTaken(name, own)) // prettier-ignore
  return taken.map(([name]) => ({
    field: 'url',
    code: 'url_invalid',
    message: `A signed GET has "event_id", "ts" and "sig" in its query, and "${name}" stands there already. Place {sig} yourself (then nothing is added), or leave "secret" out.`,
    offset: Math.max(0, url.indexOf(`${name}=`)),
  }))
}

/** Has a name for every id. */
const anyName = { get: () => 'Name' }
const madeUpNames = { offers: anyName, campaigns: anyName, affiliates: anyName, advertisers: anyName }

/** Fills the templates with a made-up sale and looks at the result as a sender would. */
function checkFilled(endpoint: PostbackEndpoint): readonly EndpointProblem[] {
  const compiled = compileEndpoint(endpoint)
  const cause = madeUpSale(endpoint, 0)
  const facts = macroFactsOf(cause, eventIdOf(cause), { configVersion: 0, names: madeUpNames, byScope: new Map() })
  const url = renderTemplate(compiled.url, facts)
  const problems: EndpointProblem[] = []
  // A required macro that the made-up sale lacks (a name) leaves nothing to look at.
  if (url.kind === 'rendered') problems.push(...checkFilledUrl(url.text, endpoint.allow_private_address))
  const body = compiled.body === undefined ? undefined : renderTemplate(compiled.body, facts)
  if (body?.kind === 'rendered' && bodyKindOf(endpoint) === 'json' && !isJson(body.text)) {
    problems.push({ field: 'body', code: 'body_invalid', message: 'The filled body is no valid JSON.', offset: 0 })
  }
  return problems
}

const urlMessages: Readonly<Record<string, string>> = {
  scheme: 'Only http and https URLs are requested.',
  userinfo: 'The URL must not hold a user name or password.',
  port: 'The port must be 80, 443 or above 1023.',
  address:
    'The address is private or reserved: allow_private_address permits private ones, and nothing those of metadata services.',
}

function checkFilledUrl(text: string, allowsPrivate: boolean): readonly EndpointProblem[] {
  const url = URL.parse(text.replaceAll(/\{(?:sig|ts)\}/g, '0'))
  const wrong = url === null ? 'The URL cannot be parsed.' : urlMessages[checkDestination(url, allowsPrivate) ?? '']
  return wrong === undefined ? [] : [{ field: 'url', code: 'url_invalid', message: wrong, offset: 0 }]
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
