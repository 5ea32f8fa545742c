import type { Pool, Tx } from '#platform/postgres'
import { DELIVERY_CHANNEL } from './enqueue-deliveries.ts'

/** Listens on a connection of its own until that breaks.
 * @param onNotice called after LISTEN took effect and at each notice
 * @param channel an identifier; left out: that of due deliveries
 * @returns stops listening; `broken` resolves when the connection is gone
 */
export async function listenForDeliveries(
  pool: Pool,
  onNotice: () => void,
  channel = DELIVERY_CHANNEL,
): Promise<{ readonly broken: Promise<void>; readonly stop: () => void }> {
  const client: Tx = await pool.connect()
  const end = Promise.withResolvers<void>()
  client.once('error', () => end.resolve())
  client.once('end', () => end.resolve())
  client.on('notification', onNotice)
  try {
    await client.query(`LISTEN ${channel}`)
  } catch (error) {
    client.release(true)
    throw error
  }
  onNotice()
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
