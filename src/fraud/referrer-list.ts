import type { RuleLists } from '#rules'

/** Hosts by which a referrer is judged. */
export type ReferrerList = {
  readonly hosts: ReadonlySet<string>
  /** Hosts below which every host belongs to the list. */
  readonly parents: ReadonlySet<string>
}

/** @param entries `example.com` (that host), `*.example.com` (every host below it), `@name` (the entries of that list) */
export function compileReferrerList(entries: readonly string[], lists: RuleLists): ReferrerList {
  const all = entries.flatMap((entry) => (entry.startsWith('@') ? lists.entries(entry.slice(1)) : [entry]))
  const lower = all.map((entry) => entry.toLowerCase())
  return {
    hosts: new Set(lower.filter((entry) => !entry.startsWith('*.'))),
    parents: new Set(lower.filter((entry) => entry.startsWith('*.')).map((entry) => entry.slice(2))),
  }
}

export function isListed(list: ReferrerList, host: string): boolean {
  if (list.hosts.has(host)) return true
  if (list.parents.size === 0) return false
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    if (list.parents.has(host.slice(dot + 1))) return true
  }
  return false
}

/** Host of a referrer as the header gives it, lower case; empty where there is none.
 * @example hostOfReferrer('https://Shop.example.com:8443/a?b') // 'shop.example.com'
 */
export function hostOfReferrer(referrer: string): string {
  const scheme = referrer.indexOf('://')
  if (scheme === -1) return ''
  const start = scheme + 3
  let end = start
  while (end < referrer.length && !isDelimiter(referrer.charCodeAt(end))) end += 1
  const authority = referrer.slice(start, end)
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  const port = host.lastIndexOf(':')
  return (port > host.lastIndexOf(']') ? host.slice(0, port) : host).toLowerCase()
}

/** `/`, `?`, `#` and the backslash, which browsers read as a slash. */
const isDelimiter = (code: number): boolean => code === 0x2f || code === 0x3f || code === 0x23 || code === 0x5c
