import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { receiverTemplateNames, receiverTemplates, type ReceiverTemplate } from '#postbacks'

import { readableBy } from '../authorize.ts'
import { answers, nullable, oneWord } from '../schemas.ts'

const parameter = Type.Object({
  name: Type.String(),
  kind: oneWord(['host', 'macro', 'text', 'secret', 'url'], 'What it takes; a `secret` is sealed and shown to nobody'),
  is_needed: Type.Boolean(),
  default: nullable(Type.String()),
  description: Type.String(),
})

const template = Type.Object({
  name: oneWord(receiverTemplateNames, 'Name, for `template` of an endpoint'),
  label: Type.String(),
  method: oneWord(['GET', 'POST'], 'HTTP method'),
  url: Type.String({ description: 'With `<parameter>` in its place; `[…]` is left out without its parameter' }),
  triggers: Type.Array(Type.String(), { description: 'Unless the endpoint names its own' }),
  success: nullable(
    Type.Object(
      {
        body: Type.Object({
          contains: Type.Optional(Type.Array(Type.String())),
          not_contains: Type.Optional(Type.Array(Type.String())),
        }),
        otherwise: Type.String(),
      },
      { description: 'What counts as a success, unless the endpoint says it; null: any 2xx' },
    ),
  ),
  is_signed: Type.Boolean({ description: 'The endpoint needs a secret' }),
  parameters: Type.Array(parameter),
  note: Type.String(),
  source: Type.String({ description: 'Where the receiver documents it' }),
})

/** The ready-made endpoints, for forms and people. */
export function addPostbackTemplateRoutes(plain: FastifyInstance): void {
  plain.withTypeProvider<TypeBoxTypeProvider>().get(
    '/v1/postback-templates',
    {
      config: readableBy('owner', 'advertiser', 'affiliate'),
      schema: {
        tags: ['postbacks'],
        summary: 'Ready-made endpoints: how other systems want to be told of conversions',
        response: answers(Type.Object({ items: Type.Array(template) })),
      },
    },
    () => ({ items: receiverTemplateNames.map((name) => templateJson(name, receiverTemplates[name])) }) as never,
  )
}

const templateJson = (
  name: string,
  { label, method, url, triggers, parameters, note, source, isSigned, success }: ReceiverTemplate,
) => ({
  name,
  label,
  method,
  url,
  triggers,
  success: success ?? null,
  is_signed: isSigned === true,
  parameters: parameters.map(({ isNeeded, byDefault, ...rest }) => ({
    ...rest,
    is_needed: isNeeded,
    default: byDefault ?? null,
  })),
  note,
  source,
})
