import type { IncomingMessage, ServerResponse } from 'node:http'

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import { Type } from 'typebox'

import { FILTER_RULE_LENGTH_MAX } from '#reports'
import {
  behaviourLimits,
  cohortPeriods,
  funnelModes,
  parseFunnel,
  parsePaths,
  parseRetention,
  parseTimeToConvert,
  retentionKinds,
  runFunnel,
  runPaths,
  runRetention,
  runTimeToConvert,
  WAIT_PERCENTILES,
  type BehaviourDefaults,
  type Refusal,
  type Scope,
} from '#reports/behaviour'
import type { Tenant } from '#accounts'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { missingDays } from '../missing-days.ts'
import { answers, nullable, oneWord, openObject } from '../schemas.ts'
import { defaultsFor } from './reports.ts'

const ruleText = (description: string) => Type.Optional(Type.String({ description, maxLength: FILTER_RULE_LENGTH_MAX }))
const word = (description: string) =>
  Type.Optional(Type.String({ description, minLength: 1, maxLength: behaviourLimits.wordLengthMax }))

const step = Type.Object(
  {
    of: oneWord(['clicks', 'events', 'conversions'], 'What it is'),
    type: word('Of an event or a conversion; left out: any'),
    status: Type.Optional(
      Type.Array(oneWord(['pending', 'approved', 'rejected'], 'Status'), {
        description: 'Of a conversion, as it is now; left out: pending or approved',
        minItems: 1,
        maxItems: behaviourLimits.statusesMax,
      }),
    ),
    filter: ruleText('A rule that its rows meet'),
    name: word('How the answer calls it; left out: its type'),
  },
  { additionalProperties: false },
)

const scope = {
  from: Type.Optional(
    Type.String({
      description: 'First day (YYYY-MM-DD) or first moment (ISO 8601). Default: seven days before `to`',
      maxLength: 40,
    }),
  ),
  to: Type.Optional(
    Type.String({ description: 'Last day, included, or the moment before which. Default: today', maxLength: 40 }),
  ),
  tz: Type.Optional(Type.String({ description: 'IANA zone of days. Default: that of the advertiser', maxLength: 64 })),
  filter: ruleText('A rule that every row meets, whatever its step'),
}
const groups = {
  group_by: Type.Optional(
    Type.Array(Type.String({ maxLength: 80 }), {
      description: `Dimensions, at most ${behaviourLimits.groupsMax}`,
      maxItems: behaviourLimits.groupsMax,
    }),
  ),
  limit: Type.Optional(
    Type.Integer({
      description: 'Groups of the answer',
      minimum: 1,
      maximum: behaviourLimits.rowsMax,
      default: behaviourLimits.rowsDefault,
    }),
  ),
}
const unit = Type.Optional(
  oneWord(
    ['click', 'visitor'],
    'Whose steps are put together: those of a click, or of a visitor with all their clicks',
  ),
)
const windowSeconds = Type.Optional(
  Type.Integer({
    description: 'From the first step to the last',
    minimum: 1,
    maximum: behaviourLimits.windowSecondsMax,
    default: behaviourLimits.windowSecondsDefault,
  }),
)

const answeredScope = {
  from: Type.String(),
  to: Type.String({ description: 'Excluded' }),
  timezone: Type.String(),
  group_by: Type.Array(Type.String()),
  missing_days: missingDays,
}
const isTruncated = Type.Boolean({ description: 'There are more groups than the limit' })

const funnelSteps = Type.Array(
  Type.Object({
    name: Type.String(),
    count: Type.Integer({ description: 'Clicks or visitors that got here' }),
    share_of_first: nullable(Type.Number()),
    share_of_previous: nullable(Type.Number()),
    median_seconds_from_previous: nullable(Type.Number()),
  }),
)

const waits = Type.Object({
  count: Type.Integer({ description: 'Clicks or visitors that came from the start to the end' }),
  mean_seconds: nullable(Type.Number()),
  min_seconds: nullable(Type.Number()),
  max_seconds: nullable(Type.Number()),
  percentiles_seconds: Type.Object(
    Object.fromEntries(WAIT_PERCENTILES.map((percent) => [`p${percent}`, nullable(Type.Number())])),
  ),
  buckets: Type.Array(
    Type.Object({
      from_seconds: Type.Number(),
      to_seconds: nullable(Type.Number({ description: 'Excluded; null: without end' })),
      count: Type.Integer(),
    }),
  ),
})

