import { lookup, Resolver } from 'node:dns/promises'

/** The addresses of a host name, all of them.
 * @throws {Error} with a `code` of node:dns when there are none or the resolver fails
 */
export type ResolveHost = (hostname: string) => Promise<readonly string[]>

/** A name is asked again after the time its record says, within these bounds: shorter would ask for each connection, longer
 * would miss a move.
 */
const TTL_MS_MIN = 5_000
const TTL_MS_MAX = 60_000
const FAILURE_TTL_MS = 5_000
/** Names remembered; the oldest goes first. */
const NAMES_MAX = 10_000

type Answer = { readonly addresses: readonly string[]; readonly ttlMs: number }
type Remembered = { readonly answer: Promise<readonly string[]>; expiresAt: number }

export type HostResolverOptions = {
  /** A clock that only goes forward. */
  readonly nowMs?: () => number
  /** `address:port`; default: those of the system. */
  readonly nameServers?: readonly string[]
}

/** A resolver that remembers answers and asks once for a name however many wait for it.
 *
 * It speaks DNS itself (c-ares): `dns.lookup` runs in four threads that file access shares, so a few dead name servers would
 * hold everything. Names that DNS does not know (hosts file, search domains) are looked up the old way.
 */
export function createHostResolver(options: HostResolverOptions = {}): ResolveHost {
  const nowMs = options.nowMs ?? (() => performance.now())
  const names = new Map<string, Remembered>()
  const dns = new Resolver({ timeout: 1_000, tries: 2 })
  if (options.nameServers !== undefined) dns.setServers(options.nameServers)
  return (hostname) => {
    const known = names.get(hostname)
    if (known !== undefined && known.expiresAt > nowMs()) return known.answer
    if (names.size >= NAMES_MAX) names.delete(names.keys().next().value!)
    const asking = queryAddresses(dns, hostname)
    const entry: Remembered = { answer: asking.then((answer) => answer.addresses), expiresAt: Number.POSITIVE_INFINITY }
    names.delete(hostname)
    names.set(hostname, entry)
    asking.then(
      (answer) => (entry.expiresAt = nowMs() + answer.ttlMs),
      () => (entry.expiresAt = nowMs() + FAILURE_TTL_MS),
    )
    return entry.answer
  }
}

async function queryAddresses(dns: Resolver, hostname: string): Promise<Answer> {
  const name = hostname.replace(/\.$/, '')
  if (name === 'localhost' || name.endsWith('.localhost')) return { addresses: ['127.0.0.1', '::1'], ttlMs: TTL_MS_MAX }
  const answers = await Promise.allSettled([dns.resolve4(name, { ttl: true }), dns.resolve6(name, { ttl: true })])
  const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  if (records.length > 0) {
    const ttlMs = Math.min(...records.map((record) => record.ttl)) * 1_000
    return { addresses: records.map((record) => record.address), ttlMs: clampTtl(ttlMs) }
  }
  const failures = answers.flatMap((answer) =>
    answer.status === 'rejected' ? [answer.reason as NodeJS.ErrnoException] : [],
  )
  const isUnknown = failures.every((failure) => failure.code === 'ENOTFOUND' || failure.code === 'ENODATA')
  if (!isUnknown) throw failures[0]!
  const found = await lookup(name, { all: true })
  return { addresses: found.map((record) => record.address), ttlMs: TTL_MS_MIN }
}

const clampTtl = (ttlMs: number): number => Math.min(Math.max(ttlMs, TTL_MS_MIN), TTL_MS_MAX)
