import { listParts, type Condition, type Rule } from '#rules'

/** Where a rule stands; a place decides what is known when it is asked.
 * - `flow`: before the flow, its offer and its landing are chosen
 * - `offer`: of an offer that may be chosen (`rule`, `block`), before its landing is
 * - `cap`: with everything chosen, and once more with the conversion, when only the record of the click is left
 * - `own_rule`: of fraud at the click, with the offer chosen, where there is one
 */
export type RulePlace = 'flow' | 'offer' | 'cap' | 'own_rule'

/** The first thing that a rule asks for and that is not known where it stands, as a sentence with what to do; such a condition would
 * hold for nobody, or for everybody.
 * @returns undefined: everything is known
 */
export function findUnknown(rule: Rule, place: RulePlace): string | undefined {
  for (const part of listParts(rule)) {
    const found = 'field' in part ? unknownAt[place](part) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

const NAMED_LANDING = 'query.landing_id is the one that the request names.'
const landingIsDrawn = ({ field }: Condition): string | undefined =>
  field === 'landing_id' ? `landing_id is not known here: landings are drawn last. ${NAMED_LANDING}` : undefined

const unknownAt: Readonly<Record<RulePlace, (condition: Condition) => string | undefined>> = {
  flow: (condition) => {
    const { field, value } = condition
    if (field === 'offer_id' || field === 'flow_id')
      return `${field} is not known here: flows are asked before one is taken and an offer drawn. Write the rule of the offer, or name what the request sends, as sub1.`
    if (field === 'unique' && [value].flat().includes('offer'))
      return 'Whether a visitor is new to an offer is not known here: offers are drawn after the flow. Ask "unique is campaign", or write it in the rule of the offer.'
    return landingIsDrawn(condition)
  },
  offer: landingIsDrawn,
  own_rule: landingIsDrawn,
  cap: ({ field }) => {
    if (field === 'unique') return 'Whether a visitor is new is known only when they click: a cap cannot ask for it.'
    return field.startsWith('query.')
      ? `Parameters such as ${field} are known only when they click: a cap can ask for those that are kept, as sub1.`
      : undefined
  },
}
