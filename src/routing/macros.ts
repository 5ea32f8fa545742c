/** The macros of landing URLs and postbacks: the canonical name first, then the names that other systems use for it.
 * Names are matched in any case. docs/http-edge.md lists the same table; a test compares the two.
 *
 * `revenue` is what the receiver of a postback earns, so it stands for our payout, as in the systems it comes from.
 */
const namesOfMacros = {
  click_id: ['clickid', 'subid', 'cid', 'transaction_id'],
  external_id: ['externalid', 'external_click_id', 'ref_id', 'aff_click_id'],
  visitor_code: [],
  advertiser_id: [],
  affiliate_id: ['aff_id', 'pid'],
  campaign_id: [],
  campaign_name: [],
  flow_id: [],
  offer_id: [],
  offer_name: [],
  landing_id: [],
  link_code: [],
  source_id: ['source'],
  ad_campaign_id: [],
  creative_id: [],
  cost: [],
  cost_currency: [],
  utm_source: [],
  utm_medium: [],
  utm_campaign: [],
  utm_term: [],
  utm_content: [],
  country: ['geo'],
  region: [],
  city: [],
  isp: [],
  asn: [],
  ip: [],
  user_agent: ['uagent', 'ua'],
  language: ['lang'],
  os: [],
  os_version: [],
  browser: [],
  browser_version: [],
  device_type: [],
  device_brand: [],
  device_model: [],
  referrer: ['referer'],
  domain: ['current_domain'],
  click_timestamp: [],
  click_date: [],
  timestamp: [],
  date: [],
  random: ['rand'],
  conversion_id: [],
  status: [],
  raw_status: ['original_status'],
  type: [],
  goal: ['event', 'event_name', 'goal_id'],
  txid: ['tid', 'txn_id', 'transactionid', 'order_id', 'action_id'],
  payout: ['sum', 'revenue', 'amount'],
  sale_amount: ['order_sum'],
  currency: ['payout_currency', 'offer_currency'],
} as const satisfies Record<string, readonly string[]>

export type MacroName = keyof typeof namesOfMacros | `sub${number}`

/** How one sub id is named by the systems that people come from. */
export const subAliases = (number: number): readonly string[] => [
  `sub_${number}`,
  `subid${number}`,
  `sub_id${number}`,
  `sub_id_${number}`,
  `aff_sub${number}`,
  `s${number}`,
  `p${number}`,
  `t${number}`,
  `var${number}`,
  `cv${number}`,
  ...(number === 1 ? ['aff_sub'] : []),
]

const SUB_COUNT = 30

function buildAliases(): ReadonlyMap<string, MacroName> {
  const names = new Map<string, MacroName>()
  for (const [name, aliases] of Object.entries(namesOfMacros) as [MacroName, readonly string[]][]) {
    for (const alias of [name, ...aliases]) names.set(alias, name)
  }
  for (let number = 1; number <= SUB_COUNT; number += 1) {
    for (const alias of [`sub${number}`, ...subAliases(number)]) names.set(alias, `sub${number}`)
  }
  return names
}

/** Every accepted name of a macro, lower case, to its canonical name. */
export const macroNames: ReadonlyMap<string, MacroName> = buildAliases()
