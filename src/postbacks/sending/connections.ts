import { isIP, Socket, type LookupFunction } from 'node:net'
import { TLSSocket } from 'node:tls'
import { buildConnector, Client } from 'undici'
import { allowsAddress } from './allow-list.ts'
import { isAllowedAddress } from './check-destination.ts'
import { DestinationRefused, ProxyFailed } from './classify-error.ts'
import { openTunnel, type PostbackProxy } from './proxy-tunnel.ts'
import type { ResolveHost } from './resolve-host.ts'

/** No handshake takes longer; the endpoint's deadline usually comes first. */
const CONNECT_TIMEOUT_MS = 10_000
/** An idle connection is kept this long; most servers close theirs after 5 s or more. */
const KEEP_ALIVE_MS = 4_000
/** A connection is pinned to the address that was checked when it opened; after this it is opened, and checked, again. */
const CONNECTION_AGE_MS_MAX = 5 * 60_000
const RESPONSE_HEADER_BYTES_MAX = 16_384
/** Kinds of connections kept apart: an advertiser with a list of addresses has its own. Beyond, the oldest kind goes. */
const REACHES_MAX = 1_000

/** What is known of a connection since it was opened. Its times belong to the first request on it. */
export type Connection = {
  /** The receiver's, also where a proxy stands between. */
  readonly remoteAddress: string
  /** Milliseconds for the name; undefined: the URL has an address. */
  readonly dnsMs: number | undefined
  /** Milliseconds until TCP was up; through a proxy, until its tunnel was. */
  readonly connectMs: number | undefined
  /** Milliseconds of the TLS handshake; undefined: plain HTTP. */
  readonly tlsMs: number | undefined
  /** `TLSv1.2` or `TLSv1.3`; undefined: plain HTTP. */
  readonly tlsVersion: string | undefined
}

/** Who may share connections: those that may go to the same addresses in the same way. */
export type Reach = {
  readonly allowsPrivate: boolean
  /** Address blocks, the only ones that may be reached; undefined: all public ones. */
  readonly addresses: readonly string[] | undefined
  readonly isProxied: boolean
}

export type ConnectionOptions = {
  readonly resolveHost: ResolveHost
  /** Undefined: there is none, and who must go through one goes nowhere. */
  readonly proxy?: PostbackProxy | undefined
  /** Milliseconds after which a connection is opened, and checked, again; default five minutes. */
  readonly connectionAgeMsMax?: number | undefined
}

/** What one request at a time goes over: a client with one connection, which is opened when it is first needed. */
export type Lane = {
  readonly client: Client
  /** The one that is open, or was last; undefined: none ever was. */
  readonly connection: Connection | undefined
  /** Counts a request on the connection.
   * @returns how many it has had, this one included
   */
  readonly countRequest: () => number
}

export type Connections = {
  /** A lane to this origin that nobody uses, the one used last if there are several: so the others can end.
   * @param now performance.now()
   */
  readonly take: (reach: Reach, origin: string, now: number) => Lane
  /** For the next request.
   * @param isWhole the answer came to its end; if not, nobody knows what the connection still carries, and it is closed
   */
  readonly giveBack: (lane: Lane, isWhole: boolean) => void
  readonly close: () => Promise<void>
}

/** Connections by reach: a kept connection must never serve an endpoint that may not go where it leads. An Agent of undici would do for
 * this; but a request finds its way through one in three steps, each with its own look-up and its own events.
 */
