import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type, type Static } from 'typebox'

import {
  guessFormat,
  isDay,
  listRates,
  rateFormats,
  readFetchState,
  readRate,
  readRates,
  storeRates,
  type GivenRate,
  type KeptRate,
} from '#currencies'
import { parseCurrency, type Currency } from '#platform/money'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { apiLimits } from '../limits.ts'
import { answers, instantText, nullable, oneWord, queryOf } from '../schemas.ts'

const RATES_SHOWN_MAX = 10_000

const day = (description: string) =>
  Type.Optional(Type.String({ description: `${description}, YYYY-MM-DD`, maxLength: 10 }))
const currencyCode = (description: string) => Type.Optional(Type.String({ description, maxLength: 3 }))

const keptRate = Type.Object({
  day: Type.String(),
  base: Type.String(),
  currency: Type.String(),
  rate: Type.String({ description: 'Units of the currency for one of the base, decimal text' }),
  source: Type.String(),
  stored_at: instantText('When it was stored'),
  stored_by: Type.String(),
  versions: Type.Integer({ description: 'Rates of this day up to this one: above 1 it is a correction' }),
})

const bodySchema = Type.Object(
  {
    rates: Type.Array(
      Type.Object(
        {
          date: Type.String({ maxLength: 10 }),
          currency: Type.String({ maxLength: 3 }),
          rate: Type.String({ description: 'Decimal text, at most 12 digits after the point', maxLength: 25 }),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: RATES_SHOWN_MAX },
    ),
  },
  { additionalProperties: false },
)

const fileTypes = ['text/csv', 'application/xml', 'text/xml']

/** Exchange rates of days, for reports in one currency. They belong to the installation. */
export function addRateRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.get(
    '/v1/rates',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['rates'],
        summary: 'Exchange rates that are kept, the newest day first',
        querystring: queryOf({
          ...{ currency: currencyCode('Of this currency only'), base: currencyCode('To this base only') },
          ...{ from: day('First day'), to: day('Last day, included') },
          as_of: Type.Optional(instantText('As they were known then')),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: RATES_SHOWN_MAX, default: 1_000 })),
        }),
        response: answers(Type.Object({ items: Type.Array(keptRate), is_truncated: Type.Boolean() })),
      },
    },
    async (request) => {
      const { limit = 1_000, as_of, from, to, ...codes } = request.query
      for (const [path, text] of Object.entries({ from, to }))
        if (text !== undefined && !isDay(text)) throw new RequestError('request_invalid', `"${text}" is no day as YYYY-MM-DD`, path) // prettier-ignore
      const asOf = as_of === undefined ? undefined : new Date(as_of)
      const rows = await listRates(api.pool, { ...codes, from, to, asOf, limit: limit + 1 })
      return { items: rows.slice(0, limit).map(toJson), is_truncated: rows.length > limit }
    },
  )

  server.get(
    '/v1/rates/health',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['rates'],
        summary: 'How the daily fetch of rates goes',
        querystring: queryOf({}),
        response: answers(
          Type.Object({
            tried_at: nullable(instantText('Of the last fetch; null: there was none')),
            succeeded_at: nullable(instantText('Of the last that went well')),
            stored: nullable(Type.Integer({ description: 'Rates that it brought that were new' })),
            newest_day: nullable(Type.String({ description: 'The newest day that it brought' })),
            problem: nullable(Type.String({ description: 'Why the last one failed; null: it did not' })),
          }),
        ),
      },
    },
    async () => {
      const state = await readFetchState(api.pool)
      return {
        tried_at: state?.tried_at.toISOString() ?? null,
        succeeded_at: state?.succeeded_at?.toISOString() ?? null,
        ...{ stored: state?.stored ?? null, newest_day: state?.newest_day ?? null, problem: state?.problem ?? null },
      }
    },
  )

  // The body parsers of this route only: elsewhere these are no content types.
  plain.register(async (scope) => {
    scope.addContentTypeParser(fileTypes, { parseAs: 'string' }, (_request, body, done) => done(null, body))
    scope.withTypeProvider<TypeBoxTypeProvider>().post(
      '/v1/rates',
      {
        config: writableBy('owner'),
        bodyLimit: apiLimits.configurationBytesMax,
        schema: {
          tags: ['rates'],
          summary: 'Store exchange rates; one that differs from what is kept is a correction, nothing is overwritten',
          consumes: ['application/json', ...fileTypes],
          querystring: queryOf({
            base: currencyCode('What one unit of is meant, ISO 4217. Default: EUR'),
            format: Type.Optional(oneWord(rateFormats, 'Of a file. Default: what it looks like')),
            source: Type.Optional(Type.String({ description: 'Where they are from', minLength: 1, maxLength: 200 })),
          }),
          body: {
            content: {
              'application/json': { schema: bodySchema },
              ...Object.fromEntries(fileTypes.map((type) => [type, { schema: Type.String() }])),
            },
          },
          response: answers(
            Type.Object({
              stored: Type.Integer({ description: 'Rates that are new or corrections' }),
              unchanged: Type.Integer({ description: 'Rates that are kept already' }),
            }),
          ),
        },
      },
      async (request) => {
        const { base: code = 'EUR', format, source } = request.query
        const base = parseCurrency(code)
        if (base === undefined) throw new RequestError('request_invalid', `"${code}" is no ISO 4217 code`, 'base')
        const body = request.body as Static<typeof bodySchema> | string
        const isFile = typeof body === 'string'
        const kind = isFile ? (format ?? guessFormat(body)) : undefined
        if (kind?.startsWith('ecb') === true && base !== ('EUR' as Currency))
          throw new RequestError('request_invalid', 'rates of the European Central Bank are to the base EUR', 'base')
        const rates = typeof body === 'string' ? ratesOfFile(body, kind!) : ratesOfJson(body)
        const origin = { source: source ?? kind ?? 'api', by: `API key ${principalOf(request).name}` }
        return storeRates(api.pool, base, rates, origin)
      },
    )
  })
}

function ratesOfFile(text: string, format: (typeof rateFormats)[number]): readonly GivenRate[] {
  const read = readRates(text, format)
  if (read.kind === 'invalid') throw new RequestError('request_invalid', `line ${read.line}: ${read.detail}`)
  return read.rates
}

const ratesOfJson = ({ rates }: Static<typeof bodySchema>): readonly GivenRate[] =>
  rates.map(({ date, currency, rate }, index) => {
    const read = readRate([date, currency, rate])
    if (typeof read === 'string') throw new RequestError('request_invalid', read, `rates/${index}`)
    return read
  })

const toJson = ({ stored_at, ...rest }: KeptRate): Static<typeof keptRate> => ({
  ...rest,
  stored_at: stored_at.toISOString(),
})
