import { BlockList, isIP, isIPv4 } from 'node:net'

/** Where a postback may go: public addresses on http and https, so that an endpoint cannot be used to reach our own network
 * (server-side request forgery).
 * @see OWASP Server-Side Request Forgery Prevention Cheat Sheet, case 2; IANA special-purpose address registries
 */

function blocksOf(subnets: readonly string[]): BlockList {
  const blocks = new BlockList()
  for (const subnet of subnets) {
    const [address, prefix] = subnet.split('/') as [string, string]
    blocks.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6')
  }
  return blocks
}

/** Everything in IPv4 that is not a public unicast address. */
const RESERVED_V4 = blocksOf([
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
])
/** In IPv6 only this block is public unicast … */
const GLOBAL_V6 = blocksOf(['2000::/3'])
/** … without protocol assignments (Teredo among them), documentation and 6to4, which wraps an IPv4 address. */
const RESERVED_V6 = blocksOf(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'])

/** What allow_private_address opens: private networks and loopback. Link-local stays shut, since cloud machines give out their
 * credentials there, and so does the one private address that does the same.
 */
const PRIVATE = blocksOf([
  ...['10.0.0.0/8', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
  ...['::1/128', 'fc00::/7'],
])
const METADATA_V6 = blocksOf(['fd00:ec2::254/128'])

const V4_MAPPED = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i

/** The IPv4 address inside an IPv4-mapped IPv6 address; other addresses unchanged. */
export function unwrapMapped(address: string): string {
  const match = V4_MAPPED.exec(address)
  if (match === null) return address
  if (match[1] !== undefined) return match[1]
  const [high, low] = [Number.parseInt(match[2]!, 16), Number.parseInt(match[3]!, 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** Whether a postback may connect to an address.
 * @param address IPv4 or IPv6 as a resolver or a socket gives it; anything else is refused
 * @param allowsPrivate the endpoint's allow_private_address
 */
export function isAllowedAddress(address: string, allowsPrivate: boolean): boolean {
  const plain = unwrapMapped(address)
  const family = isIP(plain)
  if (family === 0) return false
  if (allowsPrivate && isPrivate(plain, family)) return true
  if (family === 4) return !RESERVED_V4.check(plain, 'ipv4')
  return GLOBAL_V6.check(plain, 'ipv6') && !RESERVED_V6.check(plain, 'ipv6')
}

const isPrivate = (address: string, family: number): boolean =>
  family === 4 ? PRIVATE.check(address, 'ipv4') : PRIVATE.check(address, 'ipv6') && !METADATA_V6.check(address, 'ipv6')

/** Ports below this belong to system services (mail, shells, databases of old); 80 and 443 are the web's. */
const PORT_MIN = 1024

/** Whether a parsed URL may be requested at all; where its host is a name, its addresses are judged when it is resolved.
 * WHATWG parsing has already turned every way of writing an IPv4 address (decimal, octal, hex, short) into dotted form.
 * @returns undefined when it may; else what is wrong
 */
export function checkDestination(url: URL, allowsPrivate: boolean): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'scheme'
  if (url.username !== '' || url.password !== '') return 'userinfo'
  if (url.port !== '' && Number(url.port) < PORT_MIN && url.port !== '80' && url.port !== '443') return 'port'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !isAllowedAddress(host, allowsPrivate)) return 'address'
  return undefined
}
