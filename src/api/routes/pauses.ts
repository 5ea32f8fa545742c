import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import { WaypostError } from '#platform/errors'
import { listPauses, pauseDeliveries, pausedObjects, resumeDeliveries, type Pause } from '#postbacks'

import type { Api } from '../api.ts'
import { principalOf, readableBy, writableBy } from '../authorize.ts'
import { RequestError } from '../errors.ts'
import { answers, idText, instantText, nullable, oneWord, queryOf } from '../schemas.ts'

const pausedObject = oneWord(pausedObjects, 'What is paused')

const pause = Type.Object({
  object: pausedObject,
  object_id: Type.String(),
  paused_at: instantText('Since when'),
  paused_by: Type.String({ description: 'Name of an API key, or who called the command' }),
  note: nullable(Type.String()),
  held: nullable(
    Type.Integer({
      description: 'Due deliveries that it keeps back; null of an endpoint, whose queue they have not left',
    }),
  ),
})

const toJson = ({ paused_at, ...rest }: Pause) => ({ ...rest, paused_at: paused_at.toISOString() })

/** Pauses by hand: of an endpoint, or of all that is about an affiliate or advertiser. */
export function addPauseRoutes(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()
  const place = Type.Object({ object: pausedObject, object_id: idText('Its id') })

  server.get(
    '/v1/pauses',
    {
      config: readableBy('owner'),
      schema: {
        tags: ['postbacks'],
        summary: 'What is paused by hand, the oldest pause first',
        querystring: queryOf({}),
        response: answers(Type.Object({ items: Type.Array(pause) })),
      },
    },
    async () => ({ items: (await listPauses(api.pool)).map(toJson) }),
  )

  server.post(
    '/v1/pauses',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['postbacks'],
        summary: 'Let the postbacks of an endpoint, affiliate or advertiser wait; they are neither lost nor counted',
        body: Type.Object(
          { ...place.properties, note: Type.Optional(Type.String({ description: 'Why', maxLength: 500 })) },
          { additionalProperties: false },
        ),
        response: answers(pause, 201),
      },
    },
    async (request, reply) => {
      const { object, object_id, note } = request.body
      const outcome = await pauseDeliveries(api.pool, object, object_id, `API key ${principalOf(request).name}`, note)
      if (outcome === 'unknown') throw new RequestError('request_invalid', `there is no such ${object}`, 'object_id')
      const paused = (await listPauses(api.pool)).find((one) => one.object === object && one.object_id === object_id)
      // Somebody resumed it in between.
      if (paused === undefined) throw new WaypostError('conflict')
      return reply.code(201).send(toJson(paused))
    },
  )

  server.delete(
    '/v1/pauses/:object/:object_id',
    {
      config: writableBy('owner'),
      schema: {
        tags: ['postbacks'],
        summary: 'Resume what is paused by hand',
        params: place,
        response: answers(Type.Object(place.properties)),
      },
    },
    async (request) => {
      const { object, object_id } = request.params
      if ((await resumeDeliveries(api.pool, object, object_id)) === 'not_paused') throw new WaypostError('not_found')
      return { object, object_id }
    },
  )
}
