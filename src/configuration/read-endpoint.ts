import {
  fillReceiverTemplate,
  postbackMacroNames,
  validateEndpoint,
  type EndpointProblem,
  type FilledTemplate,
  type ReceiverTemplateName,
} from '#postbacks'
import type { PostbackBatch, PostbackEndpoint } from '#routing'
import { report, type Reading } from './check-shape.ts'
import type { FileEndpoint } from './file-schema.ts'
import { problem } from './issues.ts'
import { withoutEmpty } from './objects.ts'
import { readDelivery } from './read-delivery.ts'
import { readRule } from './read-rule.ts'
import { didYouMean, suggestWord } from './suggest.ts'
import type { Tree } from './yaml-tree.ts'

/** What is sent where no template says it. */
type Sent = Pick<PostbackEndpoint, 'method' | 'url' | 'triggers' | 'secrets' | 'success'>

const TRIGGERS_DEFAULT = ['lead', 'sale', 'rejected'] as const

/** An endpoint as the snapshot has it. Issues go to `reading`; the result then is not used.
 * @param ownerId advertiser of the campaign or offer in its scope, so that the row belongs to a tenant
 */
export function readEndpoint(
  endpointId: string,
  file: FileEndpoint,
  ownerId: string | undefined,
  reading: Reading,
): PostbackEndpoint {
  const sent = file.template === undefined ? readOwn(file, reading) : readTemplate(file.template, file, reading)
  const { affiliate_id, campaign_id, offer_id, source_id } = file
  const endpoint = withoutEmpty<PostbackEndpoint>({
    endpoint_id: endpointId,
    name: file.name ?? endpointId,
    status: file.status ?? 'active',
    scope: withoutEmpty<PostbackEndpoint['scope']>({
      advertiser_id: file.advertiser_id ?? ownerId,
      affiliate_id,
      campaign_id,
      offer_id,
      source_id,
    }),
    triggers: [...new Set(file.triggers ?? sent?.triggers)],
    rule: file.rule && readRule(file.rule.rule as Tree, reading, { context: 'conversion', lists: reading.lists }),
    yields: file.yields === true ? true : undefined,
    template: file.template,
    method: sent?.method ?? 'GET',
    url: sent?.url ?? '',
    body: file.body,
    content_type: sent?.method === 'POST' ? (file.content_type ?? 'application/json') : undefined,
    headers: file.headers && { ...file.headers },
    at_most_once: file.at_most_once === true ? true : undefined,
    ordered: file.ordered === true ? true : undefined,
    batch: file.batch && readBatch(file.batch, reading),
    secret: file.secret,
    secrets: readSecrets(file, sent, reading),
    timeout_ms: file.timeout_ms ?? 10_000,
    max_concurrency: file.max_concurrency ?? 4,
    ...readDelivery(file, reading, sent?.success),
    max_per_minute: file.max_per_minute,
    expires_hours: file.expires_hours ?? 120,
    allow_private_address: file.allow_private_address ?? false,
    via_proxy: file.via_proxy,
  })
  if (sent !== undefined) reportProblems(endpoint, file, reading)
  return endpoint
}

/** Method and URL as the file has them. @returns undefined: there is none, which is reported */
function readOwn(file: FileEndpoint, reading: Reading): Sent | undefined {
  const tree = reading.treeOf.get(file)
  const method = file.method ?? (file.triggers?.includes('notice') === true ? 'POST' : 'GET')
  for (const key of ['body', 'content_type'] as const)
    if (method === 'GET' && file[key] !== undefined)
      report(reading, tree, problem('combination_invalid', `A GET request has no ${key}.`, 'Set method: POST.'), key)
  if (file.parameters !== undefined)
    report(
      reading,
      tree,
      problem('combination_invalid', 'Parameters belong to a template.', 'Name it: template: keitaro.'),
      'parameters',
    )
  if (file.url !== undefined) return { method, url: file.url, triggers: TRIGGERS_DEFAULT }
  report(reading, tree, problem('key_missing', '"url" is missing.', 'Give the address, or a template.'))
  return undefined
}

