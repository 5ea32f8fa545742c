/** Tables of the documentation that are made from the code, so that they cannot say anything else. */
import { environmentVariables } from '#config'
import { apiLimits, apiLimitMeanings } from '#api'
import { capLimitMeanings, capLimits } from '#caps'
import { costLimitMeanings, costLimits } from '#costs'
import { configurationFileSchema, describeFileSchema, issueCodes } from '#configuration'
import {
  clickParameterNames,
  edgeCookies,
  edgeLimitEffects,
  edgeLimits,
  postbackParameterNames,
  refusalStatuses,
} from '#edge'
import { exportLimitMeanings, exportLimits } from '#exports'
import { clickRules, conversionRules, fraudDefaults, fraudLimitMeanings, fraudLimits, type FraudRule } from '#fraud'
import { errorCatalogue } from '#platform/errors'
import {
  attemptErrors,
  deliveryChecks,
  giveUpReasons,
  macroAliasesByTracker,
  macroMeanings,
  noticeKinds,
  postbackLimitMeanings,
  postbackLimits,
  receiverTemplates,
  waitReasons,
  whyNotReasons,
  type ReceiverTemplate,
} from '#postbacks'
import { liveEndReasons, liveLimitMeanings, liveLimits } from '#live'
import { refusalReasons, type RefusalReason } from '#records'
import { dimensions, metrics, reportLimitMeanings, reportLimits } from '#reports'
import { anomalyLimitMeanings, anomalyLimits } from '#reports/anomalies'
import { behaviourLimitMeanings, behaviourLimits } from '#reports/behaviour'
import { retentionLimitMeanings, retentionLimits } from '#retention'
import { relativeRanges, savedReportLimitMeanings, savedReportLimits, scheduleStates } from '#saved-reports'
import { macroNames, routingLimitMeanings, routingLimits } from '#routing'
import {
  fieldFamilies,
  kindWords,
  opsOfKind,
  ruleErrorCodes,
  ruleFields,
  ruleLimitMeanings,
  ruleLimits,
  type FieldKind,
  type RuleContext,
} from '#rules'
import { simulationLimitMeanings, simulationLimits } from '#simulation'

export type ReferenceTable = {
  /** Path from the root of the repository. */
  readonly file: string
  /** Between `<!-- table: name -->` and `<!-- end -->`. */
  readonly name: string
  readonly text: string
}

