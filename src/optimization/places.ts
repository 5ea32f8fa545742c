import { optimizeLimits } from '#bandit'
import { learnedPlace, type Campaign, type Flow, type Offer, type Optimize, type OptimizedWeights, type Snapshot } from '#routing' // prettier-ignore

/** One draw whose weights are learned. */
export type OptimizedPlace = {
  readonly place: string
  readonly weights: OptimizedWeights
  readonly advertiserId: string
  readonly campaignId: string
  /** Undefined: the flows of the campaign themselves are drawn. */
  readonly flowId: string | undefined
  /** Whose landings they are; undefined: the flow's own, or no landings are drawn. */
  readonly offerId: string | undefined
  readonly currency: string
  readonly optimize: Optimize
  /** Those that can take clicks at present, with their weights by the configuration. */
  readonly arms: readonly Arm[]
  /** Why nothing can be learned; the weights of the configuration are used then. */
  readonly problem: PlaceProblem | undefined
}

type Arm = { readonly id: string; readonly weight: number }

/** `too_many_facts`: ClickHouse gave the question up. */
export type PlaceProblem = 'too_many_arms' | 'currencies_differ' | 'too_many_facts'

/** Every draw of active campaigns that is optimised and has two arms or more. */
export function placesOf(snapshot: Snapshot, nowMs: number): readonly OptimizedPlace[] {
  const offers = new Map(snapshot.offers.map((offer) => [offer.offer_id, offer]))
  return snapshot.campaigns.flatMap((campaign) => {
    const { optimize, status } = campaign
    if (optimize === undefined || optimize.mode === 'off' || status !== 'active') return []
    const flows = campaign.flows.filter((flow) => flow.status === 'active')
    const places = optimize.weights.flatMap((weights) => {
      switch (weights) {
        case 'flows':
          return [flowsPlace(campaign, flows)]
        case 'offers':
          return flows.map((flow) => offersPlace(flow, offers, nowMs))
        case 'landings':
          return flows.flatMap((flow) => landingsPlaces(flow, offers))
        default:
          return weights satisfies never
      }
    })
    return places.flatMap((place) => complete(place, campaign, optimize, offers))
  })
}

type Draft = Pick<OptimizedPlace, 'place' | 'weights' | 'arms'> & {
  readonly flowId?: string
  readonly offerId?: string
  /** Offers that its conversions are of. */
  readonly offerIds: readonly string[]
}

const offerIdsOf = ({ offers }: Flow): readonly string[] => offers.map(({ offer_id }) => offer_id)

function flowsPlace({ campaign_id }: Campaign, flows: readonly Flow[]): Draft {
  const drawn = flows.filter(({ kind, weight }) => kind === 'regular' && weight > 0)
  return {
    place: learnedPlace.flows(campaign_id),
    weights: 'flows',
    arms: drawn.map(({ flow_id, weight }) => ({ id: flow_id, weight })),
    offerIds: drawn.flatMap(offerIdsOf),
  }
}

function offersPlace(flow: Flow, offers: ReadonlyMap<string, Offer>, nowMs: number): Draft {
  const open = flow.offers.filter(({ offer_id, weight }) => weight > 0 && isOpen(offers.get(offer_id), nowMs))
  return {
    place: learnedPlace.offers(flow.flow_id),
    weights: 'offers',
    flowId: flow.flow_id,
    arms: open.map(({ offer_id, weight }) => ({ id: offer_id, weight })),
    offerIds: offerIdsOf(flow),
  }
}

/** Whether the offer takes anybody at that time. */
export const isOpen = (offer: Offer | undefined, nowMs: number): boolean =>
  offer?.status === 'active' && nowMs >= (offer.starts_at ?? -Infinity) && nowMs < (offer.ends_at ?? Infinity)

function landingsPlaces(flow: Flow, offers: ReadonlyMap<string, Offer>): readonly Draft[] {
  const flowId = flow.flow_id
  const owners = flow.landings === undefined ? flow.offers.map(({ offer_id }) => offer_id) : [undefined]
  return owners.map((offerId) => {
    const landings = flow.landings ?? offers.get(offerId!)?.landings ?? []
    return {
      place: learnedPlace.landings(flowId, offerId),
      weights: 'landings',
      flowId,
      ...(offerId !== undefined && { offerId }),
      arms: landings.flatMap(({ landing_id, weight }) => (weight > 0 ? [{ id: landing_id, weight }] : [])),
      offerIds: offerId === undefined ? offerIdsOf(flow) : [offerId],
    }
  })
}

function complete(
  { offerIds, flowId, offerId, ...draft }: Draft,
  { advertiser_id, campaign_id }: Campaign,
  optimize: Optimize,
  offers: ReadonlyMap<string, Offer>,
): readonly OptimizedPlace[] {
  if (draft.arms.length < 2) return []
  const currencies = [...new Set(offerIds.flatMap((id) => offers.get(id)?.currency ?? []))]
  const problem =
    draft.arms.length > optimizeLimits.armsMax
      ? 'too_many_arms'
      : optimize.goal === 'epc' && currencies.length > 1
        ? 'currencies_differ'
        : undefined
  const ids = { advertiserId: advertiser_id, campaignId: campaign_id, flowId, offerId }
  return [{ ...draft, ...ids, currency: currencies[0] ?? '', optimize, problem }]
}
