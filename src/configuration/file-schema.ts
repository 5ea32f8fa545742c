import { Type, type Static, type TSchema } from 'typebox'
import { optimizeDefaults, optimizeLimits } from '#bandit'
import { capLimits } from '#caps'
import { fraudLimits } from '#fraud'
import { postbackLimits, receiverTemplateNames } from '#postbacks'
import { archiveKinds, retentionLimits } from '#retention'
import { ruleLimits } from '#rules'

/** The shape of a configuration file, once: the checker reads it, the JSON schema for editors and the tables of
 * docs/configuration.md are made of it. Keys have the names of the snapshot (#routing); amounts are decimals.
 *
 * Beyond JSON Schema: `format` names a check of value-formats.ts, `refersTo` the section that an id must be in.
 */
const id = { pattern: '^[a-z0-9][a-z0-9_.-]{0,62}$' }

const text = (description: string, maxLength = 200): ReturnType<typeof Type.String> =>
  Type.String({ description, minLength: 1, maxLength })

const formatted = (format: string, description: string, more: object = {}): ReturnType<typeof Type.String> =>
  Type.String({ format, description, maxLength: 2_048, ...more })

/** A decimal, written with or without quotes; kept as text until it is an integer. */
const decimal = (format: 'amount' | 'share', description: string, more: object = {}) =>
  Type.Unsafe<string>({ type: ['string', 'number'], format, description, ...more })

const oneOf = <const Word extends string>(words: readonly Word[], description: string, byDefault?: Word) =>
  Type.Unsafe<Word>({ type: 'string', enum: words, description, ...(byDefault && { default: byDefault }) })

const integer = (minimum: number, maximum: number, description: string, byDefault?: number) =>
  Type.Integer({ minimum, maximum, description, ...(byDefault !== undefined && { default: byDefault }) })

const reference = (refersTo: SectionName, description: string) => Type.String({ refersTo, description })

const list = <Item extends TSchema>(items: Item, description: string, more: object = {}) =>
  Type.Array(items, { description, maxItems: 10_000, ...more })

const strict = { additionalProperties: false }

/** Days of clicks that weights are learned from, unless said otherwise. */
export const WINDOW_DAYS_DEFAULT = 30

export const sectionNames = ['advertisers', 'affiliates', 'offers', 'campaigns', 'links', 'endpoints'] as const
export type SectionName = (typeof sectionNames)[number]

const fallbackUrl = formatted(
  'redirect_url',
  'Where visitors go that nothing accepts; macros are filled. Left out: the next wider one.',
)
const uniqueTtlHours = integer(
  1,
  fraudLimits.conversionHoursMax,
  'A visitor counts as unique again after this many hours.',
  24,
)
const weight = integer(0, 1_000_000, 'Share of the visitors, relative to the others; 0 takes no new ones.', 100)

const landing = Type.Object(
  {
    landing_id: Type.String({ format: 'id', description: 'Id of the landing page, unique in its list.' }),
    url: formatted('redirect_url', 'Address with macros such as `{clickid}`.'),
    weight: Type.Optional(weight),
  },
  strict,
)

const price = Type.Object(
  {
    type: oneOf(['lead', 'sale'], 'What this price is for.'),
    goal: Type.Optional(
      Type.String({
        format: 'event_name',
        description: 'Only this event or goal; left out: all of the type. The first price that fits is taken.',
      }),
    ),
    payout: Type.Optional(decimal('amount', 'Owed to the affiliate per conversion.', { default: '0' })),
    revenue: Type.Optional(decimal('amount', 'Earned from the advertiser per conversion.', { default: '0' })),
    payout_share: Type.Optional(decimal('share', 'Revshare: percentage of the sale owed to the affiliate.')),
    revenue_share: Type.Optional(decimal('share', 'Revshare: percentage of the sale earned.')),
    status: Type.Optional(
      oneOf(['pending', 'approved'], 'Status of a new conversion where the sender names none.', 'approved'),
    ),
  },
  strict,
)

const redirectKind = oneOf(
  ['302', '303', '307', 'meta', 'double_meta', 'js', 'iframe'],
  'How visitors are sent on: an HTTP redirect, a page that goes on by itself (`double_meta`: by way of a second page of ours, so that the target sees no other referrer), or the target inside a page of ours. Default: `302`.',
)
const referrerPolicy = oneOf(
  ['no-referrer', 'origin', 'unsafe-url'],
  'What the browser tells the target of the page that the visitor came from. Left out: what the browser does by itself.',
)
const rule = (description: string) => Type.Unsafe<RuleValue>({ format: 'rule', description })

const weightedOffer = Type.Object(
  { offer_id: reference('offers', 'Id of the offer.'), weight: Type.Optional(weight) },
  strict,
)

