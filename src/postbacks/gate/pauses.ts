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
  /** Deliveries that were due and are kept back by it; null: of an endpoint, whose queue they have not left. */
  readonly held: number | null
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

/** Lets the deliveries of an endpoint wait, or those that are about an affiliate or advertiser, whatever the endpoint. What is under way
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

const LIST = `
  WITH held AS (SELECT affiliate_id, advertiser_id, count(*) AS count FROM delivery_held GROUP BY affiliate_id, advertiser_id)
  SELECT object, object_id, paused_at, paused_by, note, CASE object
    WHEN 'affiliate' THEN (SELECT coalesce(sum(count), 0) FROM held WHERE affiliate_id = object_id)::float8
    WHEN 'advertiser' THEN (SELECT coalesce(sum(count), 0) FROM held WHERE advertiser_id = object_id)::float8
  END AS held
  FROM delivery_pauses ORDER BY paused_at, object, object_id`

/** All pauses by hand, the oldest first. */
export const listPauses = async (pool: Pool): Promise<readonly Pause[]> => (await pool.query<Pause>(LIST)).rows

/** Whom a delivery is about. */
export type Subject = { readonly affiliate_id: string | null; readonly advertiser_id: string | null }

export type SubjectPause = 'paused_affiliate' | 'paused_advertiser'

/** What is paused by hand. */
export type PausedThing = Pick<Pause, 'object' | 'object_id'>

/** All pauses by hand, without what they keep back: a handful of rows, however much that is. */
export const readPaused = async (pool: Pool): Promise<readonly PausedThing[]> =>
  (await pool.query<PausedThing>('SELECT object, object_id FROM delivery_pauses')).rows

/** The pause by hand that holds up what is about somebody, whatever the endpoint.
 * @param pauses of readPaused
 */
export function subjectPauseOf(
  pauses: readonly PausedThing[],
  { affiliate_id, advertiser_id }: Subject,
): SubjectPause | undefined {
  const isPaused = (object: PausedObject, id: string | null): boolean =>
    pauses.some((pause) => pause.object === object && pause.object_id === id)
  if (isPaused('affiliate', affiliate_id)) return 'paused_affiliate'
  return isPaused('advertiser', advertiser_id) ? 'paused_advertiser' : undefined
}
