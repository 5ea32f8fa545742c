import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { newerBrowsers, newerSystems } from './newer-products.ts'
import type { ProductRule } from './product-rules.ts'
import { RuleList, type PatternRule } from './rule-list.ts'

/** A rule of uap-core for a device. */
export type DeviceRule = PatternRule & {
  readonly brand?: string | undefined
  readonly model?: string | undefined
}

export type UserAgentRules = {
  readonly browsers: RuleList<ProductRule>
  readonly systems: RuleList<ProductRule>
  readonly devices: RuleList<DeviceRule>
}

type YamlRule = Readonly<Record<string, string | undefined>>
type YamlRules = Readonly<Record<string, readonly YamlRule[] | undefined>>

/** The rules of the package uap-core (Apache-2.0), ours before them. Takes about 0.1 s; done once per process.
 * @param options.withoutOurs only the released rules, to measure what ours add
 */
export function loadUserAgentRules(options: { readonly withoutOurs?: boolean } = {}): UserAgentRules {
  const path = createRequire(import.meta.url).resolve('uap-core/regexes.yaml')
  const rules = readRuleFile(readFileSync(path, 'utf8'))
  const ours = options.withoutOurs === true ? [] : [newerBrowsers, newerSystems]
  return {
    browsers: new RuleList([...(ours[0] ?? []), ...rules['user_agent_parsers']!.map(browserRule)]),
    systems: new RuleList([...(ours[1] ?? []), ...rules['os_parsers']!.map(systemRule)]),
    devices: new RuleList(rules['device_parsers']!.map(deviceRule)),
  }
}

/** Reads the little of YAML that the file of uap-core uses (lists of flat maps with quoted values): a general parser takes
 * 130 ms and 40 MB for it, in the process that redirects.
 * @throws {Error} a line of another form
 */
export function readRuleFile(text: string): YamlRules {
  const lists: Record<string, Record<string, string>[]> = {}
  let list: Record<string, string>[] = []
  for (const line of text.split('\n')) {
    if (/^\s*(?:#.*)?$/.test(line)) continue
    const heading = /^(\w+):\s*$/.exec(line)
    const pair = /^ +(- *)?(\w+): *'(.*)'\s*$/.exec(line)
    if (heading !== null) lists[heading[1]!] = list = []
    else if (pair === null) throw new Error(`A line of uap-core's rules cannot be read: ${line}`)
    else {
      if (pair[1] !== undefined) list.push({})
      list.at(-1)![pair[2]!] = pair[3]!.replaceAll("''", "'")
    }
  }
  return lists
}

const patternOf = (rule: YamlRule): RegExp => new RegExp(rule['regex']!, rule['regex_flag'] ?? '')

const browserRule = (rule: YamlRule): ProductRule => ({
  pattern: patternOf(rule),
  family: rule['family_replacement'],
  version: [rule['v1_replacement'], rule['v2_replacement'], rule['v3_replacement']],
})

const systemRule = (rule: YamlRule): ProductRule => ({
  pattern: patternOf(rule),
  family: rule['os_replacement'],
  version: [rule['os_v1_replacement'], rule['os_v2_replacement'], rule['os_v3_replacement']],
})

const deviceRule = (rule: YamlRule): DeviceRule => ({
  pattern: patternOf(rule),
  brand: rule['brand_replacement'],
  model: rule['model_replacement'],
})
