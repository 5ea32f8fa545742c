import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'

import { findLearned } from '#optimization'
import { WaypostError } from '#platform/errors'
import { ENOUGH, simulate } from '#simulation'

import type { Api } from '../api.ts'
import { readableBy } from '../authorize.ts'
import { choiceSchema, chosenConfiguration } from '../chosen-configuration.ts'
import { keepConfigVersions } from '../config-versions.ts'
import { issuesBody, issuesSchema } from '../configuration-json.ts'
import { errorSchema, RequestError } from '../errors.ts'
import { missingDays } from '../missing-days.ts'
import { apiLimits, type ApiLimits } from '../limits.ts'
import { amountText, instantText } from '../schemas.ts'

const question = Type.Object(
  {
    from: instantText('Clicks not before'),
    to: Type.Optional(instantText('Clicks before; left out: now')),
    clicks_max: Type.Optional(
      Type.Integer({
        description: 'Clicks decided at most; of a larger period a sample is taken',
        minimum: 1,
        maximum: apiLimits.simulationClicksMax,
        default: apiLimits.simulationClicksDefault,
      }),
    ),
    ...choiceSchema,
  },
  { additionalProperties: false },
)

const ids = {
  campaign_id: Type.Optional(Type.String()),
  flow_id: Type.Optional(Type.String()),
  offer_id: Type.Optional(Type.String()),
  landing_id: Type.Optional(Type.String()),
  outcome: Type.String(),
  refusal: Type.Optional(Type.String()),
}
const destination = Type.Object(ids)
const clicks = Type.Integer({ description: 'Clicks of the sample' })
const rows = Type.Array(Type.Object({ ...ids, clicks }))
const expected = Type.Object({
  before: amountText('By the destinations that the clicks had'),
  after: amountText('By the destinations that they would have had'),
  difference: amountText('After less before'),
  difference_low: amountText('Lower end of the 95 % interval of the difference'),
  difference_high: amountText('Upper end'),
})

const simulation = Type.Object({
  from: instantText('Begin of the period'),
  to: instantText('End of the period'),
  config_version: Type.Integer({
    description: 'Version that was tried; of an unsaved one the number that it would get',
  }),
  is_saved: Type.Boolean({ description: 'Whether that version exists' }),
  clicks: Type.Object({
    in_period: Type.Integer({
      description: 'Of the period; what the facts do not have yet is counted in records of the log',
    }),
    decided: Type.Integer({ description: 'Decided once more: in every list below' }),
    from_log: Type.Integer(),
    from_facts: Type.Integer({ description: 'Read from the facts, because the log has dropped them' }),
    not_reproduced: Type.Integer({
      description: 'Something that their decision hung on is not kept; in no list below',
    }),
    version_unknown: Type.Integer({
      description: 'The version that decided them is not there any more; in no list below',
    }),
    unreadable: Type.Integer({ description: 'Offsets of the log that cannot be read' }),
    is_cut: Type.Boolean({ description: 'The limit was reached before the end of the period' }),
    not_reproduced_examples: Type.Array(Type.String()),
  }),
  sample: Type.Number({
    description: 'Part of the clicks that was looked at; 1: all. Amounts are scaled up, counts are not',
  }),
  moved: Type.Integer({ description: 'Clicks that would have gone elsewhere' }),
  before: rows,
  after: rows,
  movements: Type.Array(Type.Object({ from: destination, to: destination, clicks })),
  not_shown: Type.Object(
    { before: Type.Integer(), after: Type.Integer(), movements: Type.Integer() },
    { description: 'Clicks in further, smaller rows' },
  ),
  earnings: Type.Object({
    by_currency: Type.Array(Type.Object({ currency: Type.String(), revenue: expected, payout: expected })),
    rates: Type.Array(
      Type.Object({
        offer_id: Type.String(),
        country: Type.Optional(Type.String()),
        currency: Type.String(),
        observed_clicks: Type.Integer(),
        observed_conversions: Type.Integer(),
        revenue_per_click: Type.String(),
        payout_per_click: Type.String(),
        clicks_before: Type.Integer(),
        clicks_after: Type.Integer(),
      }),
      { description: 'What a click of each offer brought in the period, and for how many clicks that was used' },
    ),
    unknown: Type.Array(
      Type.Object({ offer_id: Type.String(), clicks_before: Type.Integer(), clicks_after: Type.Integer() }),
      { description: 'Offers with too little data; they are in no amount' },
    ),
  }),
  caps: Type.Optional(
    Type.Object(
      {
        counted_from: instantText('Clicks and conversions from then on are counted'),
        asked: Type.Integer({ description: 'Clicks that asked one of its caps when they were decided' }),
        shifted: Type.Integer({
          description:
            'Of these, those for whom the counts had to be shifted to answer as they did: the fewer, the surer the rest',
        }),
        expected_conversions: Type.Integer({
          description: 'Conversions that clicks are taken to bring to an offer that they did not go to',
        }),
        is_cut: Type.Boolean({ description: 'There were more conversions than are read' }),
      },
      { description: 'How caps were counted; left out: the other configuration has none' },
    ),
  ),
  clicks_per_second: Type.Integer(),
  missing_days: missingDays,
  method: Type.Array(Type.String(), { description: 'How the amounts are reckoned' }),
  limits: Type.Array(Type.String(), { description: 'What the records of clicks cannot tell' }),
})

