import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { CTIT_AFFILIATES_MAX, CTIT_SAMPLE_MAX, readCtits } from '#reports'

import type { Api } from '../api.ts'
import { principalOf, readableBy } from '../authorize.ts'
import { compareCtits } from '../compare-ctits.ts'
import { RequestError } from '../errors.ts'
import { answers, idText, instantText, oneWord, queryOf } from '../schemas.ts'

const DAYS_DEFAULT = 30
const DAYS_MAX = 366
const DAY_MS = 86_400_000

const comparison = Type.Object({
  affiliate_id: Type.String(),
  conversions: Type.Integer({ description: 'Of the period, of each click the first' }),
  verdict: oneWord(['consistent', 'too_fast', 'too_slow', 'too_few'], 'Whether its times are like those of the others'),
  explanation: Type.String({ description: 'For a person' }),
  p_value: Type.Number({ description: 'How often chance makes such a difference, corrected for all affiliates' }),
  statistic: Type.Number({ description: 'At least this share of its conversions is not like those of the others' }),
  seconds: Type.Number({ description: 'Where the two differ most tellingly' }),
  sample_share: Type.Number({ description: 'Share of its conversions up to there; `too_slow`: from there on' }),
  reference_share: Type.Number({ description: 'The same of the others' }),
  sample_size: Type.Integer({ description: `Conversions looked at, at most ${CTIT_SAMPLE_MAX}` }),
  reference_size: Type.Integer({ description: 'Conversions of the others' }),
})

/** What fraud does not show at a single click or conversion. */
export function addFraudRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  server.get(
    '/v1/fraud/ctit',
    {
      config: readableBy('owner', 'advertiser'),
      schema: {
        tags: ['fraud'],
        summary: 'The times from click to conversion of each affiliate of an offer, compared with the others',
        querystring: queryOf({
          offer_id: idText('Offer'),
          from: Type.Optional(instantText(`Conversions not before; left out: ${DAYS_DEFAULT} days before \`to\``)),
          to: Type.Optional(instantText('Conversions before; left out: now')),
        }),
        response: answers(
          Type.Object({
            offer_id: Type.String(),
            from: instantText('Begin of the period'),
            to: instantText('End of the period'),
            affiliates: Type.Array(comparison, { description: 'Those with most conversions first' }),
            is_truncated: Type.Boolean({ description: `There are more than ${CTIT_AFFILIATES_MAX} affiliates` }),
          }),
        ),
      },
    },
    async (request) => {
      const { offer_id, ...asked } = request.query
      const { fromMs, toMs } = periodOf(asked, api.clock.now())
      const found = await readCtits(api.facts, principalOf(request), { offerId: offer_id, fromMs, toMs })
      const shown = found.slice(0, CTIT_AFFILIATES_MAX)
      const compared = await compareCtits(new Map(shown.map(({ affiliate_id, seconds }) => [affiliate_id, seconds])))
      return {
        offer_id,
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        affiliates: shown.map(({ affiliate_id, conversions }) => ({
          affiliate_id,
          conversions,
          ...compared.get(affiliate_id)!,
        })),
        is_truncated: found.length > CTIT_AFFILIATES_MAX,
      }
    },
  )
}

function periodOf({ from, to }: { readonly from?: string; readonly to?: string }, nowMs: number) {
  const toMs = to === undefined ? nowMs : Date.parse(to)
  const fromMs = from === undefined ? toMs - DAYS_DEFAULT * DAY_MS : Date.parse(from)
  if (fromMs >= toMs) throw new RequestError('request_invalid', 'the period ends before it begins', 'to')
  if (toMs - fromMs > DAYS_MAX * DAY_MS)
    throw new RequestError('request_invalid', `the period is longer than ${DAYS_MAX} days`, 'from')
  return { fromMs, toMs }
}
