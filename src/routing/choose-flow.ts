import type { RefusalReason } from '#records'
import { finishFlow } from './choose-offer.ts'
import { MET } from '#rules'
import type { CompiledCampaign, CompiledFlow } from './compile-snapshot.ts'
import { candidateAt, drawNumber, totalWeight } from './draw.ts'
import { judgeWithoutOffer } from './judge-fraud.ts'
import { routingLimits } from './limits.ts'
import type { FlowKind } from './snapshot.ts'
import type { TraceStep } from './trace.ts'
import { evaluate, noteLearned, type Ending, type Target, type Walk } from './walk.ts'

/** Why the last flow that accepted the visitor could not take them. */
type PassedOver = { reason: RefusalReason }

/** Forced flows in order, then the visitor's own of an earlier visit, then the regular ones, then default flows in order. A flow
 * that accepts the visitor and cannot take them is passed over.
 */
export function chooseFlow(walk: Walk, campaign: CompiledCampaign): Target | RefusalReason {
  const passedOver: PassedOver = { reason: 'no_flow_matched' }
  return (
    firstOf(walk, campaign, 'forced', passedOver) ??
    boundFlow(walk, campaign, passedOver) ??
    (campaign.campaign.rotation === 'position'
      ? firstOf(walk, campaign, 'regular', passedOver)
      : drawRegular(walk, campaign, passedOver)) ??
    firstOf(walk, campaign, 'default', passedOver) ??
    passedOver.reason
  )
}

function firstOf(walk: Walk, campaign: CompiledCampaign, kind: FlowKind, passedOver: PassedOver): Target | undefined {
  for (const flow of campaign.flowsByKind[kind]) {
    if (!accepts(walk, flow)) continue
    const target = tryFlow(walk, flow, { kind: 'flow_taken', flow: flow.index }, passedOver)
    if (target !== undefined) return target
  }
  return undefined
}

function boundFlow(walk: Walk, campaign: CompiledCampaign, passedOver: PassedOver): Target | undefined {
  if (campaign.campaign.bind?.flow_hours === undefined) return undefined
  const flowId = walk.facts.boundIn?.(campaign.campaign.campaign_id)?.flowId
  const flow =
    flowId === undefined ? undefined : campaign.flowsByKind.regular.find((one) => one.flow.flow_id === flowId)
  if (flow === undefined || !accepts(walk, flow)) return undefined
  return tryFlow(walk, flow, { kind: 'flow_bound', flow: flow.index }, passedOver)
}

/** Draws among the accepting regular flows; one that then has nothing for the visitor leaves the draw to the others. */
function drawRegular(walk: Walk, campaign: CompiledCampaign, passedOver: PassedOver): Target | undefined {
  let candidates: CompiledFlow[] = []
  for (const flow of campaign.flowsByKind.regular) if (accepts(walk, flow)) candidates.push(flow)
  while (candidates.length > 0) {
    const { flow, step } = drawFlow(walk, campaign, candidates)
    const target = tryFlow(walk, flow, step, passedOver)
    if (target !== undefined) return target
    candidates = candidates.filter((candidate) => candidate !== flow)
  }
  return undefined
}

function drawFlow(
  walk: Walk,
  campaign: CompiledCampaign,
  candidates: readonly CompiledFlow[],
): { flow: CompiledFlow; step: TraceStep } {
  const total = candidates.length === 1 ? 0 : totalWeight(candidates)
  if (total === 0) {
    const flow = candidates[0]!
    return { flow, step: { kind: 'flow_taken', flow: flow.index } }
  }
  if (campaign.areFlowsLearned) noteLearned(walk)
  const drawn = drawNumber(walk.clickHash, campaign.flowSeed, total)
  const flow = candidateAt(candidates, drawn)
  return { flow, step: { kind: 'flow_drawn', flow: flow.index, drawn, total } }
}

function accepts(walk: Walk, flow: CompiledFlow): boolean {
  if (!flow.isActive) {
    walk.steps.push({ kind: 'flow_paused', flow: flow.index })
    return false
  }
  const answer = evaluate(flow.accepts, walk)
  if (answer === MET) return true
  walk.steps.push({ kind: 'flow_refused', flow: flow.index, part: answer })
  return false
}

function tryFlow(walk: Walk, flow: CompiledFlow, step: TraceStep, passedOver: PassedOver): Target | undefined {
  walk.steps.push(step)
  walk.flow = flow
  const found = takeFlow(walk, flow)
  if (typeof found !== 'string') return found
  walk.steps.push({ kind: 'flow_unable', flow: flow.index, reason: found })
  walk.flow = undefined
  walk.offer = undefined
  passedOver.reason = found
  return undefined
}

/** What a flow does with a visitor whom it takes. */
export function takeFlow(walk: Walk, { action }: CompiledFlow): Target | RefusalReason {
  switch (action?.kind) {
    case undefined:
      return finishFlow(walk)
    case 'campaign':
      return enterNextCampaign(walk, action.campaignId)
    case 'url':
      return judgeWithoutOffer(walk) ?? { kind: 'url', url: action.url }
    case 'html':
      return judgeWithoutOffer(walk) ?? { kind: 'html', html: action.html }
    case 'not_found':
      // An answer like the others: a flow that is passed over would leave its visitors to the next one.
      return { kind: 'refused', reason: 'flow_not_found' }
    default:
      return action satisfies never
  }
}

/** Goes on in another campaign, which the click then belongs to; back where that has nothing for the visitor. */
function enterNextCampaign(walk: Walk, campaignId: string): Target | RefusalReason {
  const { campaign, flow, config, left } = walk
  const next = config.campaigns.get(campaignId)
  if (next === undefined) return 'campaign_unknown'
  if (left.length + 2 > routingLimits.campaignsMax || next === campaign || left.some((one) => one.campaign === next))
    return 'campaign_loop'
  left.push({ campaign: campaign!, flow })
  walk.campaign = next
  walk.flow = undefined
  walk.steps.push({ kind: 'campaign_next', campaign: next.index })
  const found = checkCampaign(walk) ?? chooseFlow(walk, next)
  if (typeof found !== 'string') return found
  left.pop()
  walk.campaign = campaign
  walk.flow = flow
  walk.steps.push({ kind: 'campaign_back', campaign: campaign!.index })
  return found
}

export function checkCampaign({ campaign, affiliate }: Walk): Ending {
  if (campaign === undefined) return undefined
  if (campaign.advertiser?.advertiser.status !== 'active') return 'advertiser_paused'
  if (campaign.campaign.status !== 'active') return 'campaign_paused'
  const isMember = affiliate === undefined || affiliate.advertiserIds.has(campaign.campaign.advertiser_id)
  return isMember ? undefined : 'affiliate_blocked'
}
