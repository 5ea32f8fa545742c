import { decodeVerdict, describeVerdict, encodeVerdict, type FraudVerdict } from '#fraud'
import { refusalReasons, type RefusalReason } from '#records'
import { listParts, printCondition, type Rule } from '#rules'
import { routingLimits } from './limits.ts'
import { reasonCodes, reasonOf } from './reason-codes.ts'
import type { Campaign, Flow, Landing, Offer, Snapshot } from './snapshot.ts'

/** Whose fallback a refused visitor was sent to. */
export type FallbackOwner = 'country' | 'fraud' | 'offer' | 'campaign' | 'advertiser' | 'installation'

/** One thing that happened while a target was chosen. Numbers are positions in the snapshot's lists; flows count within
 * their campaign, landings within the flow or offer that gave them.
 */
export type TraceStep =
  | { readonly kind: 'link'; readonly link: number }
  | { readonly kind: 'campaign'; readonly campaign: number }
  | { readonly kind: 'offer_asked'; readonly offer: number }
  | { readonly kind: 'flow_asked'; readonly flow: number }
  | { readonly kind: 'flow_paused'; readonly flow: number }
  | { readonly kind: 'flow_refused'; readonly flow: number; readonly part: number }
  | { readonly kind: 'flow_unable'; readonly flow: number; readonly reason: RefusalReason }
  | { readonly kind: 'flow_taken'; readonly flow: number }
  | { readonly kind: 'flow_drawn'; readonly flow: number; readonly drawn: number; readonly total: number }
  | { readonly kind: 'offer_out'; readonly offer: number; readonly reason: RefusalReason }
  | { readonly kind: 'offer_taken'; readonly offer: number }
  | { readonly kind: 'offer_drawn'; readonly offer: number; readonly drawn: number; readonly total: number }
  | { readonly kind: 'landing_asked'; readonly landing: number }
  | { readonly kind: 'landing_taken'; readonly landing: number }
  | { readonly kind: 'landing_drawn'; readonly landing: number; readonly drawn: number; readonly total: number }
  | { readonly kind: 'flow_bound'; readonly flow: number }
  | { readonly kind: 'offer_bound'; readonly offer: number }
  | { readonly kind: 'landing_bound'; readonly landing: number }
  | { readonly kind: 'offer_refused'; readonly offer: number; readonly part: number }
  | { readonly kind: 'offer_for_country'; readonly offer: number }
  | { readonly kind: 'campaign_next'; readonly campaign: number }
  | { readonly kind: 'campaign_back'; readonly campaign: number }
  | { readonly kind: 'cap_full'; readonly offer: number; readonly cap: number }
  | { readonly kind: 'offer_for_cap'; readonly offer: number }
  | { readonly kind: 'fraud'; readonly verdict: FraudVerdict }
  | { readonly kind: 'offer_for_fraud'; readonly offer: number }
  | { readonly kind: 'weights'; readonly version: number }
  | { readonly kind: 'sent' }
  | { readonly kind: 'shown' }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  | { readonly kind: 'fallback'; readonly owner: FallbackOwner }
  | { readonly kind: 'not_found' }
  | { readonly kind: 'cut'; readonly steps: number }

/** A letter, then numbers in base 36 with dots between, reasons as their codes: `c0.r0.2` would be ambiguous, so steps are
 * separated by `;`. A usual smart-link click takes 20 to 40 bytes: `c0;r0.2;d2.h.2s;o4;l0`. Flows in a row that were refused for the same part
 * are one: `r0.1.8` stands for flows 0 to 7.
 */
const LETTER = {
  link: 'k', campaign: 'c', offer_asked: 'q', flow_asked: 'a', flow_paused: 'p', flow_refused: 'r', flow_unable: 'u',
  flow_taken: 'f', flow_drawn: 'd', offer_out: 'x', offer_taken: 'o', offer_drawn: 'e', landing_asked: 'b',
  landing_taken: 'l', landing_drawn: 'g', flow_bound: 'F', offer_bound: 'O', landing_bound: 'L', offer_refused: 'v',
  offer_for_country: 'y', campaign_next: 'n', campaign_back: 'N', cap_full: 'z', offer_for_cap: 'h', weights: 'w', fraud: 'i', offer_for_fraud: 'j', sent: 't', shown: 's', refused: '!', fallback: '>', not_found: '0', cut: '*',
} as const satisfies Record<TraceStep['kind'], string> // prettier-ignore

const OWNER_LETTER = {
  country: 'y',
  fraud: 'f',
  offer: 'o',
  campaign: 'c',
  advertiser: 'a',
  installation: 'i',
} as const

