import type { FraudSettings } from '#fraud'
import { hostRefusedBy } from '#postbacks'
import type { Affiliate, Campaign, Link, Offer, PostbackEndpoint } from '#routing'
import { report, type Reading } from './check-shape.ts'
import { sectionNames, type SectionName } from './file-schema.ts'
import { problem } from './issues.ts'
import { singular, type ConfigurationState } from './objects.ts'
import { didYouMean } from './suggest.ts'
import type { ReadFile } from './read-file.ts'
import type { Tree } from './yaml-tree.ts'

/** Checks how the objects of the wanted configuration stand to each other. Tenants depend on it: nothing of one
 * advertiser may lead to something of another. Unknown ids are reported elsewhere and passed over here.
 */
export function checkRelations(file: ReadFile, wanted: ConfigurationState, current: ConfigurationState): void {
  checkOwnersStay(file, wanted, current)
  const campaignOfFlow = checkFlowIds(file, wanted)
  for (const id of file.campaigns.keys()) checkCampaign(id, file, wanted)
  for (const id of file.offers.keys()) checkOffer(id, file, wanted)
  for (const code of file.links.keys()) checkLink(code, file, wanted, campaignOfFlow)
  for (const id of file.endpoints.keys()) checkEndpoint(id, file, wanted)
  checkAllowed(file, wanted)
  checkLeftBehind(file, wanted, campaignOfFlow)
}

const treeOf = (file: ReadFile, section: SectionName, id: string): Tree | undefined => {
  const object = file[section].get(id)
  return object && file.reading.treeOf.get(object)
}

/** Clicks, conversions and bookings of an object carry its advertiser for ever. */
function checkOwnersStay(file: ReadFile, wanted: ConfigurationState, current: ConfigurationState): void {
  for (const section of ['offers', 'campaigns'] as const)
    for (const id of file[section].keys()) {
      const before = current[section].get(id)?.advertiser_id
      const after = wanted[section].get(id)?.advertiser_id
      if (before !== undefined && after !== undefined && before !== after)
        report(
          file.reading,
          treeOf(file, section, id),
          problem(
            'reference_foreign',
            `The ${singular[section]} belongs to "${before}" and stays there.`,
            'Make another one with a new id.',
          ),
          'advertiser_id',
        )
    }
}

/** @returns campaign id by flow id, over the whole installation */
function checkFlowIds(file: ReadFile, wanted: ConfigurationState): ReadonlyMap<string, string> {
  const campaignOf = new Map<string, string>()
  // Campaigns that the file does not name come first, so that a clash is reported where the file can be mended.
  const inOrder = [...wanted.campaigns.values()].sort(
    (left, right) => Number(file.campaigns.has(left.campaign_id)) - Number(file.campaigns.has(right.campaign_id)),
  )
  for (const campaign of inOrder)
    campaign.flows.forEach(({ flow_id }, index) => {
      const other = campaignOf.get(flow_id)
      if (other !== undefined)
        report(
          file.reading,
          flowTree(file, campaign, index),
          problem(
            'id_duplicate',
            `The campaign "${other}" has a flow "${flow_id}" already.`,
            'A link may name a flow alone: its id must be unique in the installation.',
          ),
          'flow_id',
        )
      else campaignOf.set(flow_id, campaign.campaign_id)
    })
  return campaignOf
}

function flowTree(file: ReadFile, campaign: Campaign, index: number): Tree | undefined {
  const flow = file.campaigns.get(campaign.campaign_id)?.flows?.[index]
  return flow === undefined ? treeOf(file, 'campaigns', campaign.campaign_id) : file.reading.treeOf.get(flow)
}

