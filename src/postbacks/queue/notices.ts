import type { Pool, Tx } from '#platform/postgres'

/** Channel on which workers hear that something is due. */
const DELIVERY_CHANNEL = 'waypost_delivery'
/** PostgreSQL takes 7 999 bytes. */
const NOTICE_LENGTH_MAX = 7_900

/** Tells the owners of the endpoints when the transaction commits; PostgreSQL folds equal notices of one transaction into one. */
export const NOTIFY_OWNERS = `SELECT pg_notify('${DELIVERY_CHANNEL}', $1)`

/** @returns the text of a notice; empty where the list is too long for one: then all endpoints are looked at */
export function noticeOf(endpointIds: Iterable<string>): string {
  const text = [...new Set(endpointIds)].join('\n')
  return Buffer.byteLength(text) > NOTICE_LENGTH_MAX ? '' : text
}

/** Listens on a connection of its own until that breaks.
 * @param onNotice called after LISTEN took effect and at each notice, with the endpoints that have something due; undefined: any may
 * @param channel an identifier; left out: that of due deliveries
 * @returns stops listening; `broken` resolves when the connection is gone
 */
export async function listenForDeliveries(
  pool: Pool,
  onNotice: (endpointIds: readonly string[] | undefined) => void,
  channel = DELIVERY_CHANNEL,
): Promise<{ readonly broken: Promise<void>; readonly stop: () => void }> {
  const client: Tx = await pool.connect()
  const end = Promise.withResolvers<void>()
  client.once('error', () => end.resolve())
  client.once('end', () => end.resolve())
  client.on('notification', ({ payload }) => onNotice(payload ? payload.split('\n') : undefined))
  try {
    await client.query(`LISTEN ${channel}`)
  } catch (error) {
    client.release(true)
    throw error
  }
  onNotice(undefined)
  let isReleased = false
  const stop = (): void => {
    if (isReleased) return
    isReleased = true
    // Closed rather than lent again: it would go on listening for somebody else.
    client.release(true)
    end.resolve()
  }
  return { broken: end.promise.then(stop), stop }
}