/** The usual numbers: toString in base 36 takes 0.1 µs, and a click has half a dozen of them. */
const SMALL_NUMBERS = Array.from({ length: 36 * 36 }, (_, value) => value.toString(36))

const number = (value: number): string => SMALL_NUMBERS[value] ?? value.toString(36)

function encodeStep(step: TraceStep): string {
  const letter = LETTER[step.kind]
  switch (step.kind) {
    case 'link':
      return letter + number(step.link)
    case 'campaign':
    case 'campaign_next':
    case 'campaign_back':
      return letter + number(step.campaign)
    case 'flow_asked':
    case 'flow_paused':
    case 'flow_taken':
    case 'flow_bound':
      return letter + number(step.flow)
    case 'flow_refused':
      return `${letter}${number(step.flow)}.${number(step.part)}`
    case 'flow_unable':
      return `${letter}${number(step.flow)}.${reasonCodes[step.reason]}`
    case 'flow_drawn':
      return `${letter}${number(step.flow)}.${number(step.drawn)}.${number(step.total)}`
    case 'offer_asked':
    case 'offer_taken':
    case 'offer_bound':
    case 'offer_for_country':
    case 'offer_for_cap':
    case 'offer_for_fraud':
      return letter + number(step.offer)
    case 'fraud':
      return letter + (encodeVerdict(step.verdict) ?? '')
    case 'cap_full':
      return `${letter}${number(step.offer)}.${number(step.cap)}`
    case 'offer_refused':
      return `${letter}${number(step.offer)}.${number(step.part)}`
    case 'offer_out':
      return `${letter}${number(step.offer)}.${reasonCodes[step.reason]}`
    case 'offer_drawn':
      return `${letter}${number(step.offer)}.${number(step.drawn)}.${number(step.total)}`
    case 'landing_asked':
    case 'landing_taken':
    case 'landing_bound':
      return letter + number(step.landing)
    case 'landing_drawn':
      return `${letter}${number(step.landing)}.${number(step.drawn)}.${number(step.total)}`
    case 'refused':
      return letter + reasonCodes[step.reason]
    case 'fallback':
      return letter + OWNER_LETTER[step.owner]
    case 'weights':
      return letter + number(step.version)
    case 'not_found':
    case 'sent':
    case 'shown':
      return letter
    case 'cut':
      return letter + number(step.steps)
    default:
      return step satisfies never
  }
}

/** The steps as text for the click record: at most 100 bytes on average, never more than 64 steps. */
export function encodeTrace(steps: readonly TraceStep[]): string {
  // Joined at once, because a text that grows is a tree, at which JSON.stringify leaves its fast path.
  const kept = steps.length > routingLimits.traceStepsMax ? cutMiddle(steps) : steps
  const texts: string[] = []
  for (let index = 0; index < kept.length; index += 1) {
    const step = kept[index]!
    const run = step.kind === 'flow_refused' ? refusedAlike(kept, index) : 1
    texts.push(run === 1 ? encodeStep(step) : `${encodeStep(step)}.${number(run)}`)
    index += run - 1
  }
  return texts.join(';')
}

/** How many flows in a row were refused for the same part: those of a campaign often ask the same of everyone, as for a country. */
function refusedAlike(steps: readonly TraceStep[], from: number): number {
  const first = steps[from]!
  let run = 1
  for (; first.kind === 'flow_refused' && from + run < steps.length; run += 1) {
    const next = steps[from + run]!
    if (next.kind !== 'flow_refused' || next.part !== first.part || next.flow !== first.flow + run) break
  }
  return run
}

function cutMiddle(steps: readonly TraceStep[]): readonly TraceStep[] {
  const keptAtStart = routingLimits.traceStepsMax - routingLimits.traceStepsKeptAtEnd - 1
  const middle = steps.slice(keptAtStart, -routingLimits.traceStepsKeptAtEnd)
  const kept = keptOfMiddle(middle)
  const cut = { kind: 'cut', steps: middle.length - kept.length } as const
  return [...steps.slice(0, keptAtStart), cut, ...kept, ...steps.slice(-routingLimits.traceStepsKeptAtEnd)]
}

/** What the steps after the cut hang on: the campaign whose flows they number, the flow and the offer whose landings, and that learned
 * weights were used.
 */