function checkCampaign(id: string, file: ReadFile, wanted: ConfigurationState): void {
  const campaign = wanted.campaigns.get(id)
  if (campaign === undefined) return
  checkMember(file.reading, treeOf(file, 'campaigns', id), campaign.affiliate_id, campaign.advertiser_id, wanted)
  checkCurrencies(campaign, file, wanted)
  campaign.flows.forEach((flow, index) => {
    const foreign = flow.offers.find(({ offer_id }) =>
      isForeign(wanted.offers.get(offer_id)?.advertiser_id, campaign.advertiser_id),
    )
    if (foreign !== undefined)
      report(
        file.reading,
        flowTree(file, campaign, index),
        problem(
          'reference_foreign',
          `The offer "${foreign.offer_id}" does not belong to the advertiser of the campaign.`,
        ),
      )
    const next = flow.action?.kind === 'campaign' ? wanted.campaigns.get(flow.action.campaign_id) : undefined
    if (isForeign(next?.advertiser_id, campaign.advertiser_id))
      report(
        file.reading,
        flowTree(file, campaign, index),
        problem('reference_foreign', `The campaign "${next?.campaign_id}" belongs to another advertiser.`),
        'to_campaign',
      )
    if (next === campaign) reportLoop(flowTree(file, campaign, index), file.reading)
  })
}

/** No click goes through a campaign twice, so that such a flow has nothing for anybody. */
function reportLoop(flow: Tree | undefined, reading: Reading): void {
  const message = 'The flow leads to the campaign that it stands in: it would only ever end as "campaign_loop".'
  report(reading, flow, problem('combination_invalid', message, 'Name another campaign, or offers.'), 'to_campaign')
}

/** Money of several currencies cannot be compared. */
function checkCurrencies({ campaign_id, optimize, flows }: Campaign, file: ReadFile, wanted: ConfigurationState): void {
  if (optimize?.goal !== 'epc' || optimize.mode === 'off') return
  const offers = flows.flatMap((flow) => flow.offers.map(({ offer_id }) => wanted.offers.get(offer_id)?.currency ?? []))
  const currencies = [...new Set(offers.flat())]
  if (currencies.length < 2) return
  const message = `What is earned is compared, and the offers of the campaign have several currencies: ${currencies.join(', ')}.`
  const found = problem('combination_invalid', message, 'Compare conversions instead: goal: cr.')
  report(file.reading, file.reading.treeOf.get(file.campaigns.get(campaign_id)!.optimize!), found, 'goal')
}

function checkOffer(id: string, file: ReadFile, wanted: ConfigurationState): void {
  const offer = wanted.offers.get(id)
  const written = file.offers.get(id)
  if (offer === undefined || written === undefined) return
  const treeOfPart = (part: object | undefined): Tree | undefined =>
    part === undefined ? treeOf(file, 'offers', id) : file.reading.treeOf.get(part)
  for (const affiliateId of Object.keys(offer.affiliates ?? {})) {
    const tree = treeOfPart(written.affiliates)
    if (wanted.affiliates.has(affiliateId))
      checkMember(file.reading, tree, affiliateId, offer.advertiser_id, wanted, affiliateId)
    else
      report(
        file.reading,
        tree,
        problem(
          'reference_unknown',
          `"${affiliateId}" is not in "affiliates".`,
          didYouMean(affiliateId, [...wanted.affiliates.keys()]),
        ),
        affiliateId,
      )
  }
  offer.cap_fallbacks?.forEach((otherId) => {
    const other = wanted.offers.get(otherId)
    if (otherId === id || isForeign(other?.advertiser_id, offer.advertiser_id))
      report(
        file.reading,
        treeOfPart(written.cap_fallbacks),
        problem(
          'reference_foreign',
          otherId === id
            ? 'The offer cannot take its own place.'
            : `The offer "${otherId}" belongs to another advertiser.`,
        ),
      )
  })
  const divertedTo = offer.fraud?.divert_to
  const divertedOffer = divertedTo && 'offer_id' in divertedTo ? wanted.offers.get(divertedTo.offer_id) : undefined
  if (divertedOffer?.offer_id === id || isForeign(divertedOffer?.advertiser_id, offer.advertiser_id))
    report(
      file.reading,
      treeOfPart(written.fraud?.divert_to),
      problem(
        'reference_foreign',
        divertedOffer?.offer_id === id
          ? 'The offer cannot take its own diverted clicks.'
          : `The offer "${divertedOffer?.offer_id}" belongs to another advertiser.`,
      ),
      'offer_id',
    )
  for (const [country, fallback] of Object.entries(offer.country_fallbacks ?? {})) {
    const other = 'offer_id' in fallback ? wanted.offers.get(fallback.offer_id) : undefined
    if (isForeign(other?.advertiser_id, offer.advertiser_id))
      report(
        file.reading,
        treeOfPart(written.country_fallbacks?.[country]),
        problem('reference_foreign', `The offer "${other?.offer_id}" belongs to another advertiser.`),
        'offer_id',
      )
  }
}