const flow = Type.Object(
  {
    flow_id: Type.String({
      format: 'id',
      description: 'Id of the flow, unique in the installation: a link may name it alone.',
    }),
    kind: Type.Optional(
      oneOf(
        ['forced', 'regular', 'default'],
        '`forced` is tried before the regular flows, `default` after them.',
        'regular',
      ),
    ),
    status: Type.Optional(oneOf(['active', 'paused'], 'A paused flow is passed over.', 'active')),
    weight: Type.Optional(
      integer(
        0,
        1_000_000,
        'Among the regular flows that accept a visitor one is drawn by weight. No flow with a weight: the first in order.',
        0,
      ),
    ),
    rule: Type.Optional(rule('Whom the flow accepts; left out: everyone. See "Rules".')),
    offer_id: Type.Optional(reference('offers', 'Short for one entry in `offers`.')),
    offers: Type.Optional(list(weightedOffer, 'Offers, drawn by weight.', { minItems: 1 })),
    landings: Type.Optional(list(landing, 'Landings instead of those of the offer.', { minItems: 1 })),
    to_campaign: Type.Optional(
      reference('campaigns', 'Instead of offers: this campaign of the same advertiser decides.'),
    ),
    to_url: Type.Optional(formatted('redirect_url', 'Instead of offers: everyone goes there; macros are filled.')),
    show_html: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100_000,
        format: 'html',
        description: 'Instead of offers: this page is shown; macros are filled and escaped.',
      }),
    ),
    show_not_found: Type.Optional(Type.Boolean({ description: 'Instead of offers: the plain 404 page.' })),
    redirect: Type.Optional(redirectKind),
    referrer_policy: Type.Optional(referrerPolicy),
  },
  strict,
)

/** A rule as read, checked by read-rule.ts. */
export type RuleValue = { readonly rule: unknown }

const advertiser = Type.Object(
  {
    state: Type.Optional(oneOf(['present', 'absent'], '`absent` removes it.', 'present')),
    name: Type.Optional(text('Name in reports. Default: the id.')),
    timezone: Type.Optional(
      Type.String({ format: 'timezone', description: 'IANA zone of its days in reports and caps.', default: 'UTC' }),
    ),
    currency: Type.Optional(
      Type.String({ format: 'currency', description: 'ISO 4217 code; its offers have it by default.', default: 'USD' }),
    ),
    status: Type.Optional(oneOf(['active', 'paused'], 'Paused: its links lead to the fallback.', 'active')),
    domains: Type.Optional(
      list(
        formatted('domain', 'Host.'),
        'Hosts of its pages, which may send events. `*.example.com` covers every subdomain.',
        { maxItems: 1_000 },
      ),
    ),
    fallback_url: Type.Optional(fallbackUrl),
    postback_allow: Type.Optional(
      Type.Object(
        {
          domains: Type.Optional(
            list(
              formatted('postback_domain', 'Host.'),
              'Hosts that the URLs of its endpoints may name. `*.example.com` covers every subdomain.',
              { minItems: 1, maxItems: 1_000 },
            ),
          ),
          addresses: Type.Optional(
            list(
              formatted('address_block', 'Address.'),
              'Every address that such a host has must lie in one of these, each time that it is connected to.',
              { minItems: 1, maxItems: 1_000 },
            ),
          ),
        },
        { ...strict, description: 'The only places that its endpoints may send to.' },
      ),
    ),
    retention: Type.Optional(
      Type.Object(
        {
          raw_days: Type.Optional(
            integer(
              retentionLimits.rawDaysMin,
              retentionLimits.rawDaysMax,
              'Days that its raw facts are kept; aggregates stay. Left out: `WAYPOST_RAW_DAYS`.',
            ),
          ),
          archive: Type.Optional(
            oneOf(archiveKinds, 'Where its raw facts go before they are dropped. Left out: `WAYPOST_RAW_ARCHIVE`.'),
          ),
        },
        { ...strict, minProperties: 1, description: 'How long its raw facts are kept.' },
      ),
    ),
  },
  strict,
)

const affiliate = Type.Object(
  {
    state: Type.Optional(oneOf(['present', 'absent'], '`absent` removes it.', 'present')),
    name: Type.Optional(text('Name in reports. Default: the id.')),
    status: Type.Optional(
      oneOf(['active', 'blocked'], 'Clicks of a blocked affiliate lead to the fallback.', 'active'),
    ),
    advertiser_ids: Type.Optional(
      list(reference('advertisers', 'Id of the advertiser.'), 'Advertisers that took it on.'),
    ),
  },
  strict,
)

const statusMeaning = Type.String({
  pattern: '^((lead|sale)(/(pending|approved|rejected))?|pending|approved|rejected|ignore)$',
  description: 'What the word means: `lead`, `approved`, `sale/approved` or `ignore` (recorded, no conversion).',
})

