/** Network of an address: of IPv4 the address or its /24, of IPv6 the /64 or its /48, in one spelling whichever way a proxy writes the
 * address. An IPv6 customer has at least a /64, and phones change their address inside of it by the hour, so that a single IPv6
 * address counts nothing.
 * @param ip an address, IPv4 in its usual text
 * @param kind `ip` for what one customer has, `subnet` for what is around it
 * @example networkOf('2001:DB8::1', 'ip') // '2001:db8:0:0'
 */
export function networkOf(ip: string, kind: 'ip' | 'subnet'): string {
  if (ip.includes(':')) return firstGroups(ip, kind === 'ip' ? 4 : 3)
  return kind === 'ip' ? ip : ip.slice(0, ip.lastIndexOf('.') + 1)
}

/** The first of the eight groups, zeros that `::` stands for written out. */
function firstGroups(ip: string, count: number): string {
  const gap = ip.indexOf('::')
  if (gap === -1) return ip.split(':', count).map(plainGroup).join(':')
  const head = gap === 0 ? [] : ip.slice(0, gap).split(':')
  const tail = gap + 2 === ip.length ? [] : ip.slice(gap + 2).split(':')
  // The last two groups may be written as an IPv4 address.
  const given = head.length + tail.length + (ip.includes('.') ? 1 : 0)
  const zeros = Array<string>(Math.max(0, 8 - given)).fill('0')
  return [...head, ...zeros, ...tail].slice(0, count).map(plainGroup).join(':')
}

/** Lower case, without leading zeros. */
function plainGroup(group: string): string {
  const digits = group.length > 1 && group.startsWith('0') ? group.replace(/^0+(?=.)/, '') : group
  return digits.toLowerCase()
}