const isForeign = (owner: string | undefined, expected: string | undefined): boolean =>
  owner !== undefined && expected !== undefined && owner !== expected

function checkMember(
  reading: Reading,
  tree: Tree | undefined,
  affiliateId: string | undefined,
  advertiserId: string | undefined,
  wanted: ConfigurationState,
  key = 'affiliate_id',
): void {
  const affiliate = wanted.affiliates.get(affiliateId ?? '')
  if (affiliate === undefined || advertiserId === undefined || affiliate.advertiser_ids.includes(advertiserId)) return
  report(
    reading,
    tree,
    problem(
      'reference_foreign',
      `The affiliate "${affiliateId}" is no member of the advertiser "${advertiserId}".`,
      `Add "${advertiserId}" to its advertiser_ids.`,
    ),
    key,
  )
}

function checkLink(
  code: string,
  file: ReadFile,
  wanted: ConfigurationState,
  campaignOfFlow: ReadonlyMap<string, string>,
): void {
  const link = wanted.links.get(code)
  const tree = treeOf(file, 'links', code)
  if (link === undefined || tree === undefined) return
  checkLinkFlow(link, tree, file.reading, campaignOfFlow)
  const campaign = wanted.campaigns.get(link.campaign_id ?? campaignOfFlow.get(link.flow_id ?? '') ?? '')
  const offer = wanted.offers.get(link.offer_id ?? '')
  if (isForeign(offer?.advertiser_id, campaign?.advertiser_id))
    report(
      file.reading,
      tree,
      problem('reference_foreign', `The offer "${offer?.offer_id}" does not belong to the advertiser of the campaign.`),
      'offer_id',
    )
  checkMember(file.reading, tree, link.affiliate_id, campaign?.advertiser_id ?? offer?.advertiser_id, wanted)
}

function checkLinkFlow(link: Link, tree: Tree, reading: Reading, campaignOfFlow: ReadonlyMap<string, string>): void {
  if (link.flow_id === undefined) return
  const campaignId = campaignOfFlow.get(link.flow_id)
  if (campaignId === undefined)
    report(reading, tree, problem('reference_unknown', `No campaign has a flow "${link.flow_id}".`), 'flow_id')
  else if (link.campaign_id !== undefined && link.campaign_id !== campaignId)
    report(
      reading,
      tree,
      problem('reference_unknown', `The flow "${link.flow_id}" is one of the campaign "${campaignId}".`),
      'flow_id',
    )
}

function checkEndpoint(id: string, file: ReadFile, wanted: ConfigurationState): void {
  const scope = wanted.endpoints.get(id)?.scope
  const tree = treeOf(file, 'endpoints', id)
  if (scope === undefined) return
  const owners = {
    offer_id: wanted.offers.get(scope.offer_id ?? '')?.advertiser_id,
    campaign_id: wanted.campaigns.get(scope.campaign_id ?? '')?.advertiser_id,
  }
  for (const key of ['offer_id', 'campaign_id'] as const)
    if (isForeign(owners[key], scope.advertiser_id))
      report(
        file.reading,
        tree,
        problem(
          'reference_foreign',
          `The ${key.replace('_id', '')} "${scope[key]}" does not belong to the advertiser "${scope.advertiser_id}".`,
        ),
        key,
      )
  checkMember(file.reading, tree, scope.affiliate_id, scope.advertiser_id, wanted)
}

/** Endpoints that are on none of their advertiser's lists: of those that the file names, and of the advertisers that it names. */
function checkAllowed(file: ReadFile, wanted: ConfigurationState): void {
  for (const { endpoint_id, scope, url } of wanted.endpoints.values()) {
    const advertiserId = scope.advertiser_id ?? ''
    const allow = wanted.advertisers.get(advertiserId)?.postback_allow
    const host = allow && hostRefusedBy(allow, url)
    if (host === undefined) continue
    const isNamed = file.named.endpoints.has(endpoint_id)
    if (!isNamed && !file.named.advertisers.has(advertiserId)) continue
    const message = `The endpoint "${endpoint_id}" sends to ${host}, where "${advertiserId}" lets nothing be sent.`
    const found = problem('destination_not_allowed', message, 'Change the URL, or "postback_allow" of the advertiser.')
    if (isNamed) report(file.reading, treeOf(file, 'endpoints', endpoint_id), found, 'url')
    else report(file.reading, treeOf(file, 'advertisers', advertiserId), found, 'postback_allow')
  }
}