const inboundPostback = Type.Object(
  {
    secrets: Type.Optional(
      list(Type.String({ format: 'shared_secret', description: 'Secret.' }), 'Any of these is accepted as `secret`.', {
        maxItems: 10,
      }),
    ),
    hmac_secrets: Type.Optional(
      list(Type.String({ format: 'shared_secret', description: 'Secret.' }), 'Keys of HMAC-SHA256 signatures.', {
        maxItems: 10,
      }),
    ),
    allowed_addresses: Type.Optional(
      list(
        Type.String({ format: 'address_block', description: 'Address.' }),
        'IP addresses or CIDR blocks; none: any.',
        { maxItems: 1_000 },
      ),
    ),
    repeated_amounts: Type.Optional(
      oneOf(
        ['update', 'refuse'],
        'What a postback with a known transaction id, the same status and another amount does, where the amount sets the price: `update` corrects the conversion, `refuse` takes it for a duplicate. See [conversions](states/conversion.md#another-amount).',
        'update',
      ),
    ),
  },
  { ...strict, description: 'How its server proves that a postback is its own, and what it may change.' },
)

const countryFallback = Type.Object(
  {
    offer_id: Type.Optional(reference('offers', 'This offer of the same advertiser.')),
    url: Type.Optional(formatted('redirect_url', 'This address; macros are filled.')),
  },
  strict,
)

const offerAffiliate = Type.Object(
  {
    status: Type.Optional(
      oneOf(
        ['approved', 'pending', 'blocked'],
        'Left out: as `access` says. Only an approved affiliate may send traffic where approval is asked for, and no blocked one anywhere.',
      ),
    ),
    landings: Type.Optional(list(landing, 'Landings instead of those of the offer.', { minItems: 1, maxItems: 1_000 })),
    prices: Type.Optional(list(price, 'Prices that go before those of the offer.', { minItems: 1, maxItems: 100 })),
  },
  strict,
)

const cap = Type.Object(
  {
    cap_id: Type.String({
      pattern: `^[A-Za-z0-9_-]{1,${capLimits.capIdCharactersMax}}$`,
      description: 'Id of the cap, unique in the offer. Another id begins to count at zero.',
    }),
    metric: oneOf(['clicks', 'conversions', 'payout', 'revenue'], 'What is counted.'),
    period: oneOf(
      ['hour', 'day', 'week', 'month', 'total'],
      'How long it counts before it begins at zero again, in the zone of the advertiser; weeks begin on Monday.',
    ),
    limit: decimal(
      'amount',
      'How much: a whole number, or an amount of the currency of the offer for payout and revenue.',
    ),
    per: Type.Optional(
      list(
        Type.String({ pattern: '^(affiliate|country|sub([1-9]|[12][0-9]|30))$', description: 'Dimension.' }),
        'One count for each value of these: `affiliate`, `country`, `sub1` … `sub30`; left out: one for the offer.',
        { minItems: 1, maxItems: capLimits.dimensionsMax },
      ),
    ),
    rule: Type.Optional(rule('Whose clicks and conversions it is for; left out: all. See "Rules".')),
    mode: Type.Optional(
      oneOf(
        ['hard', 'soft'],
        'Of conversions and money: `hard`: every click that is sent on holds what it may bring; `soft`: only what was booked counts.',
        'hard',
      ),
    ),
    hold_minutes: Type.Optional(
      integer(
        1,
        capLimits.holdMinutesMax,
        'How long a click holds its share of a hard cap on conversions or money.',
        60,
      ),
    ),
  },
  strict,
)

const fraudScores = Type.Record(Type.String(), integer(0, 100, 'Points.'), {
  format: 'fraud_rule',
  description: 'Points of rules, instead of the usual ones; 0 switches a rule off.',
})
const from = (action: string) => Type.Optional(integer(1, 100, `From how many points on ${action}; left out: never.`))
const rateLimit = integer(1, fraudLimits.clicksOfWindowMax, 'More clicks than this within the window are a reason.')
const rateOfInstallation = Type.Object(
  { limit: rateLimit, window_seconds: integer(1, fraudLimits.windowSecondsMax, 'How long the window is.') },
  { ...strict, description: 'Limit and window.' },
)
const rateOfOffer = Type.Object(
  { limit: rateLimit },
  { ...strict, description: 'Limit in the window of the installation.' },
)
const ratesOf = <Rate extends TSchema>(rate: Rate) =>
  Type.Record(Type.String(), rate, {
    format: 'rate_kind',
    description: 'Clicks of one address, network, visitor or affiliate.',
  })
const referrers = (description: string) =>
  Type.Optional(
    list(Type.String({ minLength: 1, maxLength: 255 }), description, { maxItems: fraudLimits.referrersMax }),
  )

