import type { Campaign, Flow, FlowAction, Link } from '#routing'
import { report, type Reading } from './check-shape.ts'
import type { FileCampaign, FileFlow, FileLink } from './file-schema.ts'
import { problem } from './issues.ts'
import { withoutEmpty } from './objects.ts'
import { readLandings, reportAllZero, reportRepeats } from './read-offers.ts'
import { readOptimize } from './read-optimize.ts'
import { readRedirect, reportUnusedRedirect } from './read-redirect.ts'
import { readClickRule } from './read-rule.ts'
import type { Tree } from './yaml-tree.ts'

const WEIGHT_DEFAULT = 100

/** A campaign as the snapshot has it. Issues go to `reading`; the result then is not used. */
export function readCampaign(campaignId: string, file: FileCampaign, reading: Reading): Campaign {
  return withoutEmpty<Campaign>({
    campaign_id: campaignId,
    advertiser_id: file.advertiser_id,
    name: file.name ?? campaignId,
    status: file.status ?? 'active',
    affiliate_id: file.affiliate_id,
    flows: readFlows(campaignId, file, reading),
    rotation: file.rotation,
    bind: file.bind && withoutEmpty<NonNullable<Campaign['bind']>>({ ...file.bind }),
    optimize: file.optimize && readOptimize(file.optimize, file, reading),
    unique_ttl_hours: file.unique_ttl_hours ?? 24,
    fallback_url: file.fallback_url,
  })
}

function readFlows(campaignId: string, file: FileCampaign, reading: Reading): readonly Flow[] {
  const tree = reading.treeOf.get(file)
  if (file.offer_id !== undefined && file.flows !== undefined)
    report(
      reading,
      tree,
      problem('combination_invalid', 'offer_id is short for one flow; there are flows too.', 'Keep one of the two.'),
      'offer_id',
    )
  if (file.offer_id !== undefined) return [onlyFlow(campaignId, file.offer_id)]
  if (file.flows === undefined) {
    report(reading, tree, problem('key_missing', 'The campaign has neither offer_id nor flows.'))
    return []
  }
  checkFlowWeights(file.flows, reading)
  return file.flows.map((flow) => readFlow(flow, reading))
}

const onlyFlow = (campaignId: string, offerId: string): Flow => ({
  flow_id: campaignId,
  kind: 'default',
  status: 'active',
  weight: 0,
  offers: [{ offer_id: offerId, weight: WEIGHT_DEFAULT }],
})

/** A flow without a weight beside one with a weight would never be drawn, which nobody who left it out expects. */
function checkFlowWeights(flows: readonly FileFlow[], reading: Reading): void {
  const regular = flows.filter((flow) => (flow.kind ?? 'regular') === 'regular')
  if (!regular.some((flow) => flow.weight !== undefined)) return
  for (const flow of regular)
    if (flow.weight === undefined)
      report(
        reading,
        reading.treeOf.get(flow),
        problem(
          'weight_missing',
          `The flow "${flow.flow_id}" has no weight and others have one.`,
          'Give it a weight; 0 takes no visitors.',
        ),
      )
}

function readFlow(file: FileFlow, reading: Reading): Flow {
  return withoutEmpty<Flow>({
    flow_id: file.flow_id,
    kind: file.kind ?? 'regular',
    status: file.status ?? 'active',
    weight: file.weight ?? 0,
    rule: file.rule && readClickRule(file.rule.rule as Tree, reading, 'flow'),
    ...readFlowEnd(file, reading),
    ...readRedirect(file, reading),
  })
}

const endKeys = ['to_campaign', 'to_url', 'show_html', 'show_not_found'] as const

/** Offers and landings, or what happens instead. */
function readFlowEnd(file: FileFlow, reading: Reading): Pick<Flow, 'offers' | 'landings' | 'action'> {
  const ends = endKeys.filter((key) => file[key] !== undefined && file[key] !== false)
  const [end] = ends
  if (end === undefined)
    return withoutEmpty<Pick<Flow, 'offers' | 'landings'>>({
      offers: readFlowOffers(file, reading),
      landings: file.landings && readLandings(file.landings, reading),
    })
  const others = ['offer_id', 'offers', 'landings', ...ends.slice(1)] as const
  for (const key of others)
    if (file[key as keyof FileFlow] !== undefined)
      report(
        reading,
        reading.treeOf.get(file),
        problem('combination_invalid', `The flow has ${end} and ${key}.`, 'Keep one of the two.'),
        key,
      )
  reportUnusedRedirect(file, end, reading)
  return { offers: [], action: actionOf(file, end) }
}

function actionOf(file: FileFlow, end: (typeof endKeys)[number]): FlowAction {
  switch (end) {
    case 'to_campaign':
      return { kind: 'campaign', campaign_id: file.to_campaign! }
    case 'to_url':
      return { kind: 'url', url: file.to_url! }
    case 'show_html':
      return { kind: 'html', html: file.show_html! }
    case 'show_not_found':
      return { kind: 'not_found' }
    default:
      return end satisfies never
  }
}

function readFlowOffers(file: FileFlow, reading: Reading): Flow['offers'] {
  const tree = reading.treeOf.get(file)
  if (file.offer_id !== undefined && file.offers !== undefined)
    report(
      reading,
      tree,
      problem('combination_invalid', 'offer_id is short for one offer; there are offers too.', 'Keep one of the two.'),
      'offer_id',
    )
  if (file.offer_id !== undefined) return [{ offer_id: file.offer_id, weight: WEIGHT_DEFAULT }]
  if (file.offers === undefined) {
    report(
      reading,
      tree,
      problem('key_missing', 'The flow has neither offer_id nor offers, nor anything that happens instead.'),
    )
    return []
  }
  reportRepeats(file.offers, (offer) => offer.offer_id, 'offer_id', reading)
  const offers = file.offers.map(({ offer_id, weight }) => ({ offer_id, weight: weight ?? WEIGHT_DEFAULT }))
  reportAllZero(file.offers, offers, reading)
  return offers
}

/** A link as the snapshot has it. */
export function readLink(code: string, file: FileLink, reading: Reading): Link {
  if (file.campaign_id === undefined && file.flow_id === undefined && file.offer_id === undefined)
    report(
      reading,
      reading.treeOf.get(file),
      problem('key_missing', 'The link has no target: campaign_id, flow_id or offer_id.'),
    )
  const { campaign_id, flow_id, offer_id, affiliate_id } = file
  const trap = file.trap === true ? true : undefined
  return withoutEmpty<Link>({ code, campaign_id, flow_id, offer_id, affiliate_id, trap })
}
