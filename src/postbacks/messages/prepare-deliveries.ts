import type { Snapshot } from '#routing'
import {
  belongingOf,
  bodyKindOf,
  compileEndpoints,
  isNarrower,
  matchEndpoints,
  type Belonging,
  type CompiledEndpoint,
  type CompiledEndpoints,
} from './compile-endpoints.ts'
import { listParts, MET, printCondition, type Rule } from '#rules'
import { conversionOf, eventIdOf, type DeliveryCause } from './delivery-causes.ts'
import { fillHeaders } from './headers.ts'
import { postbackLimits } from '../limits.ts'
import type { MacroFacts } from './macros.ts'
import type { WhyNotReason } from '../reasons.ts'
import { ruleFactsOf } from './rule-facts.ts'
import { standardBody } from './standard-body.ts'
import { renderTemplate, type LateMacro } from './templates.ts'

/** Who and what a prepared row is about. */
type Subject = Omit<Belonging, 'sourceId'> & {
  readonly endpointId: string
  readonly eventId: string
  readonly cause: string
  readonly clickId: string
  readonly conversionId: string | undefined
  readonly conversionRevision: number | undefined
  readonly configVersion: number
  readonly at: number
}

/** A message as it will be sent; only the signature and its time are still missing. */
export type PreparedDelivery = Subject & {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly contentType: string | undefined
  /** By name in lower case; undefined: none beyond those that every request has. */
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly body: string | undefined
}

export type WhyNot = Subject & { readonly reason: WhyNotReason; readonly detail: string | undefined }

export type Prepared = { readonly deliveries: readonly PreparedDelivery[]; readonly whyNot: readonly WhyNot[] }

export function macroFactsOf(cause: DeliveryCause, eventId: string, endpoints: CompiledEndpoints): MacroFacts {
  return { cause, click: cause.click, conversion: conversionOf(cause), eventId, names: endpoints.names }
}

type Message = Pick<PreparedDelivery, 'method' | 'url' | 'contentType' | 'headers' | 'body'>
type Refusal = { readonly reason: WhyNotReason; readonly detail?: string }

/** Stand-ins of the right length and charset for what is filled at send time. */
const LATE_SAMPLES: Readonly<Record<LateMacro, string>> = { '{sig}': '0'.repeat(64), '{ts}': '1700000000' }

const isRequestable = (url: string): boolean =>
  URL.canParse(url.replace(/\{(?:sig|ts)\}/g, (late) => LATE_SAMPLES[late as LateMacro]))

/** Fills an endpoint's templates for one cause. */
export function fillMessage(compiled: CompiledEndpoint, facts: MacroFacts): Message | Refusal {
  const { endpoint } = compiled
  if (!compiled.isValid) return { reason: 'template_invalid' }
  const url = renderTemplate(compiled.url, facts)
  if (url.kind !== 'rendered') return { reason: url.kind, detail: url.macro }
  if (url.text.length > postbackLimits.urlCharactersMax) return { reason: 'request_too_large', detail: 'url' }
  if (!isRequestable(url.text)) return { reason: 'url_invalid' }
  const filled = fillHeaders(compiled.headers, facts)
  if (filled.kind !== 'filled') return { reason: filled.kind, detail: filled.detail }
  const { headers } = filled
  if (endpoint.method === 'GET')
    return { method: 'GET', url: url.text, contentType: undefined, headers, body: undefined }
  const body = fillBody(compiled, facts)
  if (body.kind !== 'rendered') return { reason: body.kind, detail: body.macro }
  if (Buffer.byteLength(body.text) > postbackLimits.bodyBytesMax) return { reason: 'request_too_large', detail: 'body' }
  const contentType = bodyKindOf(endpoint) === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'
  return { method: 'POST', url: url.text, contentType, headers, body: body.text }
}

const fillBody = (compiled: CompiledEndpoint, facts: MacroFacts) =>
  compiled.body === undefined
    ? ({ kind: 'rendered', text: standardBody(compiled.endpoint, facts) } as const)
    : renderTemplate(compiled.body, facts)

/** Every message that the causes give rise to, and why others do not go out. Pure; one message per endpoint and event. */
export function prepareDeliveries(causes: readonly DeliveryCause[], snapshot: Snapshot): Prepared {
  const endpoints = compileEndpoints(snapshot)
  const deliveries = new Map<string, PreparedDelivery>()
  const whyNot = new Map<string, WhyNot>()
  for (const cause of causes) {
    const matching = matchEndpoints(cause, endpoints)
    if (matching.length === 0) continue
    const facts = macroFactsOf(cause, eventIdOf(cause), endpoints)
    for (const compiled of matching) {
      const subject = subjectOf(compiled, facts, endpoints.configVersion)
      const key = `${subject.endpointId}|${subject.eventId}`
      if (deliveries.has(key)) continue
      const filled = refusalOf(compiled, cause) ?? yieldOf(compiled, matching, cause) ?? fillMessage(compiled, facts)
      if ('reason' in filled)
        whyNot.set(key, { ...subject, reason: filled.reason, detail: 'detail' in filled ? filled.detail : undefined })
      else deliveries.set(key, { ...subject, ...filled })
    }
  }
  return { deliveries: [...deliveries.values()], whyNot: [...whyNot.values()] }
}

/** Whether the endpoint itself does not want it. */
function refusalOf({ endpoint, accepts }: CompiledEndpoint, cause: DeliveryCause): Refusal | undefined {
  if (endpoint.status === 'paused') return { reason: 'endpoint_paused' }
  const part = accepts?.(ruleFactsOf(cause)) ?? MET
  return part === MET ? undefined : { reason: 'rule_not_met', detail: describePart(endpoint.rule!, part) }
}

/** Whether it leaves this one to an endpoint of a narrower scope. One that is paused or does not take it is no answer to a partner. */
function yieldOf(
  { endpoint }: CompiledEndpoint,
  matching: readonly CompiledEndpoint[],
  cause: DeliveryCause,
): Refusal | undefined {
  if (endpoint.yields !== true) return undefined
  const narrower = matching.find(
    (other) => isNarrower(other.endpoint.scope, endpoint.scope) && refusalOf(other, cause) === undefined,
  )
  return narrower && { reason: 'narrower_endpoint', detail: narrower.endpoint.endpoint_id }
}

/** The condition that was not met, as it is written in the text form. */
function describePart(rule: Rule, part: number): string {
  const found = listParts(rule)[part]
  return found !== undefined && 'field' in found ? printCondition(found) : 'none of its alternatives'
}

function subjectOf(compiled: CompiledEndpoint, facts: MacroFacts, configVersion: number): Subject {
  const { cause, click, conversion, eventId } = facts
  return {
    ...belongingOf(cause),
    endpointId: compiled.endpoint.endpoint_id,
    eventId,
    cause: cause.trigger,
    clickId: click.click_id,
    conversionId: conversion?.conversionId,
    conversionRevision: conversion?.revision,
    configVersion,
    at: cause.at,
  }
}