const ownFraudRule = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z0-9_]{1,16}$',
      description: '1 to 16 of a-z, 0-9 and _; stands in the record.',
    }),
    sentence: Type.Optional(text('What it says, for a person; left out: its name.')),
    score: integer(1, 100, 'Points.'),
    at: Type.Optional(oneOf(['click', 'conversion'], 'What it is asked of.', 'click')),
    rule: rule('What is suspicious. See "Rules".'),
  },
  strict,
)

const fraudParts = {
  scores: Type.Optional(fraudScores),
  thresholds: Type.Optional(
    Type.Object(
      { mark: from('a click is marked'), divert: from('it is sent elsewhere'), refuse: from('it is refused') },
      { ...strict, description: 'What happens to clicks. Default: `{ mark: 30 }`.' },
    ),
  ),
  conversion_thresholds: Type.Optional(
    Type.Object(
      { mark: from('a conversion is marked'), hold: from('it waits for a person'), reject: from('it is rejected') },
      { ...strict, description: 'What happens to conversions. Default: `{ mark: 30 }`.' },
    ),
  ),
  divert_to: Type.Optional(
    Type.Object(
      {
        offer_id: Type.Optional(reference('offers', 'This offer, for clicks of its own advertiser.')),
        url: Type.Optional(formatted('redirect_url', 'This address; macros are filled.')),
      },
      { ...strict, description: 'Where diverted clicks go; left out: to the fallback.' },
    ),
  ),
  referrers: Type.Optional(
    Type.Object(
      {
        allow: referrers('Hosts, `*.example.com` or `@list`: any other referrer is a reason.'),
        deny: referrers('Hosts, `*.example.com` or `@list`: these are a reason.'),
      },
      { ...strict, description: 'Where clicks may come from.' },
    ),
  ),
  ctit: Type.Optional(
    Type.Object(
      {
        seconds_min: Type.Optional(
          integer(0, fraudLimits.ctitSecondsMinMax, 'A conversion sooner after its click is a reason.', 3),
        ),
        seconds_max: Type.Optional(
          integer(1, fraudLimits.ctitSecondsMaxMax, 'A conversion later is a reason.', 2_592_000),
        ),
      },
      { ...strict, description: 'Time from click to conversion.' },
    ),
  ),
  conversions: Type.Optional(
    Type.Object(
      {
        per_ip: Type.Optional(
          integer(
            1,
            fraudLimits.conversionsLimitMax,
            'More clicks of one address that converted within the window are a reason.',
            5,
          ),
        ),
        per_device: Type.Optional(
          integer(
            1,
            fraudLimits.conversionsLimitMax,
            'More clicks of one device that converted within the window are a reason.',
            2,
          ),
        ),
        window_hours: Type.Optional(integer(1, fraudLimits.conversionHoursMax, 'How long the window is.', 24)),
      },
      { ...strict, description: 'Clicks of one address or device that converted.' },
    ),
  ),
  own_rules: Type.Optional(list(ownFraudRule, 'Rules of your own.', { maxItems: fraudLimits.ownRulesMax })),
}

const fraud = Type.Object(
  {
    ...fraudParts,
    rates: Type.Optional(ratesOf(rateOfInstallation)),
    duplicate_seconds: Type.Optional(
      integer(
        1,
        fraudLimits.windowSecondsMax,
        'A second click of a visitor to a campaign within so long is a duplicate.',
        10,
      ),
    ),
  },
  {
    ...strict,
    description:
      'How clicks and conversions are scored, see [fraud](fraud.md); left out: unchanged; empty: only those of offers with settings of their own are.',
  },
)

const offerFraud = Type.Object(
  { ...fraudParts, rates: Type.Optional(ratesOf(rateOfOffer)) },
  { ...strict, description: 'What it sets otherwise than `fraud` of the installation, entry by entry.' },
)