const keptOfMiddle = (middle: readonly TraceStep[]): readonly TraceStep[] => {
  const last = (kinds: ReadonlySet<TraceStep['kind']>): number => middle.findLastIndex(({ kind }) => kinds.has(kind))
  const places = [ENTERS_CAMPAIGN, ENTERS_FLOW, ENTERS_OFFER, NOTES_WEIGHTS].map(last)
  return middle.filter((_, index) => places.includes(index))
}

const ENTERS_CAMPAIGN: ReadonlySet<TraceStep['kind']> = new Set(['campaign', 'campaign_next', 'campaign_back'])
const ENTERS_FLOW: ReadonlySet<TraceStep['kind']> = new Set(['flow_asked', 'flow_taken', 'flow_bound', 'flow_drawn'])
const ENTERS_OFFER: ReadonlySet<TraceStep['kind']> = new Set(['offer_asked', 'offer_taken', 'offer_bound', 'offer_drawn', 'offer_for_country', 'offer_for_cap', 'offer_for_fraud']) // prettier-ignore
const NOTES_WEIGHTS: ReadonlySet<TraceStep['kind']> = new Set(['weights'])

const ownerOf = (letter: string): FallbackOwner | undefined =>
  (Object.keys(OWNER_LETTER) as FallbackOwner[]).find((owner) => OWNER_LETTER[owner] === letter)

function decodeSteps(text: string): readonly TraceStep[] {
  const step = decodeStep(text)
  if (step === undefined) return []
  if (step.kind !== 'flow_refused') return [step]
  const run = Math.min(Number.parseInt(text.split('.')[2] ?? '1', 36), routingLimits.traceStepsMax)
  return Array.from({ length: Number.isNaN(run) ? 1 : run }, (_, index) => ({ ...step, flow: step.flow + index }))
}

function decodeStep(text: string): TraceStep | undefined {
  const rest = text.slice(1)
  const [head = '', second, third] = rest.split('.')
  const first = Number.parseInt(head, 36)
  const drawn = Number.parseInt(second ?? '', 36)
  const total = Number.parseInt(third ?? '', 36)
  const isDraw = !Number.isNaN(first + drawn + total)
  const reason = reasonOf(text.startsWith('!') ? rest : second)
  if (text.startsWith('!')) return reason && { kind: 'refused', reason }
  if (text.startsWith('>')) return ownerOf(rest) && { kind: 'fallback', owner: ownerOf(rest)! }
  if (text.startsWith('i')) return verdictStep(rest)
  if (text === '0') return { kind: 'not_found' }
  if (text === 't') return { kind: 'sent' }
  if (text === 's') return { kind: 'shown' }
  if (Number.isNaN(first)) return undefined
  switch (text[0]) {
    case 'k': return { kind: 'link', link: first }
    case 'c': return { kind: 'campaign', campaign: first }
    case 'q': return { kind: 'offer_asked', offer: first }
    case 'a': return { kind: 'flow_asked', flow: first }
    case 'p': return { kind: 'flow_paused', flow: first }
    case 'f': return { kind: 'flow_taken', flow: first }
    case 'r': return Number.isNaN(drawn) ? undefined : { kind: 'flow_refused', flow: first, part: drawn }
    case 'u': return reason && { kind: 'flow_unable', flow: first, reason }
    case 'd': return isDraw ? { kind: 'flow_drawn', flow: first, drawn, total } : undefined
    case 'x': return reason && { kind: 'offer_out', offer: first, reason }
    case 'o': return { kind: 'offer_taken', offer: first }
    case 'e': return isDraw ? { kind: 'offer_drawn', offer: first, drawn, total } : undefined
    case 'b': return { kind: 'landing_asked', landing: first }
    case 'l': return { kind: 'landing_taken', landing: first }
    case 'g': return isDraw ? { kind: 'landing_drawn', landing: first, drawn, total } : undefined
    case 'F': return { kind: 'flow_bound', flow: first }
    case 'O': return { kind: 'offer_bound', offer: first }
    case 'L': return { kind: 'landing_bound', landing: first }
    case 'v': return Number.isNaN(drawn) ? undefined : { kind: 'offer_refused', offer: first, part: drawn }
    case 'y': return { kind: 'offer_for_country', offer: first }
    case 'z': return Number.isNaN(drawn) ? undefined : { kind: 'cap_full', offer: first, cap: drawn }
    case 'h': return { kind: 'offer_for_cap', offer: first }
    case 'j': return { kind: 'offer_for_fraud', offer: first }
    case 'N': return { kind: 'campaign_back', campaign: first }
    case 'n': return { kind: 'campaign_next', campaign: first }
    case 'w': return { kind: 'weights', version: first }
    case '*': return { kind: 'cut', steps: first }
    default: return undefined
  } // prettier-ignore
}

