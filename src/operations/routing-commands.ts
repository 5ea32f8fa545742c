import { resolve } from 'node:path'

import type { Config } from '#config'
import type { Explanation, Simulation } from '#simulation'

import { readText } from './apply-file.ts'
import { askApi } from './ask-api.ts'

export type ExplainOptions = { readonly url: string } & VisitOption & ConfigurationOption

type VisitOption = {
  readonly visitor: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** ISO 8601; left out: now. */
  readonly at?: string | undefined
}

type ConfigurationOption = {
  /** A configuration file that is not applied. */
  readonly file?: string | undefined
  readonly version?: number | undefined
}

const configurationOf = (config: Config, { file, version }: ConfigurationOption): object => ({
  ...(file !== undefined && { configuration: readText(resolve(config.callDir, file)) }),
  ...(version !== undefined && { version }),
})

const explainOptions = {
  url: 'the URL', 'visitor.ip': '--ip', 'visitor.user_agent': '--user-agent', 'visitor.country': '--country',
  'headers.accept-language': '--language', 'headers.referer': '--referrer', at: '--at', version: '--version', configuration: '--file',
} // prettier-ignore
/** The click is a part of what is asked. */
const testRuleOptions = {
  ...Object.fromEntries(Object.entries(explainOptions).map(([name, option]) => [`click.${name}`, option])),
  ...explainOptions,
  rule: 'the rule',
  click_id: '--click',
}
const simulateOptions = {
  from: '--since',
  to: '--until',
  clicks_max: '--clicks',
  version: '--version',
  configuration: 'FILE',
}

/** `waypost explain`: asks the running installation where a click would go, and prints why.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct, or why it cannot be answered
 */
export async function explainUrl(
  config: Config,
  { url, visitor, headers, at, ...choice }: ExplainOptions,
): Promise<number> {
  const body = { url, visitor, headers, ...(at !== undefined && { at }), ...configurationOf(config, choice) }
  const answer = (await askApi(config, '/v1/routing/explain', body, {
    options: explainOptions,
    file: choice.file,
  })) as Explanation
  const target = answer.url ?? (answer.html === undefined ? 'the plain page “not found”' : 'a page of the flow')
  const lines = [...answer.decision, `${answer.outcome}: ${target} (${answer.redirect})`, ...answer.notes]
  process.stdout.write(`${lines.join('\n')}\nConfiguration version ${answer.config_version}.\n`)
  return 0
}

export type TestRuleOptions = {
  /** In its text form. */
  readonly rule: string
  /** Of a click that nobody made. */
  readonly url?: string | undefined
  /** Instead: of one that was recorded. */
  readonly clickId?: string | undefined
} & VisitOption &
  ConfigurationOption

type TestedRule = {
  readonly is_met: boolean
  readonly parts: readonly {
    readonly path: string
    readonly kind: string
    readonly is_met: boolean
    readonly text?: string
    readonly seen?: unknown
  }[]
  readonly notes: readonly string[]
}

/** `waypost test-rule`: asks the running installation whether a rule holds for a click, and prints which conditions do.
 * @returns exit code: 0, also where it does not hold
 */
export async function testRuleText(
  config: Config,
  { rule, url, clickId, visitor, headers, at, ...choice }: TestRuleOptions,
): Promise<number> {
  const click = { ...(url !== undefined && { url }), visitor, headers, ...(at !== undefined && { at }) }
  const which = clickId === undefined ? { click } : { click_id: clickId }
  const body = { rule, ...which, ...configurationOf(config, choice) }
  const { is_met, parts, notes } = (await askApi(config, '/v1/routing/test-rule', body, {
    options: testRuleOptions,
    file: choice.file,
  })) as TestedRule
  const lines = parts.map(
    (part) =>
      `${part.is_met ? 'holds    ' : 'does not '}  ${part.path}  ${part.text ?? part.kind}${seenText(part.seen)}`,
  )
  process.stdout.write(`${[...lines, ...notes].join('\n')}\nThe rule ${is_met ? 'holds' : 'does not hold'}.\n`)
  return 0
}

const seenText = (seen: unknown): string =>
  seen === undefined ? '' : `  (${seen === null ? 'not known' : `seen: ${JSON.stringify(seen)}`})`

export type SimulateOptions = {
  readonly from: string
  readonly to?: string | undefined
  readonly clicksMax?: number | undefined
} & ConfigurationOption

/** `waypost simulate`: asks the running installation what another configuration would have done, and prints the differences.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct, or why it cannot be answered
 */
export async function simulateFile(
  config: Config,
  { from, to, clicksMax, ...choice }: SimulateOptions,
): Promise<number> {
  const body = {
    from,
    ...(to !== undefined && { to }),
    ...(clicksMax !== undefined && { clicks_max: clicksMax }),
    ...configurationOf(config, choice),
  }
  const answer = (await askApi(config, '/v1/routing/simulate', body, {
    options: simulateOptions,
    file: choice.file,
  })) as Simulation & {
    readonly limits: readonly string[]
  }
  process.stdout.write(`${printSimulation(answer)}\n`)
  return 0
}

const MOVEMENTS_SHOWN_MAX = 50

/** What `waypost simulate` prints. */
export function printSimulation(answer: Simulation & { readonly limits: readonly string[] }): string {
  const { clicks, sample, moved, movements, earnings } = answer
  const share = sample === 1 ? '' : `, a sample of ${(sample * 100).toFixed(2)} %`
  return [
    `${clicks.decided} clicks decided again${share}: ${moved} would have gone elsewhere.`,
    ...(clicks.not_reproduced > 0 ? [`${clicks.not_reproduced} are left out: something that their decision hung on is not kept.`] : []),
    ...(clicks.version_unknown > 0 ? [`${clicks.version_unknown} are left out: the version that decided them is not there any more.`] : []),
    ...answer.missing_days.map(({ table, from, to }) => `The ${table} of ${from === to ? from : `${from} to ${to}`} are left out: they were retired.`),
    ...movements.slice(0, MOVEMENTS_SHOWN_MAX).map((one) => `  ${one.clicks}  ${place(one.from)} → ${place(one.to)}`),
    ...earnings.by_currency.flatMap(({ currency, revenue, payout }) => [
      `Revenue ${revenue.before} → ${revenue.after} ${currency}, difference ${revenue.difference} (95 %: ${revenue.difference_low} to ${revenue.difference_high})`,
      `Payout ${payout.before} → ${payout.after} ${currency}, difference ${payout.difference} (95 %: ${payout.difference_low} to ${payout.difference_high})`,
    ]),
    ...earnings.unknown.map((one) => `Unknown, too little data: offer ${one.offer_id}, clicks ${one.clicks_before} → ${one.clicks_after}`),
    'What clicks do not tell:',
    ...answer.limits.map((limit) => `  ${limit}`),
  ].join('\n') // prettier-ignore
}

/** Where clicks went, and what they got there where it was no redirect to a target. */
function place(one: Simulation['movements'][number]['from']): string {
  const ids = [one.campaign_id, one.flow_id, one.offer_id, one.landing_id].filter((id) => id !== undefined).join(' / ')
  const outcome = one.outcome === 'redirected' ? '' : one.outcome.replace('_', ' ')
  const reason = one.refusal === undefined ? '' : `(${one.refusal})`
  return [ids, outcome, reason].filter((part) => part !== '').join(' ')
}
