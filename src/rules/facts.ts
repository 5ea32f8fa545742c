import type { Assignment, ClickRecord, Subs, Utm, VisitorFacts } from '#records'
import { parseIp, type Ip } from './addresses.ts'

export type UniqueScope = 'campaign' | 'offer' | 'global'

/** Who came, as enrichment found it. */
export type RuleVisitor = Partial<VisitorFacts> & { readonly connection?: string }

/** What the request brought, under the names of the click record. */
export type RuleParameters = Subs &
  Utm &
  Partial<
    Pick<
      ClickRecord,
      | 'sub2_keys'
      | 'source_id'
      | 'ad_campaign_id'
      | 'creative_id'
      | 'external_click_id'
      | 'cost_micros'
      | 'currency'
      | 'referrer'
      | 'domain'
    >
  >

/** Where the click belongs. May change while a decision is made: nothing of it is kept between two conditions. */
export type RuleAssignment = {
  -readonly [name in keyof Assignment]?: Assignment[name] | undefined
} & { link_code?: string | undefined }

/** The conversion or event that is judged, under the names of the facts' columns. */
export type RuleConversion = {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Of its click. */
  readonly click_at?: number | undefined
  readonly type?: string | undefined
  readonly goal?: string | undefined
  readonly status?: string | undefined
  /** Integer micros of `currency`. */
  readonly payout_micros?: number | undefined
  readonly revenue_micros?: number | undefined
  readonly sale_amount_micros?: number | undefined
  readonly currency?: string | undefined
}

/** What a rule reads from. A click record can be `visitor`, `parameters` and `assigned` at once: nothing is copied.
 * The getters are asked only when a rule asks.
 */
export type RuleFactsGiven = {
  /** The moment for which time tables are read, milliseconds since the epoch: of the click, else of the conversion. */
  readonly at: number
  readonly visitor: RuleVisitor
  readonly parameters: RuleParameters
  readonly assigned: Readonly<RuleAssignment>
  /** A parameter of the request by its name. */
  readonly query?: ((name: string) => string | undefined) | undefined
  /** Whether the visitor is new there. */
  readonly isUnique?: ((scope: UniqueScope) => boolean) | undefined
  readonly conversion?: RuleConversion | undefined
}

/** Facts of one click, event or conversion. Made once and handed to every rule that is tried on it: texts are put in lower
 * case and the address is parsed once, when first asked for.
 *
 * All objects have one shape, so that a reader of a field is one load.
 */
export class RuleFacts {
  readonly at: number
  readonly visitor: RuleVisitor
  readonly parameters: RuleParameters
  readonly assigned: Readonly<RuleAssignment>
  readonly query: ((name: string) => string | undefined) | undefined
  readonly isUnique: ((scope: UniqueScope) => boolean) | undefined
  readonly conversion: RuleConversion | undefined
  /** Texts in lower case, by the slot of their field. */
  folded: (string | undefined)[] | undefined = undefined
  #ip: Ip | undefined = undefined
  #isIpRead = false

  constructor(given: RuleFactsGiven) {
    this.at = given.at
    this.visitor = given.visitor
    this.parameters = given.parameters
    this.assigned = given.assigned
    this.query = given.query
    this.isUnique = given.isUnique
    this.conversion = given.conversion
  }

  /** The visitor's address; undefined where it is none. */
  get ip(): Ip | undefined {
    if (this.#isIpRead) return this.#ip
    this.#isIpRead = true
    this.#ip = parseIp(this.visitor.ip ?? '')
    return this.#ip
  }
}

/** Texts are compared in lower case. */
export const fold = (text: string): string => text.toLowerCase()