function verdictStep(text: string): TraceStep | undefined {
  const verdict = decodeVerdict(text)
  return verdict && { kind: 'fraud', verdict }
}

/** The steps of a trace; parts that are not understood (a newer version wrote them) are left out. Never throws. */
export const decodeTrace = (trace: string): readonly TraceStep[] => trace.split(';').flatMap(decodeSteps)

const WEIGHTS_STEP = /(?:^|;)w([0-9a-z]+)/

/** Version of the learned weights that the click was drawn by; undefined: none counted. */
export function learnedVersionOf(trace: string): number | undefined {
  const found = WEIGHTS_STEP.exec(trace)
  return found === null ? undefined : Number.parseInt(found[1]!, 36)
}

/** What the steps before said, so that a flow or landing number finds its name. */
type Place = {
  campaign: Campaign | undefined
  flow: Flow | undefined
  offer: Offer | undefined
  isDiverted: boolean
  /** Its flow answers so: no fallback was looked for. */
  isAnswered: boolean
  readonly affiliateId: string | undefined
}

const quote = (name: string | undefined): string => (name === undefined ? '(gone)' : `“${name}”`)

/** The decision in sentences, in the order in which it was taken.
 * @param snapshot the version that decided (`config_version` of the click)
 * @param affiliateId of the click, who may have landings of their own
 */
export function describeTrace(trace: string, snapshot: Snapshot, affiliateId?: string): string[] {
  const place: Place = {
    campaign: undefined,
    flow: undefined,
    offer: undefined,
    isDiverted: false,
    isAnswered: false,
    affiliateId,
  }
  return decodeTrace(trace).map((step) => describeStep(step, snapshot, place))
}

function describeStep(step: TraceStep, snapshot: Snapshot, place: Place): string {
  switch (step.kind) {
    case 'link':
      return `The link ${quote(snapshot.links[step.link]?.code)} was opened.`
    case 'campaign':
      place.campaign = snapshot.campaigns[step.campaign]
      return `The campaign is ${quote(place.campaign?.name)}.`
    case 'campaign_next':
      place.campaign = snapshot.campaigns[step.campaign]
      place.flow = undefined
      return `The flow leads on to the campaign ${quote(place.campaign?.name)}.`
    case 'campaign_back':
      place.campaign = snapshot.campaigns[step.campaign]
      place.flow = undefined
      return `It has nothing for the visitor: back to the campaign ${quote(place.campaign?.name)}.`
    case 'flow_asked':
    case 'flow_paused':
    case 'flow_refused':
    case 'flow_unable':
    case 'flow_taken':
    case 'flow_bound':
    case 'flow_drawn':
      return describeFlowStep(step, place)
    case 'offer_asked':
    case 'offer_out':
    case 'offer_refused':
    case 'offer_for_country':
    case 'offer_for_cap':
    case 'offer_for_fraud':
    case 'cap_full':
    case 'offer_taken':
    case 'offer_bound':
    case 'offer_drawn':
      return describeOfferStep(step, snapshot, place)
    case 'landing_asked':
    case 'landing_taken':
    case 'landing_bound':
    case 'landing_drawn':
      return describeLandingStep(step, place)
    case 'weights':
      return `Weights learned from conversions are used, version ${step.version}.`
    case 'fraud':
      return ['Score of fraud:', ...describeVerdict(step.verdict, ownSentences(snapshot, place))].join(' ')
    case 'sent':
      return 'The flow sends everyone to an address of its own.'
    case 'shown':
      return 'The flow shows a page of its own.'
    case 'refused':
      place.isAnswered = step.reason === 'flow_not_found'
      return `Refused: ${refusalReasons[step.reason]}`
    case 'fallback':
      return describeFallback(step.owner)
    case 'not_found':
      return `${place.isAnswered ? 'T' : 'There is no fallback; t'}he visitor got the plain page “not found”.`
    case 'cut':
      return `${step.steps} further steps were left out.`
    default:
      return step satisfies never
  }
}

function describeFallback(owner: FallbackOwner): string {
  if (owner === 'country') return 'The visitor was sent where the offer sends visitors of this country.'
  if (owner === 'fraud') return 'The visitor was sent where the fraud settings send diverted clicks.'
  return `The visitor was sent to the fallback of the ${owner}.`
}

/** Of the rules that the installation and the offer wrote, by name. */
function ownSentences(snapshot: Snapshot, { offer }: Place): Record<string, string> {
  const rules = [...(snapshot.fraud?.own_rules ?? []), ...(offer?.fraud?.own_rules ?? [])]
  return Object.fromEntries(rules.flatMap(({ name, sentence }) => (sentence === undefined ? [] : [[name, sentence]])))
}