const offer = Type.Object(
  {
    state: Type.Optional(oneOf(['present', 'absent'], '`absent` removes it.', 'present')),
    advertiser_id: reference('advertisers', 'Whose offer it is.'),
    name: Type.Optional(text('Name in reports. Default: the id.')),
    status: Type.Optional(oneOf(['active', 'paused', 'archived'], 'Only an active offer takes clicks.', 'active')),
    starts_at: Type.Optional(
      Type.String({
        format: 'date',
        description:
          'Takes no clicks before. `2026-09-01` (midnight in the zone of the advertiser) or `2026-09-01T09:00:00Z`.',
      }),
    ),
    ends_at: Type.Optional(Type.String({ format: 'date', description: 'Takes no clicks from then on.' })),
    model: Type.Optional(
      oneOf(
        ['cpa', 'cpl', 'cps', 'revshare'],
        '`cpa` pays leads and sales, `cpl` leads, `cps` sales, `revshare` a share of the sale.',
        'cpa',
      ),
    ),
    currency: Type.Optional(
      Type.String({ format: 'currency', description: 'ISO 4217 code. Default: that of the advertiser.' }),
    ),
    prices: list(price, 'What a conversion is worth.', { minItems: 1, maxItems: 100 }),
    hold_days: Type.Optional(integer(0, 365, 'Days that an approved payout waits in hold.', 0)),
    landing_url: Type.Optional(
      formatted('redirect_url', 'Short for one entry in `landings`, whose id is that of the offer.'),
    ),
    landings: Type.Optional(list(landing, 'Landing pages, drawn by weight.', { minItems: 1, maxItems: 1_000 })),
    event_map: Type.Optional(
      Type.Record(Type.String(), oneOf(['lead', 'sale', 'none'], 'Conversion type; `none` takes a default away.'), {
        format: 'event_name',
        maxProperties: 200,
        description:
          'Event type → conversion type, over the defaults `reg: lead`, `lead: lead`, `deposit: sale`, `sale: sale`.',
      }),
    ),
    custom_events: Type.Optional(
      list(
        Type.String({ format: 'event_name', description: 'Event name.' }),
        'Further event names accepted from its pages.',
        { maxItems: 200 },
      ),
    ),
    status_map: Type.Optional(
      Type.Record(Type.String(), statusMeaning, {
        format: 'status_word',
        maxProperties: 500,
        description:
          'Partner\'s status or goal word → meaning; upper and lower case count as equal. Goes before the words that everybody understands, see "Status words".',
      }),
    ),
    postback: Type.Optional(inboundPostback),
    rule: Type.Optional(rule('Whom the offer takes, e.g. by country; left out: everyone. See "Rules".')),
    block: Type.Optional(rule('What it does not take whatever `rule` says: sub ids, sources, … See "Rules".')),
    country_fallbacks: Type.Optional(
      Type.Record(Type.String(), countryFallback, {
        format: 'country_or_any',
        maxProperties: 300,
        description: 'Where visitors go whom `rule` does not take, by country; `"*"`: every other country.',
      }),
    ),
    access: Type.Optional(
      oneOf(
        ['public', 'on_approval', 'private'],
        'Which affiliates may send traffic: every member of the advertiser, or those approved in `affiliates`; a `private` offer is shown to nobody else.',
        'public',
      ),
    ),
    affiliates: Type.Optional(
      Type.Record(Type.String(), offerAffiliate, {
        format: 'id',
        maxProperties: 10_000,
        description: 'What holds for single affiliates, by id.',
      }),
    ),
    caps: Type.Optional(
      list(cap, 'How much the offer takes. See [caps](caps.md).', { minItems: 1, maxItems: capLimits.capsOfOfferMax }),
    ),
    cap_fallbacks: Type.Optional(
      list(
        reference('offers', 'Id of the offer.'),
        'Offers of the same advertiser that take its visitors while a cap is full, in order.',
        { minItems: 1, maxItems: capLimits.fallbacksMax },
      ),
    ),
    fraud: Type.Optional(offerFraud),
    redirect: Type.Optional(redirectKind),
    referrer_policy: Type.Optional(referrerPolicy),
    unique_ttl_hours: Type.Optional(uniqueTtlHours),
    click_lifetime_days: Type.Optional(integer(0, 3_650, 'Conversions of older clicks are refused; 0: never.', 90)),
    fallback_url: Type.Optional(fallbackUrl),
  },
  strict,
)

const bindHours = (what: string) =>
  integer(1, fraudLimits.conversionHoursMax, `Hours that a visitor keeps the ${what} drawn for them.`)

const bind = Type.Object(
  {
    flow_hours: Type.Optional(bindHours('flow')),
    offer_hours: Type.Optional(bindHours('offer')),
    landing_hours: Type.Optional(bindHours('landing')),
  },
  { ...strict, description: 'What a visitor who comes again gets again, where it still accepts them.' },
)

const optimize = Type.Object(
  {
    weights: Type.Optional(
      list(
        oneOf(
          ['flows', 'offers', 'landings'],
          'Of the regular flows, of the offers of each flow, of the landings of each offer.',
        ),
        'Which weights are learned.',
        { minItems: 1, maxItems: 3, default: ['offers'] },
      ),
    ),
    goal: Type.Optional(
      oneOf(['epc', 'cr'], 'What counts: `epc`: revenue per click; `cr`: conversions per click.', 'epc'),
    ),
    mode: Type.Optional(
      oneOf(
        ['on', 'watch', 'off'],
        '`watch` learns and shows what it would do, and visitors are drawn by the weights of this file.',
        'on',
      ),
    ),
    floor_share: Type.Optional(
      decimal('share', 'What each keeps of the visitors, however little it earns.', {
        default: `${optimizeDefaults.floor_share * 100}%`,
      }),
    ),
    half_life_hours: Type.Optional(
      integer(
        1,
        optimizeLimits.halfLifeHoursMax,
        'A click counts half after so many hours: the fewer, the faster a change is followed, and the more is spent on trying.',
        optimizeDefaults.half_life_hours,
      ),
    ),
    window_days: Type.Optional(integer(1, 365, 'Older clicks do not count at all.', WINDOW_DAYS_DEFAULT)),
  },
  { ...strict, description: 'Learns weights from conversions: see [learned weights](bandit.md).' },
)