export function createConnections(options: ConnectionOptions): Connections {
  const reaches = new Map<string, OneReach>()
  const ageMsMax = options.connectionAgeMsMax ?? CONNECTION_AGE_MS_MAX
  const lanes = new Set<KeptLane>()
  const closing = new Set<Promise<void>>()

  function close(lane: KeptLane): void {
    if (!lanes.delete(lane)) return
    lane.leave()
    const closed = lane.client.destroy().finally(() => closing.delete(closed))
    closing.add(closed)
  }

  function reachOf(reach: Reach): OneReach {
    const key = keyOf(reach)
    const known = reaches.get(key)
    if (known !== undefined) return known
    const [oldest] = reaches.keys()
    if (reaches.size >= REACHES_MAX && oldest !== undefined) forget(oldest)
    const made = {
      connect: reach.isProxied ? proxiedConnector(options, reach) : directConnector(options, reach),
      origins: new Map(),
    }
    reaches.set(key, made)
    return made
  }

  /** What is under way there ends first. */
  function forget(key: string): void {
    for (const { idle } of reaches.get(key)!.origins.values()) for (const lane of [...idle]) close(lane)
    reaches.delete(key)
  }

  function open(reach: OneReach, origin: string): KeptLane {
    const lane = new KeptLane(reach, origin, ageMsMax)
    lanes.add(lane)
    // Of what is under way the request hears; an idle one was ended by the other side, or after the time that it is kept.
    lane.client.on('disconnect', () => lane.isIdle && close(lane))
    return lane
  }

  return {
    take: (reach, origin, now) => {
      const known = reachOf(reach)
      const idle = known.origins.get(origin)?.idle
      for (let lane = idle?.pop(); lane !== undefined; lane = idle?.pop()) {
        if (now < lane.retiresAt) return lane
        close(lane)
      }
      return open(known, origin)
    },
    giveBack: (lane, isWhole) => {
      const kept = lane as KeptLane
      if (isWhole && lanes.has(kept)) kept.rest()
      else close(kept)
    },
    close: async () => {
      for (const lane of lanes) close(lane)
      await Promise.all(closing)
    },
  }
}

/** Lanes that lead to the same places. */
type OneReach = { readonly connect: Connect; readonly origins: Map<string, OneOrigin> }

/** Its lanes, and those of them that nobody uses, the one used last at the end. */
type OneOrigin = { lanes: number; readonly idle: KeptLane[] }

class KeptLane implements Lane {
  readonly client: Client
  connection: Connection | undefined
  /** On performance.now(). */
  retiresAt = Number.POSITIVE_INFINITY
  #requests = 0
  readonly #reach: OneReach
  readonly #origin: string
  readonly #siblings: OneOrigin

  constructor(reach: OneReach, origin: string, ageMsMax: number) {
    this.#reach = reach
    this.#origin = origin
    this.#siblings = reach.origins.get(origin) ?? { lanes: 0, idle: [] }
    this.#siblings.lanes += 1
    reach.origins.set(origin, this.#siblings)
    this.client = new Client(origin, {
      ...CLIENT_OPTIONS,
      connect: (target, callback) =>
        reach.connect(target, (error, opened) => {
          if (error !== null) return callback(error, null)
          this.connection = opened.connection
          this.#requests = 0
          this.retiresAt = performance.now() + ageMsMax
          callback(null, opened.socket)
        }),
    })
  }

  get isIdle(): boolean {
    return this.#siblings.idle.includes(this)
  }

  rest(): void {
    this.#siblings.idle.push(this)
  }

  leave(): void {
    const place = this.#siblings.idle.indexOf(this)
    if (place >= 0) this.#siblings.idle.splice(place, 1)
    this.#siblings.lanes -= 1
    if (this.#siblings.lanes === 0) this.#reach.origins.delete(this.#origin)
  }

  countRequest(): number {
    return (this.#requests += 1)
  }
}

const CLIENT_OPTIONS = {
  allowH2: false,
  pipelining: 1,
  keepAliveTimeout: KEEP_ALIVE_MS,
  // Whatever the receiver hints at.
  keepAliveMaxTimeout: KEEP_ALIVE_MS,
  maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
  // One deadline per attempt covers both.
  headersTimeout: 0,
  bodyTimeout: 0,
} as const

function keyOf({ allowsPrivate, isProxied, addresses }: Reach): string {
  const kind = allowsPrivate ? (isProxied ? 'private proxied' : 'private') : isProxied ? 'public proxied' : 'public'
  return addresses === undefined ? kind : `${kind} ${addresses.join()}`
}

const connectorOptions = { allowH2: false, timeout: CONNECT_TIMEOUT_MS, minVersion: 'TLSv1.2' } as const

type Opened = { readonly socket: Socket; readonly connection: Connection }
type Connect = (
  target: buildConnector.Options,
  callback: (...result: [error: Error, opened: null] | [error: null, opened: Opened]) => void,
) => void

/** Opens connections to checked addresses only. The addresses that were checked are those that are connected to, so a name
 * server that answers differently a moment later gains nothing; the socket's own address is checked once more.
 */
function directConnector({ resolveHost }: ConnectionOptions, reach: Reach): Connect {
  const connect = buildConnector({ ...connectorOptions, lookup: checkedLookup(resolveHost, reach) })
  return (target, callback) => {
    const times: Times = { startedAt: performance.now(), resolvedAt: undefined, connectedAt: undefined }
    const opening: unknown = connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null)
      const remoteAddress = socket.remoteAddress ?? 'unknown'
      if (!mayReach(remoteAddress, reach)) {
        socket.destroy()
        return callback(new DestinationRefused(remoteAddress), null)
      }
      callback(null, { socket, connection: describe(socket, remoteAddress, times) })
    })
    if (!(opening instanceof Socket)) return
    opening.once('lookup', () => (times.resolvedAt = performance.now()))
    // Before the connector's own listener, which ends the wait for a plain connection.
    opening.prependOnceListener('connect', () => (times.connectedAt = performance.now()))
  }
}

