import type { PostbackEndpoint, Snapshot } from '#routing'
import { compileRule, RuleLists, type CompiledRule } from '#rules'
import { conversionOf, type DeliveryCause } from './delivery-causes.ts'
import { compileHeaders, headerProblems, type CompiledHeaders } from './headers.ts'
import type { NameBook } from './macros.ts'
import { compileTemplate, type Template } from './templates.ts'

/** An endpoint with its templates taken apart once per configuration version. */
export type CompiledEndpoint = {
  readonly endpoint: PostbackEndpoint
  readonly url: Template
  /** Undefined: the standard body, or no body for GET. */
  readonly body: Template | undefined
  readonly headers: CompiledHeaders
  /** False where a template has a mistake: nothing is sent, and the reason is on record. */
  readonly isValid: boolean
  /** Which of the causes it wants to hear of; undefined: all. */
  readonly accepts: CompiledRule | undefined
}

export type CompiledEndpoints = {
  readonly configVersion: number
  readonly names: NameBook
  /** Endpoints by the narrowest part of their scope, so that a conversion meets few that are not its own. */
  readonly byScope: ReadonlyMap<string, readonly CompiledEndpoint[]>
}

/** The form of an endpoint's body. */
export const bodyKindOf = (endpoint: Pick<PostbackEndpoint, 'content_type'>): 'form' | 'json' =>
  endpoint.content_type === 'application/x-www-form-urlencoded' ? 'form' : 'json'

export function compileEndpoint(endpoint: PostbackEndpoint, lists?: RuleLists): CompiledEndpoint {
  const url = compileTemplate(endpoint.url, 'url')
  const hasBody = endpoint.method === 'POST' && endpoint.body !== undefined
  const body = hasBody ? compileTemplate(endpoint.body, bodyKindOf(endpoint)) : undefined
  const ofHeaders = headerProblems(endpoint.headers, endpoint.scope.affiliate_id !== undefined)
  const headers = compileHeaders(endpoint.headers)
  const problems = [...url.problems, ...(body?.problems ?? []), ...ofHeaders]
  return {
    endpoint,
    url: url.template,
    body: body?.template,
    headers,
    isValid:
      problems.length === 0 &&
      unknownSecrets([url.template, body?.template, ...headers.values()], endpoint).length === 0,
    accepts: endpoint.rule && compileRule(endpoint.rule, lists),
  }
}

/** Secrets that templates ask for and the endpoint does not have, with where they stand. */
export const unknownSecrets = (
  templates: readonly (Template | undefined)[],
  { secrets = {} }: Pick<PostbackEndpoint, 'secrets'>,
): readonly (readonly [name: string, offset: number])[] =>
  templates.flatMap((template) => [...(template?.secrets ?? [])].filter(([name]) => !Object.hasOwn(secrets, name)))

const GLOBAL = 'all'

/** The narrowest part: an offer has few endpoints, an advertiser many. */
function scopeKey({ scope }: PostbackEndpoint): string {
  if (scope.offer_id !== undefined) return `offer:${scope.offer_id}`
  if (scope.campaign_id !== undefined) return `campaign:${scope.campaign_id}`
  if (scope.affiliate_id !== undefined) return `affiliate:${scope.affiliate_id}`
  if (scope.source_id !== undefined) return `source:${scope.source_id}`
  if (scope.advertiser_id !== undefined) return `advertiser:${scope.advertiser_id}`
  return GLOBAL
}

const namesById = <T extends { readonly name: string }>(items: readonly T[], id: (item: T) => string) =>
  new Map(items.map((item) => [id(item), item.name]))

const compiledBySnapshot = new WeakMap<Snapshot, CompiledEndpoints>()

/** The endpoints of a snapshot, compiled at the first call for that snapshot. */
export function compileEndpoints(snapshot: Snapshot): CompiledEndpoints {
  const known = compiledBySnapshot.get(snapshot)
  if (known !== undefined) return known
  const lists = snapshot.lists && new RuleLists(snapshot.lists)
  const compiled = {
    configVersion: snapshot.version,
    names: {
      offers: namesById(snapshot.offers, (offer) => offer.offer_id),
      campaigns: namesById(snapshot.campaigns, (campaign) => campaign.campaign_id),
      affiliates: namesById(snapshot.affiliates, (affiliate) => affiliate.affiliate_id),
      advertisers: namesById(snapshot.advertisers, (advertiser) => advertiser.advertiser_id),
    },
    byScope: Map.groupBy(
      snapshot.endpoints.map((endpoint) => compileEndpoint(endpoint, lists)),
      ({ endpoint }) => scopeKey(endpoint),
    ),
  }
  compiledBySnapshot.set(snapshot, compiled)
  return compiled
}

/** Whose a cause is. */
export type Belonging = {
  readonly advertiserId: string | undefined
  readonly affiliateId: string | undefined
  readonly campaignId: string | undefined
  readonly offerId: string | undefined
  readonly sourceId: string | undefined
}

export function belongingOf(cause: DeliveryCause): Belonging {
  const { click } = cause
  const conversion = conversionOf(cause)
  return {
    advertiserId: conversion?.advertiserId ?? click.advertiser_id,
    affiliateId: conversion?.affiliateId ?? click.affiliate_id,
    campaignId: conversion?.campaignId ?? click.campaign_id,
    offerId: conversion?.offerId ?? click.offer_id,
    sourceId: click.source_id,
  }
}

const fits = (wanted: string | undefined, actual: string | undefined): boolean =>
  wanted === undefined || wanted === actual

/** The endpoints whose whole scope and one of whose triggers fit, paused ones included. */
export function matchEndpoints(cause: DeliveryCause, endpoints: CompiledEndpoints): readonly CompiledEndpoint[] {
  const { advertiserId, affiliateId, campaignId, offerId, sourceId } = belongingOf(cause)
  const isConfidential = 'isConfidential' in cause && cause.isConfidential === true
  const keys = [
    `offer:${offerId}`,
    `campaign:${campaignId}`,
    `affiliate:${affiliateId}`,
    `source:${sourceId}`,
    `advertiser:${advertiserId}`,
  ]
  return [...keys, GLOBAL].flatMap((key) =>
    (endpoints.byScope.get(key) ?? []).filter(
      ({ endpoint: { scope, triggers } }) =>
        triggers.includes(cause.trigger) &&
        !(isConfidential && scope.affiliate_id !== undefined) &&
        fits(scope.advertiser_id, advertiserId) &&
        fits(scope.affiliate_id, affiliateId) &&
        fits(scope.campaign_id, campaignId) &&
        fits(scope.offer_id, offerId) &&
        fits(scope.source_id, sourceId),
    ),
  )
}

const scopeParts = ['advertiser_id', 'affiliate_id', 'campaign_id', 'offer_id', 'source_id'] as const

/** Whether a scope says all that another says, and more. */
export function isNarrower(scope: PostbackEndpoint['scope'], than: PostbackEndpoint['scope']): boolean {
  const isInside = scopeParts.every((part) => than[part] === undefined || scope[part] === than[part])
  return isInside && scopeParts.some((part) => than[part] === undefined && scope[part] !== undefined)
}