type FlowStep = Extract<TraceStep, { readonly flow: number }>

function describeFlowStep(step: FlowStep, place: Place): string {
  const flow = place.campaign?.flows[step.flow]
  const name = `${flow === undefined || flow.kind === 'regular' ? 'Flow' : `The ${flow.kind} flow`} ${quote(flow?.flow_id)}`
  if (step.kind !== 'flow_paused' && step.kind !== 'flow_refused' && step.kind !== 'flow_unable') place.flow = flow
  switch (step.kind) {
    case 'flow_asked':
      return `${name} was named by the request.`
    case 'flow_paused':
      return `${name} is paused.`
    case 'flow_refused':
      return `${name} does not accept the visitor: ${describePart(flow?.rule, step.part)}.`
    case 'flow_unable':
      return `${name} accepts the visitor and cannot take them: ${refusalReasons[step.reason]}`
    case 'flow_taken':
      return `${name} took the visitor.`
    case 'flow_bound':
      return `${name} is the one that the visitor had before.`
    case 'flow_drawn':
      return `${name} was drawn by weight (number ${step.drawn + 1} of ${step.total}).`
    default:
      return step satisfies never
  }
}

type OfferStep = Extract<TraceStep, { readonly offer: number }>

function describeOfferStep(step: OfferStep, snapshot: Snapshot, place: Place): string {
  const offer = snapshot.offers[step.offer]
  if (step.kind !== 'offer_out' && step.kind !== 'offer_refused' && step.kind !== 'cap_full') place.offer = offer
  switch (step.kind) {
    case 'offer_asked':
      return `The offer ${quote(offer?.name)} was named by the request.`
    case 'offer_out':
      return `The offer ${quote(offer?.name)} was left out: ${refusalReasons[step.reason]}`
    case 'offer_refused':
      return `The offer ${quote(offer?.name)} does not take the visitor: ${describePart(offer?.rule, step.part)}.`
    case 'cap_full':
      return `The cap ${quote(offer?.caps?.[step.cap]?.cap_id)} of the offer ${quote(offer?.name)} is full.`
    case 'offer_for_cap':
      return `The offer ${quote(offer?.name)} takes visitors in its place.`
    case 'offer_for_fraud':
      place.isDiverted = true
      return `The offer ${quote(offer?.name)} takes diverted clicks.`
    case 'offer_for_country':
      return `Visitors of this country are sent to the offer ${quote(offer?.name)} instead.`
    case 'offer_bound':
      return `The offer ${quote(offer?.name)} is the one that the visitor had before.`
    case 'offer_taken':
      return `The offer is ${quote(offer?.name)}, the only one that can take the visitor.`
    case 'offer_drawn':
      return `The offer ${quote(offer?.name)} was drawn by weight (number ${step.drawn + 1} of ${step.total}).`
    default:
      return step satisfies never
  }
}

const landingsAt = ({ flow, offer, isDiverted, affiliateId }: Place): readonly Landing[] =>
  (isDiverted ? undefined : flow?.landings) ?? offer?.affiliates?.[affiliateId ?? '']?.landings ?? offer?.landings ?? []

type LandingStep = Extract<TraceStep, { readonly landing: number }>

function describeLandingStep(step: LandingStep, place: Place): string {
  const landings = landingsAt(place)
  const name = quote(landings[step.landing]?.landing_id)
  switch (step.kind) {
    case 'landing_asked':
      return `The landing ${name} was named by the request.`
    case 'landing_taken':
      return `The landing is ${name}, the only one that takes visitors.`
    case 'landing_bound':
      return `The landing ${name} is the one that the visitor had before.`
    case 'landing_drawn':
      return `The landing ${name} was drawn by weight (number ${step.drawn + 1} of ${step.total}).`
    default:
      return step satisfies never
  }
}

function describePart(rule: Rule | undefined, part: number): string {
  const found = rule === undefined ? undefined : listParts(rule)[part]
  if (found === undefined) return 'its rule was not met'
  if ('all' in found) return 'not all of its conditions were met'
  if ('any' in found) return 'none of its alternatives was met'
  if ('not' in found) return 'what its rule excludes was the case'
  const text = printCondition(found)
  const shown =
    text.length > routingLimits.conditionCharactersMax
      ? `${text.slice(0, routingLimits.conditionCharactersMax)}…`
      : text
  return `“${shown}” was not met`
}
