import type { Place } from '#records'

/** Systems that sell servers, by number: the large ones, whose names do not say so. Names are those of the AS table, which
 * takes them from the registries; the test compares the two. Left out although they run data centres: Cloudflare (13335,
 * WARP) and Akamai's 36183 (iCloud Private Relay), through which people browse.
 */
export const HOSTING_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [16509, 'Amazon'], [14618, 'Amazon'], [15169, 'Google'], [396982, 'Google'], [8075, 'Microsoft'],
  [31898, 'Oracle'], [54253, 'Oracle'], [45102, 'Alibaba'], [37963, 'Alibaba'], [132203, 'Tencent'], [45090, 'Tencent'],
  [136907, 'HUAWEI'], [16276, 'OVH'], [24940, 'Hetzner'], [213230, 'Hetzner'], [14061, 'DigitalOcean'],
  [63949, 'Akamai'], [20473, 'Constant Company'], [12876, 'Scaleway'], [51167, 'Contabo'], [40021, 'Contabo'],
  [60781, 'LeaseWeb'], [28753, 'Leaseweb'], [30633, 'Leaseweb'], [395954, 'Leaseweb'], [59253, 'LEASEWEB'],
  [7203, 'Leaseweb'], [394380, 'Leaseweb'], [32613, 'Leaseweb'], [9009, 'M247'], [60068, 'Datacamp'], [212238, 'Datacamp'],
  [26496, 'GoDaddy'], [47583, 'Hostinger'], [22612, 'Namecheap'], [46606, 'Unified Layer'], [26347, 'New Dream Network'],
  [49505, 'Selectel'], [50340, 'Selectel'], [9123, 'TIMEWEB'], [197695, 'REG.RU'], [198610, 'Beget'],
  [202053, 'UpCloud'], [8560, 'IONOS'], [31034, 'Aruba'], [8100, 'QuadraNet'], [36352, 'HostPapa'], [54290, 'HostPapa'],
  [40676, 'Psychz'], [40509, 'Fly.io'], [62240, 'Clouvider'], [29802, 'HIVELOCITY'], [53667, 'FranTech'],
  [23470, 'ReliableSite'], [64267, 'Sprious'], [55286, 'B2 Net Solutions'], [199524, 'G-Core'], [202422, 'G-Core'],
  [25820, 'IT7 Networks'], [35916, 'MULTACOM'], [19318, 'Interserver'], [3223, 'Voxility'], [49981, 'WorldStream'],
  [43350, 'NForce'], [60117, 'Host Sailor'], [62904, 'Eonix'], [46562, 'Performive'], [53755, 'Input Output Flood'],
  [54825, 'Packet Host'], [136787, 'PacketHub'],
]) // prettier-ignore

/** Words by which an organisation says itself that it sells servers. */
const HOSTING_NAME =
  /\b(?:web ?)?host(?:ing|er)s?\b|\bdata ?cent(?:er|re)s?\b|\bcloud\b|\bvps\b|\bdedicated servers?\b|\bcolocation\b/i

/** Whether a place is in a data centre, as far as its network says. */
export function isHostingNetwork(place: Pick<Place, 'asn' | 'isp'>): boolean {
  if (place.asn !== undefined && HOSTING_SYSTEMS.has(place.asn)) return true
  return place.isp !== undefined && HOSTING_NAME.test(place.isp)
}
