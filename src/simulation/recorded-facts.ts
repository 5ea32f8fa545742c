import { newcomerOf } from '#hot-state'
import type { ClickRecord } from '#records'
import { newRuleFacts } from '#routing'
import type { RuleFacts, UniqueScope } from '#rules'

/** Where a click was counted as the first of its visitor; undefined: it is not counted yet. */
export type CountedUniqueness = { readonly campaign: boolean; readonly offer: boolean } | undefined

/** What a rule would see of a click that was recorded, as far as records tell. */
export function recordedFacts(
  record: ClickRecord,
  counted: CountedUniqueness,
): { readonly facts: RuleFacts; readonly notes: readonly string[] } {
  const isUnique = (scope: UniqueScope): boolean =>
    scope === 'global' ? newcomerOf(record) !== undefined : counted?.[scope] === true
  const { click_id: clickId, at } = record
  return {
    facts: newRuleFacts({ clickId, at, asked: {}, visitor: record, parameters: record, isUnique }, record),
    notes: [
      'Parameters of the request that are no field of a click are not kept: “query.” sees nothing.',
      ...(counted === undefined
        ? ['The click is not counted yet: whether its visitor is new to the campaign or the offer is not known.']
        : []),
    ],
  }
}