export const referenceTables: readonly ReferenceTable[] = [
  { file: 'docs/errors.md', name: 'errors', text: errorTable() },
  { file: 'docs/reasons.md', name: 'refusals', text: meaningTable('Reason', refusalReasons) },
  { file: 'docs/reasons.md', name: 'why-not', text: meaningTable('Reason', whyNotReasons) },
  { file: 'docs/reasons.md', name: 'give-up', text: meaningTable('Reason', giveUpReasons) },
  { file: 'docs/states/delivery.md', name: 'waits', text: meaningTable('Reason', waitReasons) },
  { file: 'docs/states/delivery.md', name: 'notices', text: meaningTable('Kind', noticeKinds) },
  { file: 'docs/reasons.md', name: 'attempt-errors', text: meaningTable('Error', attemptErrors) },
  { file: 'docs/reasons.md', name: 'configuration', text: meaningTable('Code', issueCodes) },
  { file: 'docs/macros.md', name: 'macros', text: meaningTable('Macro', macroMeanings) },
  { file: 'docs/macros.md', name: 'macro-aliases', text: trackerAliasTable() },
  { file: 'docs/postbacks.md', name: 'templates', text: templateTable() },
  { file: 'docs/postbacks.md', name: 'template-parameters', text: templateParameterTable() },
  { file: 'docs/postbacks.md', name: 'postback-limits', text: limitTable(postbackLimits, postbackLimitMeanings) },
  { file: 'docs/states/delivery.md', name: 'checks', text: meaningTable('Check', deliveryChecks) },
  { file: 'docs/operations.md', name: 'environment', text: environmentTable() },
  { file: 'docs/http-edge.md', name: 'click-parameters', text: aliasTable('Parameter', clickParameterNames) },
  { file: 'docs/http-edge.md', name: 'postback-parameters', text: aliasTable('Meaning', postbackParameterNames) },
  { file: 'docs/http-edge.md', name: 'macros', text: aliasTable('Macro', aliasesOf(macroNames)) },
  { file: 'docs/http-edge.md', name: 'cookies', text: cookieTable() },
  { file: 'docs/http-edge.md', name: 'postback-statuses', text: statusTable() },
  { file: 'docs/limits.md', name: 'edge-limits', text: limitTable(edgeLimits, edgeLimitEffects) },
  { file: 'docs/limits.md', name: 'routing-limits', text: limitTable(routingLimits, routingLimitMeanings) },
  { file: 'docs/limits.md', name: 'rule-limits', text: limitTable(ruleLimits, ruleLimitMeanings) },
  { file: 'docs/limits.md', name: 'cap-limits', text: limitTable(capLimits, capLimitMeanings) },
  { file: 'docs/limits.md', name: 'fraud-limits', text: limitTable(fraudLimits, fraudLimitMeanings) },
  { file: 'docs/limits.md', name: 'export-limits', text: limitTable(exportLimits, exportLimitMeanings) },
  {
    file: 'docs/limits.md',
    name: 'behaviour-limits',
    text: limitTable(behaviourLimits, behaviourLimitMeanings),
  },
  { file: 'docs/limits.md', name: 'anomaly-limits', text: limitTable(anomalyLimits, anomalyLimitMeanings) },
  { file: 'docs/limits.md', name: 'simulation-limits', text: limitTable(simulationLimits, simulationLimitMeanings) },
  { file: 'docs/limits.md', name: 'cost-limits', text: limitTable(costLimits, costLimitMeanings) },
  { file: 'docs/limits.md', name: 'live-limits', text: limitTable(liveLimits, liveLimitMeanings) },
  { file: 'docs/live.md', name: 'ends', text: meaningTable('Reason', liveEndReasons) },
  { file: 'docs/limits.md', name: 'retention-limits', text: limitTable(retentionLimits, retentionLimitMeanings) },
  {
    file: 'docs/limits.md',
    name: 'saved-report-limits',
    text: limitTable(savedReportLimits, savedReportLimitMeanings),
  },
  { file: 'docs/saved-reports.md', name: 'ranges', text: meaningTable('Range', relativeRanges) },
  { file: 'docs/saved-reports.md', name: 'states', text: meaningTable('State', scheduleStates) },
  { file: 'docs/api.md', name: 'api-limits', text: limitTable(apiLimits, apiLimitMeanings, 'What it bounds') },
  {
    file: 'docs/limits.md',
    name: 'report-limits',
    text: limitTable(reportLimits, reportLimitMeanings, 'What it bounds'),
  },
  { file: 'docs/reports.md', name: 'metrics', text: metricTable() },
  { file: 'docs/reports.md', name: 'dimensions', text: dimensionTable() },
  { file: 'docs/fraud.md', name: 'click-rules', text: fraudTable(clickRules) },
  { file: 'docs/fraud.md', name: 'conversion-rules', text: fraudTable(conversionRules) },
  { file: 'docs/fraud.md', name: 'defaults', text: fraudDefaultTable() },
  { file: 'docs/rules.md', name: 'fields', text: ruleFieldTable() },
  { file: 'docs/rules.md', name: 'comparisons', text: ruleOpTable() },
  { file: 'docs/rules.md', name: 'limits', text: limitTable(ruleLimits, ruleLimitMeanings, 'What it bounds') },
  { file: 'docs/rules.md', name: 'mistakes', text: meaningTable('Code', ruleErrorCodes) },
  ...[...describeFileSchema().keys()].map((name) => ({ file: 'docs/configuration.md', name, text: keyTable(name) })),
]

/** What editors check a configuration file with; begins a file with `# yaml-language-server: $schema=…`. */
export const configurationJsonSchema = {
  file: 'docs/configuration.schema.json',
  text: `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Waypost configuration', ...configurationFileSchema }, null, 2)}\n`,
}

function trackerAliasTable(): string {
  const rows = Object.entries(macroAliasesByTracker).flatMap(([tracker, names]) =>
    Object.entries<string>(names).map(([alias, name]) => [alias, name, tracker] as const),
  )
  const byAlias = Map.groupBy(rows, ([alias]) => alias)
  return table(
    ['Name', 'Is our', 'As in'],
    [...byAlias].map(([alias, of]) => [alias, `\`${of[0]![1]}\``, of.map(([, , tracker]) => tracker).join(', ')]),
  )
}