const campaign = Type.Object(
  {
    state: Type.Optional(oneOf(['present', 'absent'], '`absent` removes it.', 'present')),
    advertiser_id: reference('advertisers', 'Whose campaign it is.'),
    name: Type.Optional(text('Name in reports. Default: the id.')),
    status: Type.Optional(oneOf(['active', 'paused'], 'A paused campaign leads to the fallback.', 'active')),
    affiliate_id: Type.Optional(reference('affiliates', 'Affiliate whose traffic this is where the link names none.')),
    offer_id: Type.Optional(
      reference('offers', 'Short for one default flow with this offer, whose id is that of the campaign.'),
    ),
    flows: Type.Optional(list(flow, 'Flows, in the order in which they are tried.', { minItems: 1, maxItems: 20_000 })),
    rotation: Type.Optional(
      oneOf(
        ['weight', 'position'],
        'How one of the regular flows that accept a visitor is found: drawn by weight, or the first in order.',
        'weight',
      ),
    ),
    bind: Type.Optional(bind),
    optimize: Type.Optional(optimize),
    unique_ttl_hours: Type.Optional(uniqueTtlHours),
    fallback_url: Type.Optional(fallbackUrl),
  },
  strict,
)

const link = Type.Object(
  {
    state: Type.Optional(oneOf(['present', 'absent'], '`absent` removes it.', 'present')),
    campaign_id: Type.Optional(reference('campaigns', 'Target.')),
    flow_id: Type.Optional(
      Type.String({ format: 'id', description: 'Target: a flow of the campaign, or of any where none is given.' }),
    ),
    offer_id: Type.Optional(reference('offers', 'Target.')),
    affiliate_id: Type.Optional(reference('affiliates', 'Whose traffic it is.')),
    trap: Type.Optional(
      Type.Boolean({
        description: 'The link is hidden on a page, so that only programs follow it: a reason for `fraud`.',
        default: false,
      }),
    ),
  },
  strict,
)

const triggerWords = [
  'click',
  'lead',
  'sale',
  'rejected',
  'hold_released',
  'status_changed',
  'payout_changed',
  'event',
  'notice',
] as const

const batch = Type.Object(
  {
    max_events: integer(1, postbackLimits.batchEventsMax, 'Messages of one request.'),
    max_wait_ms: Type.Optional(
      integer(0, postbackLimits.batchWaitMsMax, 'Longest time that the first message waits for others.', 1_000),
    ),
    max_bytes: Type.Optional(
      integer(
        1_024,
        postbackLimits.batchBytesMax,
        'Bytes of a body. One message alone is sent whatever its size.',
        1_048_576,
      ),
    ),
    format: Type.Optional(
      oneOf(
        ['json_array', 'ndjson', 'wrapped'],
        '`json_array`: `[…]`, `ndjson`: a line each, `wrapped`: an object with the list under `wrapper_key`.',
        'json_array',
      ),
    ),
    wrapper_key: Type.Optional(text('Key of the list, for `wrapped`. Default: `events`.', 64)),
  },
  { ...strict, description: 'POST as JSON: many messages in one request. Left out: one request each.' },
)

/** `202` and `200-299`, with or without quotes. */
const statusRange = Type.Unsafe<string>({ type: ['string', 'integer'], format: 'statuses', description: 'Statuses.' })

