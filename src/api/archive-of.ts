import type { AskArchive } from '#postbacks'
import { askFacts } from '#reports'

import type { Api } from './api.ts'

/** Reads attempts that PostgreSQL keeps no longer.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export const archiveOf =
  ({ facts }: Pick<Api, 'facts'>): AskArchive =>
  (sql, params) =>
    askFacts(facts, { sql, params })