function templates(): readonly (readonly [string, ReceiverTemplate])[] {
  return Object.entries(receiverTemplates)
}

/** Parameters in capitals: a `<` would have to be escaped, which code in a page cannot be. */
function shownUrl(url: string): string {
  return url.replaceAll(/<(\w+)>/g, (_whole, name: string) => name.toUpperCase())
}

function templateTable(): string {
  const rows = templates().map(([name, { label, method, url, triggers, note, source }]) => [
    name,
    label,
    `\`${method} ${shownUrl(url)}\``,
    triggers.map((trigger) => `\`${trigger}\``).join(', '),
    `${note} [Source](${source})`,
  ])
  return table(['Template', 'System', 'Request', 'Triggers', 'Worth knowing'], rows)
}

function templateParameterTable(): string {
  const rows = templates().flatMap(([template, { parameters }]) =>
    parameters.map(({ name, isNeeded, byDefault, kind, description }) => [
      template,
      `\`${name}\``,
      isNeeded ? '**needed**' : byDefault === undefined ? '' : `\`${byDefault}\``,
      kind === 'secret' ? `${description} A secret.` : description,
    ]),
  )
  return table(['Template', 'Parameter', 'Default', 'What it is'], rows)
}

/** The thirty sub ids are one row. */
function ruleFieldTable(): string {
  const named = ruleFields
    .filter(({ name }) => !/^sub(?!1$)\d+$/.test(name))
    .map(({ name, kind, aliases, contexts, description }) =>
      name === 'sub1'
        ? { name: 'sub1…sub30', kind, aliases: ['sub_id_1…sub_id_30'], contexts, description: 'Sub ids' }
        : { name, kind, aliases, contexts, description },
    )
  const families = fieldFamilies.map(({ placeholder, contexts, description }) => ({
    name: placeholder,
    kind: 'text' as const,
    aliases: [],
    contexts,
    description,
  }))
  const rows = [...named, ...families].map(({ name, kind, aliases, contexts, description }) => [
    name,
    kindWords[kind],
    aliases.map((alias) => `\`${alias}\``).join(', '),
    contextWords(contexts),
    description,
  ])
  return table(['Field', 'Kind', 'Also', 'Known for', 'What it is'], rows)
}

function contextWords(contexts: readonly RuleContext[]): string {
  return contexts.length === 4 ? 'all' : contexts.join(', ')
}

function ruleOpTable(): string {
  const kinds = Object.keys(opsOfKind) as readonly FieldKind[]
  const shown = kinds.filter((kind) => kind !== 'reason' && kind !== 'scope')
  const rows = shown.map((kind) => [kindWords[kind], opsOfKind[kind].map((op) => `\`${op}\``).join(', ')])
  return table(['Kind', 'Comparisons'], rows)
}

function metricTable(): string {
  const rows = [...metrics.values()].map(({ name, title, unit, description, formula, visibleTo, isDefault }) => [
    name,
    title,
    isDefault ? `${unit} ★` : unit,
    description,
    formula,
    whoSees(visibleTo),
  ])
  const ofEvents = [
    ['event.<type>', 'Events …', 'count', 'Events of a type, e.g. event.kyc', 'accepted events of the type', 'everybody'],
    ['event_uniques.<type>', 'Clicks with …', 'count', 'Clicks with an event of a type', 'different clicks with an accepted event of the type', 'everybody'],
  ] // prettier-ignore
  return table(['Metric', 'Title', 'Unit', 'What it is', 'How it is counted', 'Who sees it'], [...rows, ...ofEvents])
}

function whoSees(roles: readonly string[]): string {
  if (roles.includes('affiliate')) return 'everybody'
  return roles.includes('advertiser') ? 'owner, advertiser' : 'owner'
}

/** The thirty sub ids are one row. */
function dimensionTable(): string {
  const listed = [...dimensions.values()].filter(({ name }) => !/^sub(?!1$)\d+$/.test(name))
  const rows = listed.map(({ name, title, description, tables, visibleTo }) => {
    const known = tables.length === 3 ? 'all' : tables.join(', ')
    return name === 'sub1'
      ? ['sub1…sub30', 'Sub 1…30', 'Sub ids', known, whoSees(visibleTo)]
      : [name, title, description, known, whoSees(visibleTo)]
  })
  const sub2Key = ['sub2.<key>', 'Sub 2 …', 'Value of a key of sub2, e.g. sub2.geo for sub2=geo-TR|dev-mobile', 'all', 'everybody']
  return table(['Dimension', 'Title', 'What it is', 'Known of', 'Who sees it'], [...rows, sub2Key])
} // prettier-ignore

