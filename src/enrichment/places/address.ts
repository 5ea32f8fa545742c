import ipaddr from 'ipaddr.js'

/** An address in the one form in which it is stored and looked up. */
export type Address = {
  /** Canonical text; an IPv4 address inside IPv6 (`::ffff:1.2.3.4`) is written as the IPv4 address. */
  readonly text: string
  readonly family: 4 | 6
  readonly bytes: readonly number[]
  /** Not on the public internet: no database says anything true about it. */
  readonly isPrivate: boolean
}

const PRIVATE_RANGES: ReadonlySet<string> = new Set([
  'unspecified', 'private', 'loopback', 'linkLocal', 'uniqueLocal', 'carrierGradeNat', 'broadcast', 'multicast',
]) // prettier-ignore

/** The address in a text as a socket or a proxy gives it; a zone (`fe80::1%eth0`) is dropped.
 * @returns undefined where the text is no address
 */
export function parseAddress(given: string): Address | undefined {
  const text = given.includes('%') ? given.slice(0, given.indexOf('%')) : given
  // Asked of the wrong family, the library throws and catches inside, for 20 µs.
  const isValid = text.includes(':') ? ipaddr.IPv6.isValid(text) : ipaddr.IPv4.isValidFourPartDecimal(text)
  if (!isValid) return undefined
  const address = ipaddr.process(text)
  return {
    text: address.toString(),
    family: address.kind() === 'ipv4' ? 4 : 6,
    bytes: address.toByteArray(),
    isPrivate: PRIVATE_RANGES.has(address.range()),
  }
}