const cohorts = Type.Array(
  Type.Object({
    start: Type.String({ description: 'First day' }),
    size: Type.Integer({ description: 'Visitors' }),
    is_complete: Type.Boolean({ description: 'The period is over' }),
    cells: Type.Array(
      Type.Object({
        period: Type.Integer({ description: 'Days, weeks or months after the first one' }),
        returned: nullable(Type.Integer({ description: 'Null: the period has not begun' })),
        share: nullable(Type.Number()),
        is_complete: Type.Boolean({ description: 'The number cannot grow any more' }),
      }),
    ),
  }),
)

const node = Type.Object(
  { ...step.properties, by: word('Dimension; of events also type and site, of conversions type, status and goal') },
  { additionalProperties: false },
)
const pathNode = { of: Type.String(), value: Type.String() }

const HINT = 'Steps are clicks, events or conversions; docs/behaviour.md tells how they are counted.'

/** Reports on what visitors did one after the other. */
export function addBehaviourRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const config = readableBy('owner', 'advertiser', 'affiliate')
  addFunnelRoute(server, api, config)
  addTimeToConvertRoute(server, api, config)
  addRetentionRoute(server, api, config)
  addPathsRoute(server, api, config)
}

type Server = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>
type Config = ReturnType<typeof readableBy>

function addTimeToConvertRoute(server: Server, api: Api, config: Config): void {
  server.post(
    '/v1/reports/time-to-convert',
    {
      config,
      schema: {
        tags: ['reports'],
        summary: 'How long it took from one step to another, in buckets and percentiles',
        description: HINT,
        body: Type.Object(
          {
            ...{ ...scope, ...groups, unit, window_seconds: windowSeconds },
            start: Type.Optional(step),
            end: Type.Optional(step),
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            ...answeredScope,
            unit: Type.String(),
            window_seconds: Type.Integer(),
            totals: waits,
            rows: Type.Array(Type.Object({ group: openObject('Values by dimension'), waits })),
            is_truncated: isTruncated,
          }),
        ),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { chain } = accepted(parseTimeToConvert(request.body, tenant, defaultsOf(tenant, api)))
      const answer = await runTimeToConvert(api.facts, tenant, chain)
      return { ...scopeAnswer(chain.scope), unit: chain.unit, window_seconds: chain.windowSeconds, ...answer } as never
    },
  )
}