function keyTable(name: string): string {
  const rows = describeFileSchema()
    .get(name)!
    .map(({ key, value, byDefault, isNeeded, description }) => [
      key,
      value,
      isNeeded ? '**needed**' : byDefault === '' ? '' : `\`${byDefault}\``,
      description,
    ])
  return table(['Key', 'Value', 'Default', 'What it is'], rows)
}

function errorTable(): string {
  const rows = Object.entries(errorCatalogue).map(([code, { message, status, is_retryable }]) => [
    code,
    String(status),
    is_retryable ? 'yes' : 'no',
    message,
  ])
  return table(['Code', 'Status', 'Try again', 'Message'], rows)
}

function meaningTable(head: string, meanings: Readonly<Record<string, string>>): string {
  return table([head, 'Meaning'], Object.entries(meanings))
}

function fraudTable(rules: Readonly<Record<string, FraudRule>>): string {
  const rows = Object.entries(rules).map(([name, { code, score, sentence }]) => [
    name,
    `\`${code}\``,
    String(score),
    sentence,
  ])
  return table(['Rule', 'Code', 'Points', 'What it says'], rows)
}

/** One row for each value, named by its path. */
function fraudDefaultTable(): string {
  const rowsOf = (value: unknown, path: readonly string[]): string[][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, inner]) => rowsOf(inner, [...path, key]))
      : [[path.join('.'), Number(value).toLocaleString('en-US')]]
  return table(['Setting', 'Unless set'], rowsOf(fraudDefaults, []))
}

function aliasTable(head: string, names: Readonly<Record<string, readonly string[]>>): string {
  const rows = Object.entries(names).map(([name, aliases]) => [name, aliases.map((alias) => `\`${alias}\``).join(', ')])
  return table([head, 'Names'], rows)
}

/** Every name with its canonical one → the canonical ones with their other names. */
function aliasesOf(names: ReadonlyMap<string, string>): Readonly<Record<string, readonly string[]>> {
  const groups: Record<string, string[]> = {}
  for (const [alias, name] of names) (groups[name] ??= []).push(...(alias === name ? [] : [alias]))
  return groups
}

function cookieTable(): string {
  const rows = Object.entries(edgeCookies).map(([name, { life, purpose, without }]) => [name, life, purpose, without])
  return table(['Cookie', 'Lives', 'What for', 'Without it'], rows)
}

function statusTable(): string {
  const rows = Object.entries(refusalStatuses).map(([reason, status]) => [
    reason,
    String(status),
    refusalReasons[reason as RefusalReason],
  ])
  return table(['Reason', 'Status', 'Meaning'], rows)
}

function limitTable<Name extends string>(
  limits: Readonly<Record<Name, number>>,
  meanings: Readonly<Record<Name, string>>,
  head = 'What it is, and what happens beyond',
): string {
  const rows = (Object.keys(meanings) as Name[]).map((name) => [
    name,
    limits[name].toLocaleString('en-US'),
    meanings[name],
  ])
  return table(['Limit', 'Value', head], rows)
}

function environmentTable(): string {
  const rows = Object.entries(environmentVariables).map(([name, { purpose, otherwise }]) => [
    name,
    otherwise === '' ? 'not set' : `\`${otherwise}\``,
    purpose,
  ])
  return table(['Variable', 'Default', 'What it is'], rows)
}

/** The first cell is a word of the code. Pipes would end a cell, and tags would be taken for HTML. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const escape = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
  const body = rows.map(([word = '', ...rest]) => line([`\`${word}\``, ...rest.map(escape)]))
  return [line(head), line(head.map(() => '---')), ...body].join('\n')
}

/** The page with the table put in its place.
 * @throws {Error} the page has no such place
 */
export function withTable(page: string, { file, name, text }: ReferenceTable): string {
  const start = `<!-- table: ${name} -->`
  const from = page.indexOf(start)
  const to = page.indexOf('<!-- end -->', from)
  if (from < 0 || to < 0) throw new Error(`${file} has no place for the table "${name}": ${start} … <!-- end -->`)
  return `${page.slice(0, from + start.length)}\n<!-- prettier-ignore -->\n${text}\n\n${page.slice(to)}`
}
