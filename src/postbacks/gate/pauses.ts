import type { Pool } from '#platform/postgres'

/** Pauses by hand. They stand beside the configuration: for now, at once, and not a version of anything. */

/** On this channel workers hear that something was paused, resumed, disabled or enabled. */
export const GATE_CHANNEL = 'waypost_gate'
export const NOTIFY_GATE = `SELECT pg_notify('${GATE_CHANNEL}', '')`

export const pausedObjects = ['endpoint', 'affiliate', 'advertiser'] as const
export type PausedObject = (typeof pausedObjects)[number]

export type Pause = {
  readonly object: PausedObject
  readonly object_id: string
  readonly paused_at: Date
  /** An API key's name, or the user of the operating system who called the command. */
  readonly paused_by: string
  readonly note: string | null
}

const tables: Readonly<Record<PausedObject, string>> = {
  endpoint: 'postback_endpoints',
  affiliate: 'affiliates',
  advertiser: 'advertisers',
}

const PAUSE = (object: PausedObject): string => `
  WITH known AS (SELECT ${object}_id AS id FROM ${tables[object]} WHERE ${object}_id = $2),
  paused AS (
    INSERT INTO delivery_pauses (object, object_id, paused_by, note) SELECT $1, id, $3, $4 FROM known
    ON CONFLICT DO NOTHING RETURNING object_id
  ), told AS (SELECT pg_notify('${GATE_CHANNEL}', '') FROM paused)
  SELECT (SELECT count(*) FROM known)::int AS known, (SELECT count(*) FROM told)::int AS paused`

/** Lets the deliveries of an endpoint wait, or those of all endpoints whose scope names an affiliate or advertiser. What is under way
 * ends; nothing is lost and no attempt is used up, but what waits may expire.
 * @param note for people; undefined: none
 */
export async function pauseDeliveries(
  pool: Pool,
  object: PausedObject,
  id: string,
  by: string,
  note?: string,
): Promise<'paused' | 'paused_before' | 'unknown'> {
  const { rows } = await pool.query<{ known: number; paused: number }>(PAUSE(object), [object, id, by, note])
  if (rows[0]!.known === 0) return 'unknown'
  return rows[0]!.paused === 0 ? 'paused_before' : 'paused'
}

const RESUME = `
  WITH resumed AS (DELETE FROM delivery_pauses WHERE object = $1 AND object_id = $2 RETURNING object_id)
  SELECT pg_notify('${GATE_CHANNEL}', '') FROM resumed`

/** Ends a pause by hand. */
export async function resumeDeliveries(
  pool: Pool,
  object: PausedObject,
  id: string,
): Promise<'resumed' | 'not_paused'> {
  return (await pool.query(RESUME, [object, id])).rowCount === 0 ? 'not_paused' : 'resumed'
}

const LIST =
  'SELECT object, object_id, paused_at, paused_by, note FROM delivery_pauses ORDER BY paused_at, object, object_id'

/** All pauses by hand, the oldest first. */
export const listPauses = async (pool: Pool): Promise<readonly Pause[]> => (await pool.query<Pause>(LIST)).rows