const success = Type.Object(
  {
    statuses: Type.Optional(
      list(statusRange, 'Statuses such as `200` and `200-299`, from 200 to 499.', {
        minItems: 1,
        maxItems: 50,
      }),
    ),
    body: Type.Optional(
      Type.Object(
        {
          contains: Type.Optional(
            list(text('Text.'), 'One of these texts is in the answer; letters in either case.', {
              minItems: 1,
              maxItems: 50,
            }),
          ),
          not_contains: Type.Optional(
            list(text('Text.'), 'None of these texts is in the answer, such as `error`; letters in either case.', {
              minItems: 1,
              maxItems: 50,
            }),
          ),
          matches: Type.Optional(
            text(
              'A regular expression (RE2) is found in the answer; letters in either case.',
              ruleLimits.pattern_length_max,
            ),
          ),
        },
        { ...strict, description: 'What the answer must say. Its first 64 KiB are looked at.' },
      ),
    ),
    json: Type.Optional(
      Type.Object(
        {
          path: text('Where in a JSON answer, such as `data.items.0.status`.'),
          equals: Type.Unsafe<string>({
            type: ['string', 'number', 'boolean'],
            maxLength: 200,
            description: 'What stands there, as text: `ok`, `1`, `true`.',
          }),
        },
        { ...strict, description: 'A value that the answer must hold.' },
      ),
    ),
    otherwise: Type.Optional(
      oneOf(
        ['retry', 'retry_briefly', 'give_up'],
        'What follows a good status with another answer: the long retries, three attempts in an hour, or none.',
        'retry',
      ),
    ),
  },
  { ...strict, description: 'Which answers are a success. Left out: any 2xx.' },
)

const quota = Type.Object(
  {
    count: integer(1, 1_000_000_000, 'Attempts in a period.'),
    per: oneOf(['hour', 'day', 'month'], 'The period, by the calendar.'),
    zone: Type.Optional(formatted('timezone', 'Whose calendar.', { default: 'Etc/UTC' })),
  },
  { ...strict, description: 'Attempts in an hour, day or month; what is above waits for the next one.' },
)

const retry = Type.Object(
  {
    schedule_seconds: list(
      integer(1, 604_800, 'Seconds.'),
      'Waits after the first, second, … attempt, each by up to 20 % longer or shorter.',
      { minItems: 1, maxItems: 49 },
    ),
  },
  { ...strict, description: 'When failed attempts are repeated. Left out: twelve attempts in 70 hours.' },
)

const endpoint = Type.Object(
  {
    state: Type.Optional(oneOf(['present', 'absent'], '`absent` removes it.', 'present')),
    name: Type.Optional(text('Name in lists. Default: the id.')),
    status: Type.Optional(
      oneOf(
        ['active', 'paused'],
        'A paused endpoint gets nothing; what it missed is recorded with this reason.',
        'active',
      ),
    ),
    advertiser_id: Type.Optional(reference('advertisers', 'Only conversions of this advertiser.')),
    affiliate_id: Type.Optional(reference('affiliates', 'Only conversions of this affiliate.')),
    campaign_id: Type.Optional(reference('campaigns', 'Only conversions of this campaign.')),
    offer_id: Type.Optional(reference('offers', 'Only conversions of this offer.')),
    source_id: Type.Optional(
      text('Only conversions of this traffic source: the `source_id` that links bring along.', 255),
    ),
    yields: Type.Optional(
      Type.Boolean({
        description:
          'Silent where an endpoint with all of its scope and more takes the same: a general postback beside those of single offers.',
        default: false,
      }),
    ),
    triggers: Type.Optional(
      list(
        oneOf(triggerWords, 'Trigger.'),
        'What it is sent for. Default: `[lead, sale, rejected]`, or what `template` says.',
        { minItems: 1, maxItems: triggerWords.length },
      ),
    ),
    rule: Type.Optional(
      rule(
        'Which conversions or events it wants to hear of; left out: all. May ask for type, status, payout and the like. See "Rules".',
      ),
    ),
    template: Type.Optional(
      oneOf(receiverTemplateNames, 'Ready-made method, URL and body of a system, see [postbacks](postbacks.md).'),
    ),
    parameters: Type.Optional(
      Type.Record(Type.String(), Type.String({ maxLength: 2_048 }), {
        format: 'template_parameter',
        description: 'What the template asks for: `host`, `key`, …',
        maxProperties: 20,
      }),
    ),
    method: Type.Optional(oneOf(['GET', 'POST'], 'HTTP method. Default: `GET`, or what `template` says.')),
    url: Type.Optional(
      text('Address with macros such as `{click_id}` and `{payout}`. Needed where there is no `template`.', 2_048),
    ),
    body: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'POST: template with macros; left out: a standard JSON body.',
      }),
    ),
    content_type: Type.Optional(
      oneOf(['application/json', 'application/x-www-form-urlencoded'], 'POST: how the body is encoded.'),
    ),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: postbackLimits.headerTemplateCharactersMax }), {
        format: 'header_name',
        description: 'Headers with macros in their values, shown to nobody again: `Authorization: Bearer …`.',
        maxProperties: postbackLimits.headersMax,
      }),
    ),
    batch: Type.Optional(batch),
    at_most_once: Type.Optional(
      Type.Boolean({
        description:
          'Rather not at all than twice: what may have arrived and was not answered is given up as `outcome_unknown`.',
        default: false,
      }),
    ),
    ordered: Type.Optional(
      Type.Boolean({
        description: 'Messages of one click are sent one after the other: none before the one before it has ended.',
        default: false,
      }),
    ),
    secret: Type.Optional(
      Type.String({
        maxLength: 200,
        description: '`whsec_` and 24 to 64 bytes in base64 (Standard Webhooks); left out: unsigned.',
      }),
    ),
    secrets: Type.Optional(
      Type.Record(Type.String(), Type.String({ format: 'endpoint_secret' }), {
        format: 'secret_name',
        description:
          'Keys of the receiver, which stand in `url`, `body` and `headers` as `{secret.name}`. Sealed, and shown to nobody again.',
        maxProperties: 20,
      }),
    ),
    previous_secret: Type.Optional(
      Type.String({ maxLength: 200, description: 'The secret before; until its end requests are signed with both.' }),
    ),
    previous_secret_until: Type.Optional(
      formatted('date', 'When the secret before is used no more, at most seven days ahead where a rotation sets it.'),
    ),
    timeout_ms: Type.Optional(integer(100, 60_000, 'For the whole attempt.', 10_000)),
    max_concurrency: Type.Optional(integer(1, 100, 'Attempts at the same time.', 4)),
    max_attempts: Type.Optional(
      integer(
        1,
        50,
        'Attempts before it is given up. Where `retry` is given: one more than its waits, unless set.',
        12,
      ),
    ),
    retry: Type.Optional(retry),
    success: Type.Optional(success),
    final_statuses: Type.Optional(
      list(statusRange, 'Statuses after which nothing is tried again, such as `406` and `400-404`.', {
        minItems: 1,
        maxItems: 50,
      }),
    ),
    max_per_minute: Type.Optional(
      integer(
        1,
        600_000,
        'Attempts per minute, evenly: at most those of one second at once. Left out: as fast as it answers.',
      ),
    ),
    quota: Type.Optional(quota),
    expires_hours: Type.Optional(
      integer(
        1,
        720,
        'What could not be delivered by then is given up, also while the endpoint is not called at all.',
        120,
      ),
    ),
    allow_private_address: Type.Optional(
      Type.Boolean({ description: 'Lets it be on a private or loopback address.', default: false }),
    ),
    via_proxy: Type.Optional(
      Type.Boolean({
        description:
          'Whether it is called through `WAYPOST_POSTBACK_PROXY`; left out: where that is set. `true` without a proxy: it is not called.',
      }),
    ),
  },
  strict,
)

