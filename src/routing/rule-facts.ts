import { RuleFacts, type RuleAssignment, type UniqueScope } from '#rules'
import type { RequestFacts } from './request-facts.ts'
import type { Walk } from './walk.ts'

/** Where a request has got to, as its rules see it: read from the walk at the moment of asking, since rules are tried on the
 * way down.
 */
class AssignmentSoFar implements RuleAssignment {
  readonly #walk: Walk

  constructor(walk: Walk) {
    this.#walk = walk
  }

  get affiliate_id(): string | undefined {
    return this.#walk.affiliate?.affiliate.affiliate_id
  }

  get advertiser_id(): string | undefined {
    return this.#walk.offer?.offer.advertiser_id ?? this.#walk.campaign?.campaign.advertiser_id
  }

  get campaign_id(): string | undefined {
    return this.#walk.campaign?.campaign.campaign_id
  }

  get flow_id(): string | undefined {
    return this.#walk.flow?.flow.flow_id
  }

  get offer_id(): string | undefined {
    return this.#walk.offer?.offer.offer_id
  }

  /** A landing is drawn when no rule is asked any more: this is the one that the request named. */
  get landing_id(): string | undefined {
    return this.#walk.facts.asked.landingId
  }

  get link_code(): string | undefined {
    return this.#walk.facts.asked.linkCode
  }
}

/** The facts that the rules of a walk read. Nothing is copied. */
export const ruleFactsOf = (walk: Walk): RuleFacts => newRuleFacts(walk.facts, new AssignmentSoFar(walk))

/** The facts that rules read of a request. Nothing is copied.
 * @param assigned where it belongs; its getters are asked only when a rule asks
 */
export function newRuleFacts(facts: RequestFacts, assigned: Readonly<RuleAssignment>): RuleFacts {
  const { at, visitor, parameters, query, isUnique } = facts
  return new RuleFacts({
    at,
    visitor,
    parameters,
    assigned,
    query,
    isUnique: isUnique && ((scope) => isUnique(scope, scopeIdOf(scope, assigned))),
  })
}

const scopeIdOf = (scope: UniqueScope, { campaign_id, offer_id }: Readonly<RuleAssignment>): string | undefined =>
  scope === 'global' ? undefined : scope === 'campaign' ? campaign_id : offer_id
