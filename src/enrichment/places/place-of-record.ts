import type { Place } from '#records'

/** A record of an mmdb file: nested as GeoIP2 and DB-IP's own files have it, or flat as ip-location-db repackages them. */
export type MmdbRecord = Readonly<Record<string, unknown>>

/** What one record says of a place; unknown values are left out. Never throws, whatever the record holds.
 *
 * | fact | nested | flat |
 * |---|---|---|
 * | country | country.iso_code | country_code |
 * | region | subdivisions[0].names.en | state1 |
 * | city | city.names.en | city |
 * | asn | (traits.)autonomous_system_number | the same |
 * | isp | (traits.)isp, else (traits.)autonomous_system_organization | the same |
 * | is_proxy | any of PROXY_FLAGS, in traits or on top | the same |
 * | is_hosting | is_hosting_provider, in traits or on top | the same |
 *
 * @see https://dev.maxmind.com/geoip/docs/databases, https://github.com/sapics/ip-location-db
 */
export function placeOfRecord(record: MmdbRecord): Place {
  const network = { ...record, ...objectOf(record['traits']) }
  const country = textOf(objectOf(record['country'])['iso_code']) ?? textOf(record['country_code'])
  const region = nameOf(firstOf(record['subdivisions'])) ?? textOf(record['state1'])
  const city = nameOf(record['city']) ?? textOf(record['city'])
  const asn = network['autonomous_system_number']
  const isp = textOf(network['isp']) ?? textOf(network['autonomous_system_organization'])
  return {
    ...(country !== undefined && { country: country.toUpperCase() }),
    ...(region !== undefined && { region }),
    ...(city !== undefined && { city }),
    ...(typeof asn === 'number' && asn > 0 && { asn }),
    ...(isp !== undefined && { isp }),
    ...(PROXY_FLAGS.some((flag) => network[flag] === true) && { is_proxy: true }),
    ...(network['is_hosting_provider'] === true && { is_hosting: true }),
  }
}

/** `is_anonymous` is not among them: it is also set for every hosting provider, and implied by each of these. */
export const PROXY_FLAGS = [
  'is_anonymous_vpn',
  'is_public_proxy',
  'is_residential_proxy',
  'is_tor_exit_node',
  'is_anonymous_proxy',
] as const

/** Joins what several files say: location and network each come wholly from the first file that knows them, so that a city
 * of one file never stands beside a country of another; flags add up.
 */
export function mergePlaces(places: readonly Place[]): Place {
  const location = places.find((place) => place.country !== undefined)
  const network = places.find((place) => place.asn !== undefined)
  const isp = places.find((place) => place.isp !== undefined && (place.asn ?? network?.asn) === network?.asn)?.isp
  return {
    ...(location?.country !== undefined && { country: location.country }),
    ...(location?.region !== undefined && { region: location.region }),
    ...(location?.city !== undefined && { city: location.city }),
    ...(network?.asn !== undefined && { asn: network.asn }),
    ...(isp !== undefined && { isp }),
    ...(places.some((place) => place.is_proxy) && { is_proxy: true }),
    ...(places.some((place) => place.is_hosting) && { is_hosting: true }),
  }
}

function objectOf(value: unknown): MmdbRecord {
  return typeof value === 'object' && value !== null ? (value as MmdbRecord) : {}
}

const firstOf = (value: unknown): unknown => (Array.isArray(value) ? value[0] : undefined)

const nameOf = (value: unknown): string | undefined => textOf(objectOf(objectOf(value)['names'])['en'])

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value !== '-' ? value : undefined