const section = <Item extends TSchema>(item: Item, description: string) =>
  Type.Record(Type.String(id), item, { format: 'id', description, maxProperties: 100_000 })

export const configurationFileSchema = Type.Object(
  {
    prune: Type.Optional(
      Type.Boolean({
        description:
          'Retires every object that the file does not name: offers are archived, campaigns, advertisers and endpoints paused, affiliates blocked, links and lists removed.',
        default: false,
      }),
    ),
    fallback_url: Type.Optional(
      formatted(
        'redirect_url',
        'Where requests go that have no other target; left out: unchanged; empty: a plain 404 page.',
      ),
    ),
    lists: Type.Optional(
      Type.Record(
        Type.String(),
        list(Type.String({ minLength: 1, maxLength: ruleLimits.value_length_max }), 'Entries.', {
          minItems: 1,
          maxItems: ruleLimits.values_max,
        }),
        {
          format: 'list_name',
          description: 'Lists that rules name: `ip in @office`. `office:` with nothing after it removes the list.',
          maxProperties: 1_000,
        },
      ),
    ),
    fraud: Type.Optional(fraud),
    advertisers: Type.Optional(section(advertiser, 'Advertisers by id.')),
    affiliates: Type.Optional(section(affiliate, 'Affiliates by id.')),
    offers: Type.Optional(section(offer, 'Offers by id.')),
    campaigns: Type.Optional(section(campaign, 'Campaigns by id.')),
    links: Type.Optional(
      Type.Record(Type.String(), link, {
        format: 'link_code',
        description: 'Short links by code: `GET /CODE`.',
        maxProperties: 100_000,
      }),
    ),
    endpoints: Type.Optional(section(endpoint, 'Receivers of outbound postbacks by id.')),
  },
  strict,
)

export type FileAdvertiser = Static<typeof advertiser>
export type FileAffiliate = Static<typeof affiliate>
export type FileOffer = Static<typeof offer>
export type FileFraud = Static<typeof fraud>
export type FileOfferFraud = Static<typeof offerFraud>
export type FileCap = Static<typeof cap>
export type FilePrice = Static<typeof price>
export type FileLanding = Static<typeof landing>
export type FileCampaign = Static<typeof campaign>
export type FileFlow = Static<typeof flow>
export type FileOptimize = Static<typeof optimize>
export type FileLink = Static<typeof link>
export type FileEndpoint = Static<typeof endpoint>