function addRetentionRoute(server: Server, api: Api, config: Config): void {
  server.post(
    '/v1/reports/retention',
    {
      config,
      schema: {
        tags: ['reports'],
        summary: 'How many of the visitors who first came in a day, week or month came back in later ones',
        description: HINT,
        body: Type.Object(
          {
            ...{ ...scope, ...groups },
            first: Type.Optional(step),
            returned: Type.Optional(step),
            period: Type.Optional(oneWord(cohortPeriods, 'What a cohort is made of')),
            kind: Type.Optional(oneWord(retentionKinds, 'In the period itself, or in it or a later one of the table')),
            periods: Type.Optional(
              Type.Integer({
                description: 'How many after the first one',
                minimum: 1,
                maximum: behaviourLimits.retentionPeriodsMax,
                default: behaviourLimits.retentionPeriodsDefault,
              }),
            ),
            lookback_days: Type.Optional(
              Type.Integer({
                description: 'Whoever was there in these days before the range is not new',
                minimum: 0,
                maximum: behaviourLimits.lookbackDaysMax,
                default: 0,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            ...answeredScope,
            period: Type.String(),
            kind: Type.String(),
            periods: Type.Integer(),
            totals: cohorts,
            rows: Type.Array(Type.Object({ group: openObject('Values by dimension'), cohorts })),
            is_truncated: isTruncated,
          }),
        ),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { retention } = accepted(parseRetention(request.body, tenant, defaultsOf(tenant, api)))
      const answer = await runRetention(api.facts, tenant, retention)
      const { cohorts, kind, periods } = retention
      return { ...scopeAnswer(retention.scope), period: cohorts.kind, kind, periods, ...answer } as never
    },
  )
}

function addPathsRoute(server: Server, api: Api, config: Config): void {
  server.post(
    '/v1/reports/paths',
    {
      config,
      schema: {
        tags: ['reports'],
        summary: 'The most frequent sequences of what clicks or visitors did, and what a Sankey diagram of them needs',
        description: HINT,
        body: Type.Object(
          {
            ...{ ...scope, unit, window_seconds: windowSeconds },
            nodes: Type.Optional(Type.Array(node, { minItems: 1, maxItems: 3 })),
            start: Type.Optional(step),
            end: Type.Optional(step),
            length: Type.Optional(
              Type.Integer({
                description: 'Places of a path',
                minimum: 1,
                maximum: behaviourLimits.pathLengthMax,
                default: behaviourLimits.pathLengthDefault,
              }),
            ),
            collapse: Type.Optional(
              Type.Boolean({ description: 'The same several times in a row counts once', default: true }),
            ),
            limit: Type.Optional(
              Type.Integer({
                description: 'Paths of the answer',
                minimum: 1,
                maximum: behaviourLimits.pathsMax,
                default: behaviourLimits.pathsDefault,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            ...{ from: Type.String(), to: Type.String(), timezone: Type.String(), unit: Type.String() },
            missing_days: missingDays,
            total: Type.Integer({ description: 'Clicks or visitors that have a path' }),
            paths: Type.Array(
              Type.Object({
                nodes: Type.Array(Type.Object(pathNode)),
                count: Type.Integer(),
                share: nullable(Type.Number()),
              }),
            ),
            other_count: Type.Integer({ description: 'Of rarer paths' }),
            sankey: Type.Object({
              nodes: Type.Array(Type.Object({ position: Type.Integer(), ...pathNode, count: Type.Integer() })),
              links: Type.Array(
                Type.Object({
                  position: Type.Integer({ description: 'Of the source' }),
                  source: Type.Object(pathNode),
                  target: Type.Object(pathNode),
                  count: Type.Integer(),
                }),
              ),
              other_nodes_count: Type.Integer({ description: 'Of rarer nodes' }),
              other_links_count: Type.Integer({ description: 'Of rarer links' }),
            }),
          }),
        ),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { paths } = accepted(parsePaths(request.body, tenant, defaultsOf(tenant, api)))
      const answer = await runPaths(api.facts, tenant, paths)
      const { group_by: _, ...answered } = scopeAnswer(paths.scope)
      return { ...answered, unit: paths.unit, ...answer } as never
    },
  )
}

function addFunnelRoute(server: Server, api: Api, config: Config): void {
  server.post(
    '/v1/reports/funnel',
    {
      config,
      schema: {
        tags: ['reports'],
        summary: 'How many clicks or visitors came how far through a sequence of steps',
        description: HINT,
        body: Type.Object(
          {
            ...scope,
            ...groups,
            steps: Type.Array(step, { minItems: 2, maxItems: behaviourLimits.stepsMax }),
            mode: Type.Optional(oneWord(funnelModes, 'In which order the steps have to come')),
            unit,
            window_seconds: windowSeconds,
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            ...answeredScope,
            mode: Type.String(),
            unit: Type.String(),
            window_seconds: Type.Integer(),
            totals: funnelSteps,
            rows: Type.Array(Type.Object({ group: openObject('Values by dimension'), steps: funnelSteps })),
            is_truncated: isTruncated,
          }),
        ),
      },
    },
    async (request) => {
      const tenant = principalOf(request)
      const { funnel } = accepted(parseFunnel(request.body, tenant, defaultsOf(tenant, api)))
      const answer = await runFunnel(api.facts, tenant, funnel)
      const { mode, unit, windowSeconds: window_seconds } = funnel
      return { ...scopeAnswer(funnel.scope), mode, unit, window_seconds, ...answer } as never
    },
  )
}

const defaultsOf = (tenant: Tenant, api: Api): BehaviourDefaults => defaultsFor(tenant, {}, api)

/** @throws {RequestError} forbidden, request_invalid */
function accepted<Asked extends { readonly kind: 'asked' }>(parsed: Asked | Refusal): Asked {
  if (parsed.kind === 'asked') return parsed
  throw new RequestError(parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid', parsed.detail, parsed.path)
}

const scopeAnswer = ({ range, timezone, groupBy }: Scope) => ({
  from: new Date(range.fromMs).toISOString(),
  to: new Date(range.toMs).toISOString(),
  timezone,
  group_by: groupBy.map(({ name }) => name),
})
