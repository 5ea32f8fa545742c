import { Type } from 'typebox'

import { findVersion, previewConfiguration, type Issue } from '#configuration'
import { findLearned } from '#optimization'
import { WaypostError } from '#platform/errors'
import type { Snapshot } from '#routing'

import type { Api } from './api.ts'
import { RequestError } from './errors.ts'

/** Which configuration a question is about. */
export const choiceSchema = {
  version: Type.Optional(
    Type.Integer({
      description: 'Version of the configuration; left out: the newest',
      minimum: 1,
      maximum: 2_147_483_647,
    }),
  ),
  configuration: Type.Optional(
    Type.String({ description: 'YAML as for POST /v1/config, on top of the newest version; it is not saved' }),
  ),
}

export type Choice = { readonly version?: number | undefined; readonly configuration?: string | undefined }

export type Chosen =
  | { readonly kind: 'found'; readonly snapshot: Snapshot; readonly isSaved: boolean }
  | { readonly kind: 'refused'; readonly issues: readonly Issue[] }

/** The configuration that a question names: the newest version, an earlier one, or a file that is not applied; with the weights
 * learned that the edges draw by at present.
 * @throws {RequestError} both are named, or there is no such version
 * @throws {WaypostError} not_ready: there is no configuration yet
 */
export async function chosenConfiguration(api: Api, { version, configuration }: Choice): Promise<Chosen> {
  if (version !== undefined && configuration !== undefined)
    throw new RequestError('request_invalid', 'a version and a file exclude each other', 'configuration')
  if (configuration !== undefined) {
    const preview = await previewConfiguration(api.pool, configuration, api.clock)
    if (preview.kind === 'refused') return preview
    return { kind: 'found', snapshot: await withLearned(api, preview.snapshot), isSaved: false }
  }
  const found = await findVersion(api.pool, version)
  if (found !== undefined) return { kind: 'found', snapshot: await withLearned(api, found.snapshot), isSaved: true }
  if (version === undefined) throw new WaypostError('not_ready', 'There is no configuration yet.')
  throw new RequestError('request_invalid', 'there is no such version', 'version')
}

async function withLearned({ pool }: Api, snapshot: Snapshot): Promise<Snapshot> {
  const found = await findLearned(pool)
  return found === undefined ? snapshot : { ...snapshot, learned: { version: found.version, weights: found.weights } }
}