function readTemplate(
  template: ReceiverTemplateName,
  file: FileEndpoint,
  reading: Reading,
): FilledTemplate | undefined {
  const tree = reading.treeOf.get(file)
  for (const key of ['method', 'url', 'body', 'content_type'] as const)
    if (file[key] !== undefined)
      report(
        reading,
        tree,
        problem('combination_invalid', `The template says what ${key} is.`, 'Keep one of the two.'),
        key,
      )
  const filled = fillReceiverTemplate(template, file.parameters ?? {})
  if (!('url' in filled)) {
    for (const { code, parameter, message, known } of filled) {
      const place = file.parameters && reading.treeOf.get(file.parameters)
      const found = problem(code, message, code === 'key_unknown' ? didYouMean(parameter, known) : undefined)
      if (place === undefined) report(reading, tree, found, 'template')
      else report(reading, place, found, code === 'key_missing' ? undefined : parameter)
    }
    return undefined
  }
  if (filled.isSigned && file.secret === undefined)
    report(reading, tree, problem('key_missing', 'The template needs a "secret" to sign with.', SECRET_HINT))
  return filled
}

/** Those of the file and those that a template makes of its parameters. @returns undefined: none */
function readSecrets(file: FileEndpoint, sent: Sent | undefined, reading: Reading): PostbackEndpoint['secrets'] {
  const own = file.secrets ?? {}
  const made = sent?.secrets ?? {}
  for (const name of Object.keys(own).filter((one) => Object.hasOwn(made, one)))
    report(
      reading,
      file.secrets && reading.treeOf.get(file.secrets),
      problem('combination_invalid', `The template keeps its parameter "${name}" as a secret of this name.`, 'Take another name.'), // prettier-ignore
      name,
    )
  const secrets = { ...own, ...made }
  return Object.keys(secrets).length === 0 ? undefined : secrets
}

function readBatch(file: NonNullable<FileEndpoint['batch']>, reading: Reading): PostbackBatch {
  const format = file.format ?? 'json_array'
  if (format !== 'wrapped' && file.wrapper_key !== undefined)
    report(
      reading,
      reading.treeOf.get(file),
      problem('combination_invalid', `The format ${format} has no wrapper.`, 'Set format: wrapped.'),
      'wrapper_key',
    )
  return {
    max_events: file.max_events,
    max_wait_ms: file.max_wait_ms ?? 1_000,
    max_bytes: file.max_bytes ?? 1_048_576,
    format,
    wrapper_key: file.wrapper_key ?? 'events',
  }
}

/** What is wrong with a template of the endpoint stands where it is written: in its parameters, where they made it. */
function reportProblems(endpoint: PostbackEndpoint, file: FileEndpoint, reading: Reading): void {
  const tree = reading.treeOf.get(file)
  for (const found of validateEndpoint(endpoint)) {
    const issue = problem(found.code, found.message, hintFor(found, endpoint))
    const headers = found.header === undefined ? undefined : file.headers && reading.treeOf.get(file.headers)
    if (headers !== undefined) report(reading, headers, issue, found.header)
    else report(reading, tree, issue, found.field === 'url' && file.url === undefined ? 'parameters' : found.field)
  }
}

const SECRET_HINT = 'Make one with: echo "whsec_$(openssl rand -base64 32)"'

function hintFor({ code, field, header, offset }: EndpointProblem, endpoint: PostbackEndpoint): string | undefined {
  if (code === 'secret_invalid') return SECRET_HINT
  if (code !== 'macro_unknown' && code !== 'secret_unknown') return undefined
  const text = header === undefined ? endpoint[field as 'url' | 'body'] : endpoint.headers?.[header]
  const name = /^\{_?([\w.-]+)/.exec((text ?? '').slice(offset))?.[1]
  const known = code === 'secret_unknown' ? Object.keys(endpoint.secrets ?? {}).map((one) => `secret.${one}`) : postbackMacroNames // prettier-ignore
  const nearest = name === undefined ? undefined : suggestWord(name, known)
  return nearest === undefined ? undefined : `Did you mean "{${nearest}}"?`
}
