import { randomBytes } from 'node:crypto'

import { systemClock, type Clock } from '#platform/clock'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import { assertEqual, changedIds } from './apply.ts'
import { describeChanges } from './describe-changes.ts'
import { withoutEmpty } from './objects.ts'
import { compileConfiguration, lockConfiguration, readState, readVersion, storeVersion, writeState } from './store.ts'

/** Bytes of a new secret; Standard Webhooks takes 24 to 64. */
const SECRET_BYTES = 32
/** How long the old secret goes on signing, unless said otherwise, and at most. */
export const KEEP_HOURS_DEFAULT = 24
export const KEEP_HOURS_MAX = 168

export type Rotation =
  | {
      readonly kind: 'rotated'
      /** `whsec_…`; shown here and nowhere else. */
      readonly secret: string
      /** When the old secret signs no more; undefined: there was none, or it ended at once. */
      readonly previousUntil: Date | undefined
      readonly version: number
    }
  | { readonly kind: 'endpoint_unknown' }

export type RotateOptions = {
  /** Who rotates it; kept with the new version. */
  readonly by: string
  /** Hours for which the old secret signs beside the new one, 0 to 168. */
  readonly keepHours: number
  readonly clock?: Clock
}

/** Gives an endpoint a new random secret, as a new version of the configuration; the old one signs beside it for a time.
 * A second rotation within that time ends the oldest secret: two sign at most.
 * @throws {RangeError} keepHours is out of range (programmer error)
 */
export async function rotateSecret(pool: Pool, endpointId: string, options: RotateOptions): Promise<Rotation> {
  if (!(options.keepHours >= 0 && options.keepHours <= KEEP_HOURS_MAX)) throw new RangeError('keepHours')
  return inTransaction(pool, async (tx) => {
    await lockConfiguration(tx)
    return rotate(tx, endpointId, options)
  })
}

async function rotate(
  tx: Tx,
  endpointId: string,
  { by, keepHours, clock = systemClock }: RotateOptions,
): Promise<Rotation> {
  const current = await readState(tx)
  const endpoint = current.endpoints.get(endpointId)
  if (endpoint === undefined) return { kind: 'endpoint_unknown' }
  const secret = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
  const isKept = endpoint.secret !== undefined && keepHours > 0
  const previousUntilMs = isKept ? clock.now() + keepHours * 3_600_000 : undefined
  const rotated = withoutEmpty<PostbackEndpoint>({
    ...endpoint,
    secret,
    previous_secret: isKept ? endpoint.secret : undefined,
    previous_secret_until: previousUntilMs,
  })
  const wanted = { ...current, endpoints: new Map(current.endpoints).set(endpointId, rotated) }
  const changes = describeChanges(current, wanted)
  await writeState(tx, current, wanted, (name) => changedIds(name, changes))
  const written = await readState(tx)
  assertEqual(written, wanted)
  const version = (await readVersion(tx)) + 1
  await storeVersion(tx, compileConfiguration(written, version, clock.now()), by, changes)
  const previousUntil = previousUntilMs === undefined ? undefined : new Date(previousUntilMs)
  return { kind: 'rotated', secret, previousUntil, version }
}
