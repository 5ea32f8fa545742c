/** The host of an address as a browser or a partner writes it, in lower case, without user, port and final dot.
 * @example hostOfUrl('https://News.example:8080/a?b') // 'news.example'; also 'news.example/a'
 */
export function hostOfUrl(url: string): string {
  const start = afterScheme(url)
  let host = url.slice(start, endOfAuthority(url, start))
  const at = host.lastIndexOf('@')
  if (at !== -1) host = host.slice(at + 1)
  if (!host.startsWith('[')) {
    const colon = host.indexOf(':')
    if (colon !== -1) host = host.slice(0, colon)
  } else host = host.slice(0, host.indexOf(']') + 1)
  return (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase()
}

/** The path of an address, `/` where it has none; empty where there is no address. */
export function pathOfUrl(url: string): string {
  if (url === '') return ''
  const start = endOfAuthority(url, afterScheme(url))
  const end = url.slice(start).search(/[?#]/)
  const path = end === -1 ? url.slice(start) : url.slice(start, start + end)
  return path === '' ? '/' : path
}

function afterScheme(url: string): number {
  const scheme = url.indexOf('://')
  return scheme === -1 ? 0 : scheme + 3
}

function endOfAuthority(url: string, start: number): number {
  for (let index = start; index < url.length; index += 1) {
    const code = url.charCodeAt(index)
    if (code === 0x2f || code === 0x3f || code === 0x23) return index
  }
  return url.length
}

/** Hosts of a condition: `example.com` is that host alone, `*.example.com` it and every host below it. */
export class HostSet {
  readonly #hosts: ReadonlySet<string>
  readonly #parents: ReadonlySet<string>

  constructor(hosts: readonly string[]) {
    this.#hosts = new Set(hosts.filter((host) => !host.startsWith('*.')))
    this.#parents = new Set(hosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(2)))
  }

  /** @param host in lower case */
  has(host: string): boolean {
    if (this.#hosts.has(host)) return true
    if (this.#parents.size === 0) return false
    if (this.#parents.has(host)) return true
    for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1))
      if (this.#parents.has(host.slice(dot + 1))) return true
    return false
  }
}

/** Whether a host is one that `pattern` names, without a set. */
export const isHostOf = (host: string, pattern: string): boolean =>
  pattern.startsWith('*.') ? host === pattern.slice(2) || host.endsWith(pattern.slice(1)) : host === pattern
