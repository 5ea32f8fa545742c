import type { Pool, Tx } from './pool.ts'

export type Listening = {
  /** Resolves when the connection is gone, or with the stop. */
  readonly broken: Promise<void>
  readonly stop: () => void
}

/** Listens for notices on a connection of its own until that breaks; resolves when LISTEN has taken effect.
 * @param channel an identifier
 * @param onNotice called with the text of each notice, which may be empty
 * @throws what the database throws
 */
export async function listen(pool: Pool, channel: string, onNotice: (text: string) => void): Promise<Listening> {
  const client: Tx = await pool.connect()
  const end = Promise.withResolvers<void>()
  client.once('error', () => end.resolve())
  client.once('end', () => end.resolve())
  client.on('notification', ({ payload }) => onNotice(payload ?? ''))
  try {
    await client.query(`LISTEN ${channel}`)
  } catch (error) {
    client.release(true)
    throw error
  }
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
