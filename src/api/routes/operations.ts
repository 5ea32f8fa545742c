import type { FastifyInstance } from 'fastify'

import { WaypostError } from '#platform/errors'

import type { Api } from '../api.ts'
import { readableBy } from '../authorize.ts'
import { answers, openObject, queryOf } from '../schemas.ts'

/** Checks of a running installation. They are asked for here because the data directory of the facts belongs to one process. */
export function addOperationRoutes(server: FastifyInstance, api: Api): void {
  const checks = {
    reconcile: 'Prove that log, facts, conversions and ledger agree',
    doctor: 'Look at engines, disk, clock, keys and invariants',
  } as const
  for (const [name, summary] of Object.entries(checks) as [keyof typeof checks, string][])
    server.get(
      `/v1/${name}`,
      {
        config: readableBy('owner'),
        schema: { tags: ['operations'], summary, querystring: queryOf({}), response: answers(openObject('Findings')) },
      },
      async () => {
        const check = api.operations[name]
        if (check === undefined) throw new WaypostError('not_ready', 'This process does not run that check.')
        return check()
      },
    )
}
