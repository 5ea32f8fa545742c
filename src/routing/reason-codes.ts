import type { RefusalReason } from '#records'

/** What traces write for a reason, so that a smart link with many offers that are out stays short. Records keep them for ever: a
 * code never changes its meaning and none is used twice. Those that end a click's way have one character.
 */
export const reasonCodes = {
  target_missing: 't',
  link_unknown: 'l',
  campaign_unknown: 'c',
  campaign_paused: 'C',
  advertiser_paused: 'A',
  flow_paused: 'f',
  flow_unknown: 'F',
  no_flow_matched: 'n',
  offer_unknown: 'o',
  offer_paused: 'p',
  offer_not_started: 's',
  offer_expired: 'e',
  offer_rule_refused: 'r',
  offer_blocked: 'b',
  affiliate_not_approved: 'a',
  over_cap: 'x',
  caps_unavailable: 'X',
  fraud_refused: 'y',
  fraud_diverted: 'd',
  campaign_loop: 'L',
  flow_not_found: 'N',
  affiliate_unknown: 'u',
  affiliate_blocked: 'B',
  no_landing: 'g',
  type_missing: 'tm',
  type_unknown: 'tu',
  click_id_missing: 'im',
  click_id_invalid: 'ii',
  click_unknown: 'ku',
  click_refused: 'kr',
  click_expired: 'ke',
  field_invalid: 'fi',
  sub2_invalid: 'si',
  amount_invalid: 'ai',
  amount_missing: 'am',
  currency_invalid: 'ci',
  currency_differs: 'cd',
  duplicate: 'du',
  literal_macro: 'lm',
  status_missing: 'sm',
  status_unmapped: 'su',
  status_ignored: 'sg',
  fraud_held: 'fh',
  transition_illegal: 'ti',
  secret_missing: 'em',
  secret_wrong: 'ew',
  signature_wrong: 'gw',
  signature_expired: 'ge',
  signature_replayed: 'gr',
  address_not_allowed: 'an',
} as const satisfies Record<RefusalReason, string>

const reasonOfCode: ReadonlyMap<string, RefusalReason> = new Map(
  (Object.entries(reasonCodes) as [RefusalReason, string][]).flatMap(([reason, code]) => [
    [code, reason],
    // Older traces have the word itself.
    [reason, reason],
  ]),
)

/** The reason of a code or of the word that stood in its place; undefined: a newer version wrote it. */
export const reasonOf = (text: string | undefined): RefusalReason | undefined =>
  text === undefined ? undefined : reasonOfCode.get(text)