/** Objects that the file does not name may point to something that it takes away. */
function checkLeftBehind(
  file: ReadFile,
  wanted: ConfigurationState,
  campaignOfFlow: ReadonlyMap<string, string>,
): void {
  const users = usersOutside(file, wanted)
  for (const section of sectionNames)
    for (const [id, object] of file[section]) {
      const user = object.state === 'absent' ? users.get(`${section} ${id}`) : undefined
      if (user === undefined) continue
      const message = `The ${singular[section]} "${id}" cannot be removed: ${user} names it.`
      const found = problem('object_in_use', message, 'Change or remove that one too.')
      report(file.reading, treeOf(file, section, id), found, 'state')
    }
  for (const { code, flow_id } of wanted.links.values())
    if (flow_id !== undefined && !campaignOfFlow.has(flow_id) && !file.named.links.has(code)) {
      const message = `The link "${code}" leads to the flow "${flow_id}", which the file takes away.`
      const found = problem('object_in_use', message, 'Keep the flow, or change the link too.')
      report(file.reading, file.reading.file.root, found)
    }
}

/** Who names each object, among those that the file does not name: `offers lamp` → `the link "go"`. */
function usersOutside(file: ReadFile, wanted: ConfigurationState): ReadonlyMap<string, string> {
  const users = new Map<string, string>()
  const diverted = file.fraud.kind === 'unnamed' ? divertOffer(wanted.fraud) : undefined
  if (diverted !== undefined) users.set(`offers ${diverted}`, 'the setting "fraud"')
  for (const userSection of sectionNames)
    for (const [userId, object] of wanted[userSection]) {
      if (file.named[userSection].has(userId)) continue
      const user = `the ${singular[userSection]} "${userId}"`
      for (const [section, id] of referencesOf(userSection, object)) users.set(`${section} ${id}`, user)
    }
  return users
}

type NamedId = readonly [section: SectionName, id: string | undefined]

/** The ids that an object names. */
export function referencesOf(section: SectionName, object: object): readonly NamedId[] {
  switch (section) {
    case 'advertisers':
      return []
    case 'affiliates':
      return (object as Affiliate).advertiser_ids.map((id) => ['advertisers', id])
    case 'offers': {
      const { advertiser_id, affiliates = {}, country_fallbacks = {}, cap_fallbacks = [], fraud } = object as Offer
      const others = Object.values(country_fallbacks).map((fallback) =>
        'offer_id' in fallback ? fallback.offer_id : undefined,
      )
      return [
        ['advertisers', advertiser_id],
        ...Object.keys(affiliates).map((id): NamedId => ['affiliates', id]),
        ...[...others, ...cap_fallbacks, divertOffer(fraud)].map((id): NamedId => ['offers', id]),
      ]
    }
    case 'campaigns': {
      const { advertiser_id, affiliate_id, flows } = object as Campaign
      const offers = flows.flatMap((flow) => flow.offers.map(({ offer_id }): NamedId => ['offers', offer_id]))
      const next = flows.map(({ action }): NamedId => [
        'campaigns',
        action?.kind === 'campaign' ? action.campaign_id : undefined,
      ])
      return [['advertisers', advertiser_id], ['affiliates', affiliate_id], ...offers, ...next]
    }
    case 'links':
      return scopeReferences(object)
    case 'endpoints':
      return scopeReferences((object as PostbackEndpoint).scope)
    default:
      return section satisfies never
  }
}

const divertOffer = (fraud: Pick<FraudSettings, 'divert_to'> | undefined): string | undefined =>
  fraud?.divert_to !== undefined && 'offer_id' in fraud.divert_to ? fraud.divert_to.offer_id : undefined

const scopeReferences = (scope: PostbackEndpoint['scope']): readonly NamedId[] => [
  ['advertisers', scope.advertiser_id],
  ['affiliates', scope.affiliate_id],
  ['campaigns', scope.campaign_id],
  ['offers', scope.offer_id],
]
