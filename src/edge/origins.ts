import type { Snapshot } from '#routing'

/** Whether pages of an origin may read answers. */
export type OriginList = { readonly allows: (origin: string) => boolean }

export type Origins = {
  /** Pages of any active advertiser. */
  readonly ofAll: OriginList
  /** Pages of one advertiser, while it is active; undefined: nobody's. */
  readonly ofAdvertiser: (advertiserId: string | undefined) => OriginList | undefined
}

export function compileOrigins(snapshot: Snapshot): Origins {
  const active = snapshot.advertisers.filter((advertiser) => advertiser.status === 'active')
  const lists = new Map(active.map(({ advertiser_id, domains }) => [advertiser_id, compileDomains(domains)]))
  return {
    ofAll: compileDomains(active.flatMap(({ domains }) => domains)),
    ofAdvertiser: (advertiserId) => (advertiserId === undefined ? undefined : lists.get(advertiserId)),
  }
}

/** `example.com` exactly, `*.example.com` every subdomain of it, any scheme; any port, unless the domain names one. */
function compileDomains(written: readonly string[]): OriginList {
  const domains = written.map((domain) => domain.toLowerCase())
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