/** The name is resolved and checked here and the proxy is told an address, so that it has no say in where that leads. */
function proxiedConnector({ resolveHost, proxy }: ConnectionOptions, reach: Reach): Connect {
  const secure = buildConnector(connectorOptions)
  const openTo = async (target: buildConnector.Options, times: Times): Promise<readonly [Socket, string]> => {
    if (proxy === undefined) throw new ProxyFailed('no proxy is configured')
    const hostname = target.hostname.replace(/^\[|\]$/g, '')
    const isName = isIP(hostname) === 0
    if (!isName && !mayReach(hostname, reach)) throw new DestinationRefused(hostname)
    const addresses = isName ? await resolveChecked(resolveHost, hostname, reach) : [hostname]
    if (isName) times.resolvedAt = performance.now()
    const port = target.port === '' ? defaultPort(target) : Number(target.port)
    const tunnel = await openTunnel(proxy, addresses, port)
    times.connectedAt = performance.now()
    return tunnel
  }
  return (target, callback) => {
    const times: Times = { startedAt: performance.now(), resolvedAt: undefined, connectedAt: undefined }
    openTo(target, times).then(
      ([tunnel, address]) => {
        const give = (socket: Socket): void => callback(null, { socket, connection: describe(socket, address, times) })
        if (target.protocol !== 'https:') return give(tunnel)
        secure({ ...target, httpSocket: tunnel }, (...[error, socket]) => {
          if (error !== null) return callback(error, null)
          give(socket)
        })
      },
      (error: Error) => callback(error, null),
    )
  }
}

const defaultPort = ({ protocol }: buildConnector.Options): number => (protocol === 'https:' ? 443 : 80)

const mayReach = (address: string, { allowsPrivate, addresses }: Reach): boolean =>
  isAllowedAddress(address, allowsPrivate) && allowsAddress(addresses, address)

/** All addresses of a name, or none where a single one is not allowed: a mixed answer is an attack or a mistake.
 * @throws {DestinationRefused} one of them may not be reached
 * @throws {Error} with a `code` of node:dns
 */
async function resolveChecked(resolveHost: ResolveHost, hostname: string, reach: Reach): Promise<readonly string[]> {
  const addresses = await resolveHost(hostname)
  const refused = addresses.find((address) => !mayReach(address, reach))
  if (refused !== undefined) throw new DestinationRefused(refused)
  if (addresses.length === 0) throw Object.assign(new Error('no address'), { code: 'ENODATA' })
  return addresses
}

function checkedLookup(resolveHost: ResolveHost, reach: Reach): LookupFunction {
  return (hostname, options, callback) => {
    resolveChecked(resolveHost, hostname, reach).then(
      (addresses) => {
        const records = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
        if (options.all === true) return callback(null, records)
        callback(null, records[0]!.address, records[0]!.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    )
  }
}

/** On performance.now(). */
type Times = { readonly startedAt: number; resolvedAt: number | undefined; connectedAt: number | undefined }

/** Once for each connection, so that a request on a kept one costs no measuring. */
function describe(socket: Socket, remoteAddress: string, times: Times): Connection {
  const { startedAt, resolvedAt, connectedAt } = times
  const isTls = socket instanceof TLSSocket
  return {
    remoteAddress,
    dnsMs: msBetween(startedAt, resolvedAt),
    connectMs: msBetween(resolvedAt ?? startedAt, connectedAt),
    tlsMs: isTls && connectedAt !== undefined ? msBetween(connectedAt, performance.now()) : undefined,
    tlsVersion: isTls ? (socket.getProtocol() ?? undefined) : undefined,
  }
}

const msBetween = (from: number, to: number | undefined): number | undefined =>
  to === undefined ? undefined : Math.round(to - from)
