import { isDeepStrictEqual } from 'node:util'

import { checkFraudSettings, type OfferFraud } from '#fraud'
import type { Campaign, Offer } from '#routing'
import { validateRule, type Rule } from '#rules'
import { report } from './check-shape.ts'
import { problem } from './issues.ts'
import type { ConfigurationState } from './objects.ts'
import type { ReadFile } from './read-file.ts'
import type { Tree } from './yaml-tree.ts'

/** Rules of objects that the file does not name must hold with its lists too: one that it takes away, or a first list, after which
 * `@` begins a name, may be what a rule elsewhere is about.
 */
export function checkRulesLeftBehind(file: ReadFile, wanted: ConfigurationState, current: ConfigurationState): void {
  if (isDeepStrictEqual(wanted.lists, current.lists)) return
  const { reading, named } = file
  const tree = reading.file.root?.kind === 'map' ? reading.file.root : undefined
  const others = [
    ...[...wanted.offers.values()].filter(({ offer_id }) => !named.offers.has(offer_id)).flatMap(rulesOfOffer),
    ...[...wanted.campaigns.values()]
      .filter(({ campaign_id }) => !named.campaigns.has(campaign_id))
      .flatMap(rulesOfFlows),
  ]
  if (file.fraud.kind === 'unnamed') reportFraud('fraud', wanted.fraud, file, tree)
  for (const { offer_id, fraud } of wanted.offers.values())
    if (!named.offers.has(offer_id)) reportFraud(`offers.${offer_id}.fraud`, fraud, file, tree)
  for (const [place, rule] of others) {
    const verdict = validateRule(rule, place, { context: 'click', lists: reading.lists })
    if (verdict.kind === 'valid') continue
    for (const { path, message } of verdict.errors)
      report(reading, tree, problem('rule_invalid', `${path}: ${message}`), 'lists')
  }
}

/** Their rules, and the lists that they name as referrers. */
function reportFraud(
  place: string,
  settings: OfferFraud | undefined,
  { reading }: ReadFile,
  tree: Tree | undefined,
): void {
  if (settings === undefined) return
  for (const { path, message } of checkFraudSettings(settings, reading.lists))
    report(reading, tree, problem('fraud_invalid', `${[place, ...path].join('.')}: ${message}`), 'lists')
}

type PlacedRule = readonly [place: string, rule: Rule]

const placed = (place: string, rule: Rule | undefined): readonly PlacedRule[] =>
  rule === undefined ? [] : [[place, rule]]

const rulesOfOffer = ({ offer_id, rule, block, caps = [] }: Offer): readonly PlacedRule[] => [
  ...placed(`offers.${offer_id}.rule`, rule),
  ...placed(`offers.${offer_id}.block`, block),
  ...caps.flatMap((cap) => placed(`offers.${offer_id}.caps[${cap.cap_id}].rule`, cap.rule)),
]

const rulesOfFlows = ({ campaign_id, flows }: Campaign): readonly PlacedRule[] =>
  flows.flatMap(({ flow_id, rule }) => placed(`campaigns.${campaign_id}.flows[${flow_id}].rule`, rule))
