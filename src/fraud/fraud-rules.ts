/** A named sign of fraud. */
export type FraudRule = {
  /** Two letters that stand for it in the record. Never used again for another rule. */
  readonly code: string
  /** Points, 0 to 100, unless the settings say otherwise. */
  readonly score: number
  readonly sentence: string
}

/** What is looked for at a click. docs/fraud.md lists the same; a test compares the two. */
export const clickRules = {
  trap: { code: 'tr', score: 100, sentence: 'The link is a trap that no person can see.' },
  known_bot: { code: 'kb', score: 100, sentence: 'The user agent names itself a robot, a library or a tool.' },
  automation: { code: 'au', score: 90, sentence: 'The browser is run by a program (headless or remote-controlled).' },
  empty_user_agent: { code: 'eu', score: 80, sentence: 'There is no user agent; every browser sends one.' },
  no_language: { code: 'nl', score: 25, sentence: 'There is no Accept-Language; every browser sends one.' },
  datacentre: { code: 'dc', score: 40, sentence: 'The address belongs to a data centre.' },
  proxy: { code: 'px', score: 25, sentence: 'The address belongs to a proxy or VPN.' },
  hint_platform: { code: 'hp', score: 40, sentence: 'The client hints name another system than the user agent.' },
  hint_mobile: { code: 'hm', score: 30, sentence: 'The client hints and the user agent disagree on whether this is a phone.' },
  hint_brand: { code: 'hb', score: 30, sentence: 'The client hints name another browser or version than the user agent.' },
  hints_missing: { code: 'hx', score: 20, sentence: 'The user agent is one of Chrome, which sends client hints, and there are none.' },
  language_country: { code: 'lc', score: 10, sentence: 'The language is not spoken in the country of the address.' },
  zone_country: { code: 'zc', score: 25, sentence: 'The clock of the device is not that of the country of the address.' },
  referrer_denied: { code: 'rd', score: 60, sentence: 'The referrer is on the list of those denied.' },
  referrer_not_allowed: { code: 'rn', score: 40, sentence: 'The referrer is not on the list of those allowed.' },
  referrer_missing: { code: 'rm', score: 10, sentence: 'There is no referrer, and the offer has a list of those allowed.' },
  ip_rate: { code: 'ir', score: 50, sentence: 'More clicks came from this address than the limit of its window.' },
  subnet_rate: { code: 'sr', score: 25, sentence: 'More clicks came from this network (/24 or /48) than the limit of its window.' },
  visitor_rate: { code: 'vr', score: 50, sentence: 'More clicks came from this visitor than the limit of their window.' },
  affiliate_rate: { code: 'ar', score: 15, sentence: 'More clicks came from this affiliate than the limit of their window.' },
  duplicate: { code: 'du', score: 30, sentence: 'The same visitor clicked the same campaign moments before.' },
} as const satisfies Readonly<Record<string, FraudRule>> // prettier-ignore

/** What is looked for at a conversion. */
export const conversionRules = {
  before_click: { code: 'bc', score: 100, sentence: 'The conversion is older than its click.' },
  too_fast: { code: 'tf', score: 60, sentence: 'The conversion came sooner after the click than a person can.' },
  too_late: { code: 'tl', score: 30, sentence: 'The conversion came later after the click than this offer allows.' },
  ip_conversions: { code: 'ic', score: 50, sentence: 'More clicks from this address converted than the limit of its window.' },
  device_conversions: { code: 'dv', score: 50, sentence: 'More clicks from this device converted than the limit of its window.' },
  country_differs: { code: 'cd', score: 40, sentence: 'The conversion came from another country than the click.' },
} as const satisfies Readonly<Record<string, FraudRule>> // prettier-ignore

export type ClickRuleName = keyof typeof clickRules
export type ConversionRuleName = keyof typeof conversionRules
export type FraudRuleName = ClickRuleName | ConversionRuleName

export const fraudRules: Readonly<Record<FraudRuleName, FraudRule>> = { ...clickRules, ...conversionRules }
export const fraudRuleNames = Object.keys(fraudRules) as readonly FraudRuleName[]
