import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { findLearned, type Learned, type PlaceState } from '#optimization'
import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { readableBy } from '../authorize.ts'
import { answers, instantText, nullable, oneWord, queryOf } from '../schemas.ts'

const versionNumber = (description: string) => Type.Integer({ description, minimum: 1, maximum: 2_147_483_647 })
const id = (description: string) => nullable(Type.String({ description }))

const capSchema = Type.Object({
  offer_id: Type.String(),
  cap_id: Type.String(),
  clicks_left: Type.Integer({ description: 'What it still takes; 0: it is full' }),
  is_held: Type.Boolean({ description: 'Clicks under way hold a part: there is room again as soon as they lapse' }),
  until: nullable(instantText('When its period ends; null: never')),
})

const armSchema = Type.Object({
  id: Type.String({ description: 'Of the flow, offer or landing' }),
  clicks: Type.Integer({ description: 'Of the window' }),
  conversions: Type.Integer({ description: 'Of these clicks, without rejected ones' }),
  effective_clicks: Type.Number({ description: 'Clicks that have had the time to convert, older ones counting less' }),
  expected: Type.Number({ description: 'Conversions or money per click' }),
  interval: Type.Array(Type.Number(), { description: 'Where `expected` is in 9 of 10 cases: from, to', maxItems: 2 }),
  best_share: Type.Number({ description: 'How often it is the best, by what is known' }),
  learned_share: Type.Number({
    description: 'Share of the clicks that was learned, with the floor and what a cap leaves',
  }),
  share: Type.Number({ description: 'Share of the clicks that it gets' }),
  cap: nullable(
    Type.Object(capSchema.properties, {
      description: 'Why it gets no more: a cap that is full, or will be before the next run',
    }),
  ),
})

const placeSchema = Type.Object({
  place: Type.String({ description: 'Its name in `weights`' }),
  weights: oneWord(['flows', 'offers', 'landings'], 'What is drawn'),
  advertiser_id: Type.String(),
  campaign_id: Type.String(),
  flow_id: id('null: the flows of the campaign are drawn'),
  offer_id: id('Whose landings are drawn'),
  currency: Type.String({ description: 'Of money per click' }),
  mode: oneWord(['on', 'watch'], '`watch`: visitors are drawn by the weights of the configuration'),
  goal: oneWord(['epc', 'cr'], 'What counts'),
  seed: Type.Integer({ description: 'With the same facts it gives the same weights' }),
  since: nullable(instantText('Since when these weights are used; null: those of the configuration are')),
  weights_version: nullable(Type.Integer({ description: 'Version with which they came' })),
  problem: nullable(oneWord(['too_many_arms', 'currencies_differ', 'too_many_facts'], 'Why nothing is learned')),
  arms: Type.Array(armSchema),
})

const armJson = ({ arm_id, weight, ...arm }: PlaceState['arms'][number]) => ({
  id: arm_id,
  cap: null,
  ...arm,
  interval: [...arm.interval],
  share: weight / 10_000,
})

const placeJson = ({ arms, ...place }: PlaceState) => ({
  flow_id: null,
  offer_id: null,
  since: null,
  weights_version: null,
  problem: null,
  ...place,
  arms: arms.map(armJson),
})

const learnedJson = ({ version, weights, state, createdAt, learnedAt }: Learned) => ({
  version,
  created_at: createdAt.toISOString(),
  learned_at: learnedAt.toISOString(),
  weights,
  places: state.map(placeJson),
})

/** What the weights that are learned from conversions stand at. */
export function addOptimizationRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  server.get(
    '/v1/optimization',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['routing'],
        summary: 'Weights learned from conversions, and what is known of every flow, offer and landing',
        querystring: queryOf({
          version: Type.Optional(versionNumber('Version that the trace of a click names; left out: the newest')),
        }),
        response: answers(
          Type.Object({
            version: nullable(Type.Integer({ description: 'null: nothing was learned yet' })),
            created_at: nullable(instantText('When its weights were used first')),
            learned_at: nullable(instantText('When they were last found to be right')),
            weights: Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer()), {
              description: 'Weight of each arm, of 10,000, by place: what the edges draw by',
            }),
            places: Type.Array(placeSchema),
          }),
        ),
      },
    },
    async ({ query: { version } }) => {
      const found = await findLearned(api.pool, version)
      if (found !== undefined) return learnedJson(found) as never
      if (version !== undefined) throw new WaypostError('not_found', 'There are no such weights, or none any more.')
      return { version: null, created_at: null, learned_at: null, weights: {}, places: [] }
    },
  )
}
