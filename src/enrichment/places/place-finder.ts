import { readFileSync } from 'node:fs'
import type { Place } from '#records'
import type { Address } from './address.ts'
import { AsnTable, asnArraysOf } from './asn-table.ts'
import { isHostingNetwork } from './hosting.ts'
import { MmdbFile } from './mmdb-file.ts'
import { mergePlaces } from './place-of-record.ts'
import { readSharedFile, type SharedFile } from './shared-file.ts'

/** An mmdb file and which addresses it is asked for; `ipv6` is read when the first such address comes. */
export type GeoFile = { readonly path: string; readonly addresses: 'ipv4' | 'ipv6' | 'all' }

export type PlaceSources = {
  /** Cities, countries, networks, anonymous addresses, in any order of purpose: the first that knows a location (a network)
   * gives it, flags of all add up.
   */
  readonly geoFiles: readonly GeoFile[]
  /** Made by compileAsnDatabase; asked where no mmdb file names the network. */
  readonly asnFile?: string | undefined
  /** Those of the files that the threads of this process have in memory together. */
  readonly sharedFiles?: readonly SharedFile[]
}

/** Finds places of addresses in local files. */
export class PlaceFinder {
  readonly #files: readonly MmdbFile[]
  readonly #asnTable: AsnTable | undefined

  /** Opens the files except those for IPv6 alone. @throws {WaypostError} environment_invalid: a file cannot be used */
  constructor(sources: PlaceSources) {
    const sharedFiles = new Map(sources.sharedFiles?.map((file) => [file.path, file]))
    const read = (path: string): Buffer => {
      const shared = sharedFiles.get(path)
      return shared === undefined ? readFileSync(path) : readSharedFile(shared)
    }
    this.#files = sources.geoFiles.map(({ path, addresses }) => new MmdbFile(path, addresses, read))
    for (const [index, file] of this.#files.entries()) if (sources.geoFiles[index]!.addresses !== 'ipv6') file.open()
    const arrays = sources.asnFile === undefined ? undefined : asnArraysOf(read(sources.asnFile))
    this.#asnTable = arrays && new AsnTable(arrays)
  }

  /** What the files know of an address; nothing for a private one. A data centre is one by its flag or its network. */
  find(address: Address): Place {
    if (address.isPrivate) return {}
    const places: Place[] = []
    for (const file of this.#files) {
      const place = file.find(address)
      if (place !== undefined) places.push(place)
    }
    if (this.#asnTable !== undefined && places.every(({ asn }) => asn === undefined)) {
      const system = this.#asnTable.find(address)
      if (system !== undefined) places.push(system)
    }
    const place = mergePlaces(places)
    return !place.is_hosting && isHostingNetwork(place) ? { ...place, is_hosting: true } : place
  }
}
