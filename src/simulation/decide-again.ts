import type { RoutingCaps } from '#caps'
import type { ClickRecord } from '#records'
import {
  applyLearnedWeights,
  chooseTarget,
  compileSnapshot,
  type CompiledSnapshot,
  type Decision,
  type LearnedOverlay,
  type Snapshot,
} from '#routing'
import type { AskedCaps, CapReplay } from './cap-replay.ts'
import { recallRequest } from './recall-request.ts'

/** Where a click went or would go. */
export type Destination = Pick<
  ClickRecord,
  'campaign_id' | 'flow_id' | 'offer_id' | 'landing_id' | 'outcome' | 'refusal'
>

/** Two configurations for the clicks that one of them decided. */
export type Pair = {
  readonly snapshot: Snapshot
  readonly deciding: CompiledSnapshot
  /** The other one, which draws as the deciding one did: see compilePair. */
  readonly candidate: CompiledSnapshot
}

/** A version of the configuration and the one to be tried in its place. Draws are seeded by the version: with the number of its
 * own the candidate would send visitors of equal flows to and fro, and what it changes would not be seen for it.
 */
export const compilePair = (deciding: Snapshot, candidate: Snapshot): Pair => ({
  snapshot: deciding,
  deciding: compileSnapshot(deciding),
  candidate: compileSnapshot({ ...candidate, version: deciding.version }),
})

/** Both drawn by the weights that a click names: what was learned meanwhile is not what the candidate changes.
 * @param pair of which no weights were learned
 */
export const withWeights = ({ snapshot, deciding, candidate }: Pair, learned: LearnedOverlay): Pair => ({
  snapshot,
  deciding: applyLearnedWeights(deciding, learned),
  candidate: applyLearnedWeights(candidate, learned),
})

export type DecidedAgain =
  | { readonly kind: 'decided'; readonly before: Destination; readonly after: Destination }
  /** Its record does not lead to the decision that was taken: something of the request is not kept. */
  | { readonly kind: 'not_reproduced'; readonly before: Destination }

/** What would have become of a recorded click.
 * @param caps counts it, and answers for the caps of the candidate; left out: the candidate has none, or they answer as they did then
 */
export function decideAgain(click: ClickRecord, pair: Pair, caps?: CapReplay): DecidedAgain {
  const { snapshot, deciding, candidate } = pair
  const facts = recallRequest(click, snapshot)
  const asked: AskedCaps[] = []
  const before = destinationOf(click)
  const again = chooseTarget(caps === undefined ? facts : { ...facts, caps: noteAsked(facts.caps!, asked) }, deciding)
  if (!isSame(before, goal(again))) {
    caps?.takeRecorded(click, deciding, candidate, false)
    return { kind: 'not_reproduced', before }
  }
  if (caps === undefined) return { kind: 'decided', before, after: goal(chooseTarget(facts, candidate)) }
  caps.confirm(click, asked)
  const after = goal(chooseTarget({ ...facts, caps: caps.candidate }, candidate))
  caps.follow(click, after, deciding, candidate)
  return { kind: 'decided', before, after }
}

const noteAsked = (caps: RoutingCaps, asked: AskedCaps[]): RoutingCaps => ({
  reserve: (clickId, at, keys) => {
    const verdict = caps.reserve(clickId, at, keys)
    if (keys.length > 0) asked.push({ keys, verdict })
    return verdict
  },
})

const goal = ({ outcome, refusal, assignment }: Decision): Destination =>
  destinationOf({ ...assignment, outcome, ...(refusal !== undefined && { refusal }) })

const destinationOf = (one: Destination): Destination => ({
  outcome: one.outcome,
  ...(one.refusal !== undefined && { refusal: one.refusal }),
  ...(one.campaign_id !== undefined && { campaign_id: one.campaign_id }),
  ...(one.flow_id !== undefined && { flow_id: one.flow_id }),
  ...(one.offer_id !== undefined && { offer_id: one.offer_id }),
  ...(one.landing_id !== undefined && { landing_id: one.landing_id }),
})

export const isSame = (left: Destination, right: Destination): boolean =>
  left.outcome === right.outcome &&
  left.refusal === right.refusal &&
  left.campaign_id === right.campaign_id &&
  left.flow_id === right.flow_id &&
  left.offer_id === right.offer_id &&
  left.landing_id === right.landing_id