const METHOD = [
  'Expected amount = clicks × (amount of the conversions of the period’s clicks ÷ those clicks), for the offer in the country of the click, else for the offer as a whole.',
  `A rate is used from ${ENOUGH.clicks} clicks and ${ENOUGH.conversions} conversions on; offers with less are “unknown” and in no amount.`,
  'Before and after are reckoned with the same rates, so the difference is what the change of destinations makes.',
  'The interval is 1.96 standard errors of the difference, with conversions as a compound Poisson process. It does not cover that other visitors may convert otherwise.',
  'Rejected conversions count nothing; conversions that have not come in yet are missing in every rate.',
]

const LIMITS = [
  'Ids that a link named and that named nothing are not kept: the other configuration is asked with a name of nothing too. A name that the decision never came to look at is not kept either.',
  'What an earlier visit had bound is known only where it decided something.',
  'Caps are counted once more from `caps.counted_from` on. What was counted before, as of caps without end, or on another machine is known only from the first click that was answered otherwise: until then a lower limit fills later than it would have.',
  'A click that goes to another offer brings no conversion that was recorded; it is taken to bring one as often, as late and worth as much as the clicks of that offer in the period, from 100 clicks and 10 conversions on, else none.',
  'In a sample the limits of caps are that part of themselves, so that small ones are coarse.',
  'Query parameters that are no field of a click are not kept, nor is whether a visitor was unique: rules that ask them see nothing.',
  'Draws by weight are those of the version that decided, so that only what was changed shows; applied, a new version draws each visitor anew.',
  'Weights learned from conversions are those that the click was drawn by. A click that was drawn by none is drawn by the weights of the other configuration, also where that learns them.',
]

const DAY_MS = 86_400_000

/** What would have become of the clicks of a past period. */
export function addSimulateRoute(plain: FastifyInstance, api: Api, limits: ApiLimits): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const versions = keepConfigVersions(api.pool)
  let isRunning = false

  server.post(
    '/v1/routing/simulate',
    {
      config: readableBy('owner'),
      bodyLimit: apiLimits.configurationBytesMax,
      schema: {
        tags: ['routing'],
        summary:
          'Where the clicks of a past period would have gone with another configuration; close the request to stop it',
        body: question,
        response: {
          200: simulation,
          422: Type.Union([issuesSchema, errorSchema]),
          '4xx': errorSchema,
          '5xx': errorSchema,
        },
      },
    },
    async (request, reply) => {
      const { clicks_max: clicksMax = apiLimits.simulationClicksDefault } = request.body
      const period = periodOf(request.body, api.clock.now())
      if (isRunning) throw new WaypostError('simulation_running')
      isRunning = true
      const { signal, stop } = endWithRequest(reply, limits)
      try {
        const chosen = await chosenConfiguration(api, request.body)
        if (chosen.kind === 'refused') return reply.code(422).send(issuesBody(chosen.issues) as never)
        const result = await simulate({
          ...{ period, clicksMax, signal, log: api.log, facts: api.facts, candidate: chosen.snapshot },
          versionOf: (version) => versions.find(version),
          weightsOf: (version) => findLearned(api.pool, version),
        })
        return {
          from: new Date(period.fromMs).toISOString(),
          to: new Date(period.toMs).toISOString(),
          config_version: chosen.snapshot.version,
          is_saved: chosen.isSaved,
          ...result,
          method: METHOD,
          limits: LIMITS,
        } as never
      } finally {
        stop()
        isRunning = false
      }
    },
  )
}

function periodOf({ from, to }: { readonly from: string; readonly to?: string }, now: number) {
  const fromMs = Date.parse(from)
  const toMs = to === undefined ? now : Date.parse(to)
  if (toMs <= fromMs) throw new RequestError('request_invalid', 'it is not after "from"', 'to')
  if (toMs - fromMs > apiLimits.simulationDaysMax * DAY_MS)
    throw new RequestError('request_invalid', `the period is longer than ${apiLimits.simulationDaysMax} days`, 'from')
  return { fromMs, toMs }
}

/** Ends the work when nobody waits for the answer any more, or when it takes too long. */
function endWithRequest(
  reply: FastifyReply,
  { simulationTimeoutMs }: ApiLimits,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController()
  const timer = setTimeout(
    () => controller.abort(new WaypostError('query_too_expensive', 'Take a shorter period or fewer clicks.')),
    simulationTimeoutMs,
  )
  const close = (): void => controller.abort(new WaypostError('not_ready', 'The request was closed.'))
  reply.raw.once('close', close)
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer)
      reply.raw.off('close', close)
    },
  }
}
