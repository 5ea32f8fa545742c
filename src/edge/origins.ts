import type { Snapshot } from '#routing'

/** Whether pages of an origin may read the answers to their events. */
export type OriginList = { readonly allows: (origin: string) => boolean }

/** Hosts of all active advertisers: `example.com` exactly, `*.example.com` every subdomain of it, any scheme; any port,
 * unless the domain names one.
 */
export function compileOrigins(snapshot: Snapshot): OriginList {
  const domains = snapshot.advertisers
    .filter((advertiser) => advertiser.status === 'active')
    .flatMap((advertiser) => advertiser.domains.map((domain) => domain.toLowerCase()))
  const hosts = new Set(domains.filter((domain) => !domain.startsWith('*.')))
  const parents = new Set(domains.filter((domain) => domain.startsWith('*.')).map((domain) => domain.slice(2)))
  return {
    allows(origin) {
      const [, host, port = ''] = ORIGIN.exec(origin.toLowerCase()) ?? []
      if (host === undefined) return false
      return [host, host + port].some((name) => hosts.has(name)) || ancestorsOf(host).some(isParent(parents, port))
    },
  }
}

/** Host and port of an `Origin` header; `null` and what is no web origin do not fit. */
const ORIGIN = /^https?:\/\/(\[[0-9a-f:.]+\]|[^/:\s]+)(:\d{1,5})?$/

const isParent =
  (parents: ReadonlySet<string>, port: string) =>
  (name: string): boolean =>
    parents.has(name) || parents.has(name + port)

/** `a.b.example.com` → `b.example.com`, `example.com`, `com`. A host name has at most 127 labels. */
function ancestorsOf(host: string): string[] {
  const labels = host.split('.').slice(-127)
  return labels.slice(1).map((_, index) => labels.slice(index + 1).join('.'))
}
