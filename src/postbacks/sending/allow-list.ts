import { BlockList, isIP } from 'node:net'
import type { PostbackAllow } from '#routing'
import { unwrapMapped } from './check-destination.ts'

/** What an advertiser allows of all its endpoints: names, addresses or both. Where a list is missing, it allows everything; the rules of
 * check-destination.ts hold in any case, so that a list can only narrow.
 */

/** Whether a parsed URL's host is on the list of domains. An address in the URL is judged by the list of addresses; where there is
 * only one of domains, it is on none.
 */
export function allowsHost({ domains, addresses }: PostbackAllow, url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0) return addresses === undefined ? domains === undefined : allowsAddress(addresses, host)
  if (domains === undefined) return true
  const name = host.replace(/\.$/, '')
  return domains.some((domain) => (domain.startsWith('*.') ? name.endsWith(domain.slice(1)) : name === domain))
}

/** The host of an endpoint's URL, where its advertiser's list does not have it. Addresses of names are known only when it is called.
 * @param url with macros; the host is written out, since no macro may choose it
 */
export function hostRefusedBy(allow: PostbackAllow, url: string): string | undefined {
  const [, host = ''] = /^https?:\/\/([^/?#]*)/i.exec(url) ?? []
  const parsed = URL.parse(`http://${host}/`)
  return parsed === null || allowsHost(allow, parsed) ? undefined : parsed.hostname
}

const blocksOf = new WeakMap<readonly string[], BlockList>()

/** Whether an address lies in one of the blocks; undefined: there is no list.
 * @param address as a resolver or a socket gives it
 */
export function allowsAddress(addresses: readonly string[] | undefined, address: string): boolean {
  if (addresses === undefined) return true
  const plain = unwrapMapped(address)
  const family = isIP(plain)
  if (family === 0) return false
  return blockListOf(addresses).check(plain, family === 4 ? 'ipv4' : 'ipv6')
}

function blockListOf(addresses: readonly string[]): BlockList {
  const known = blocksOf.get(addresses)
  if (known !== undefined) return known
  const blocks = new BlockList()
  for (const one of addresses) {
    const [address, prefix] = one.split('/') as [string, string?]
    const type = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (prefix === undefined) blocks.addAddress(address, type)
    else blocks.addSubnet(address, Number(prefix), type)
  }
  blocksOf.set(addresses, blocks)
  return blocks
}
