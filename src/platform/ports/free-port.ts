import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const FIRST = 10_000
/** Where the system does not say: what Linux begins with. */
const HANDED_OUT_FROM = 32_768
const TRIES = 100

/** A TCP port of 127.0.0.1 that nobody listens on at this moment, and that the system gives to nobody unasked: a port of those that it
 * hands out may be the near end of somebody's connection by the time that it is used, or while a server is away for a restart.
 * @throws {Error} a hundred ports in a row were in use
 */
export async function findFreePort(): Promise<number> {
  const end = Math.max(FIRST + TRIES, firstHandedOut())
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(FIRST, end)
    if (await isFree(port)) return port
  }
  throw new Error(`Of the ports ${FIRST} to ${end - 1}, ${TRIES} in a row were in use.`)
}

/** https://docs.kernel.org/networking/ip-sysctl.html, ip_local_port_range */
function firstHandedOut(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]) || HANDED_OUT_FROM
  } catch {
    return HANDED_OUT_FROM
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, '127.0.0.1')
  try {
    await once(probe, 'listening')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw error
  }
  probe.close()
  await once(probe, 'close')
  return true
}
