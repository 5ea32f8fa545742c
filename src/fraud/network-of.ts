/** Network of an address in its canonical text: of IPv4 the address or its /24, of IPv6 the /64 or its /48. An IPv6 customer
 * has at least a /64, and phones change their address inside of it by the hour, so that a single IPv6 address counts nothing.
 */
export function networkOf(ip: string, kind: 'ip' | 'subnet'): string {
  if (ip.includes(':')) return firstGroups(ip, kind === 'ip' ? 4 : 3)
  return kind === 'ip' ? ip : ip.slice(0, ip.lastIndexOf('.') + 1)
}

/** The first of the eight groups, zeros that `::` stands for written out. */
function firstGroups(ip: string, count: number): string {
  const gap = ip.indexOf('::')
  if (gap === -1) return ip.split(':', count).join(':')
  const head = gap === 0 ? [] : ip.slice(0, gap).split(':')
  const tail = gap + 2 === ip.length ? [] : ip.slice(gap + 2).split(':')
  const zeros = Math.max(0, 8 - head.length - tail.length)
  return [...head, ...Array<string>(zeros).fill('0'), ...tail].slice(0, count).join(':')
}
