import { WaypostError } from '#platform/errors'
import type { Pool, Tx } from '#platform/postgres'

/** A consumer's hold on its place in one source. `epoch` is that of its take-over: who takes over later has a higher one. */
export type Place = { readonly consumer: string; readonly partition: string; readonly epoch: bigint }

export type TakenPlace = {
  readonly place: Place
  /** Everything below is done. */
  readonly position: number
  /** A batch up to here was started and may be in the facts already: it must be sent again as it was. */
  readonly pendingTo: number | undefined
}

const TAKE_OVER = `
  INSERT INTO consumer_positions (consumer, log_partition, position, epoch) VALUES ($1, $2, 0, 1)
  ON CONFLICT (consumer, log_partition) DO UPDATE SET epoch = consumer_positions.epoch + 1
  RETURNING position, pending_to, epoch`
const MARK_PENDING = `
  UPDATE consumer_positions SET pending_to = $5
  WHERE consumer = $1 AND log_partition = $2 AND epoch = $3 AND position = $4 AND (pending_to IS NULL OR pending_to = $5)`
const ADVANCE = `
  UPDATE consumer_positions SET position = $5, pending_to = NULL
  WHERE consumer = $1 AND log_partition = $2 AND epoch = $3 AND position = $4`
const ADVANCE_UNFENCED = `
  UPDATE consumer_positions SET position = $3, pending_to = NULL WHERE consumer = $1 AND log_partition = $2`
const MARK_PENDING_UNFENCED = `
  UPDATE consumer_positions SET pending_to = nullif(greatest($3, position), position) WHERE consumer = $1 AND log_partition = $2`

/** Takes a place over from whoever had it; from here on their commits are refused. */
export async function takeOver(pool: Pool, consumer: string, partition: string): Promise<TakenPlace> {
  const { rows } = await pool.query<{ position: bigint; pending_to: bigint | null; epoch: bigint }>(TAKE_OVER, [
    consumer,
    partition,
  ])
  const { position, pending_to, epoch } = rows[0]!
  return {
    place: { consumer, partition, epoch },
    position: Number(position),
    pendingTo: pending_to === null ? undefined : Number(pending_to),
  }
}

/** Notes that the batch [from, to) is about to be sent to the facts.
 * @throws {WaypostError} position_fenced: another consumer took the place over
 */
export const markPending = (db: Pool | Tx, place: Place, from: number, to: number, isFenced = true): Promise<void> =>
  isFenced ? move(db, MARK_PENDING, place, from, to) : moveUnfenced(db, MARK_PENDING_UNFENCED, place, to)

/** Moves the place past the batch [from, to), in the transaction of what was made of it.
 * @throws {WaypostError} position_fenced: another consumer took the place over, nothing may be committed
 */
export const advance = (db: Pool | Tx, place: Place, from: number, to: number, isFenced = true): Promise<void> =>
  isFenced ? move(db, ADVANCE, place, from, to) : moveUnfenced(db, ADVANCE_UNFENCED, place, to)

async function move(db: Pool | Tx, statement: string, place: Place, from: number, to: number): Promise<void> {
  const { consumer, partition, epoch } = place
  const { rowCount } = await db.query(statement, [consumer, partition, epoch, from, to])
  if (rowCount !== 1) throw new WaypostError('position_fenced', `${consumer} of ${partition}, from ${from} to ${to}.`)
}

async function moveUnfenced(db: Pool | Tx, statement: string, place: Place, to: number): Promise<void> {
  await db.query(statement, [place.consumer, place.partition, to])
}
