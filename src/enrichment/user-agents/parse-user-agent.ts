import { loadUserAgentRules, type DeviceRule, type UserAgentRules } from './load-rules.ts'
import { fillGroups, productOf, type Product, type ProductRule } from './product-rules.ts'
import type { RuleList } from './rule-list.ts'

/** What a user agent says, in the names of uap-core; what it does not say is left out. */
export type ParsedUserAgent = {
  readonly browser?: Product
  readonly system?: Product
  readonly brand?: string
  readonly model?: string
}

let rules: UserAgentRules | undefined
const loadedRules = (): UserAgentRules => (rules ??= loadUserAgentRules())

/** Reads browser, system and device from a user agent. About 20 µs, cached nowhere; never throws.
 * @param userAgent of bounded length: see PARSED_LENGTH_MAX
 * @param withRules other rules than the installed ones
 */
export function parseUserAgent(userAgent: string, withRules: UserAgentRules = loadedRules()): ParsedUserAgent {
  const browser = firstProduct(withRules.browsers, userAgent)
  const system = firstProduct(withRules.systems, userAgent)
  return { ...(browser && { browser }), ...(system && { system }), ...deviceOf(withRules.devices, userAgent) }
}

/** Brand and model of a bare model code, e.g. `SM-S918B` as client hints give it → Samsung, SM-S918B. */
export function parseModel(model: string): { readonly brand?: string; readonly model?: string } {
  return deviceOf(loadedRules().devices, `Mozilla/5.0 (Linux; Android 10; ${model.slice(0, 64)}) AppleWebKit/537.36`)
}

function firstProduct(list: RuleList<ProductRule>, text: string): Product | undefined {
  const found = list.first(text)
  if (found === undefined) return undefined
  const product = productOf(found.rule, found.matched)
  return product?.family === 'Other' ? undefined : product
}

/** Placeholders of reduced user agents and catch-all rules: no fact about the device. */
const NO_MODEL = /^(?:K|Smartphone|Feature Phone|Desktop|Tablet|Generic.*)$/
const NO_BRAND = /^(?:Generic.*|Spider)$/

function deviceOf(list: RuleList<DeviceRule>, text: string): { brand?: string; model?: string } {
  const found = list.first(text)
  if (found === undefined) return {}
  const brand = found.rule.brand && fillGroups(found.rule.brand, found.matched, 1)
  const model = fillGroups(found.rule.model, found.matched, 1)
  return {
    ...(brand && !NO_BRAND.test(brand) && { brand }),
    ...(model && !NO_MODEL.test(model) && { model }),
  }
}
