import { isIP, Socket, type LookupFunction } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Agent, buildConnector } from 'undici'
import { allowsAddress } from './allow-list.ts'
import { isAllowedAddress } from './check-destination.ts'
import { DestinationRefused, ProxyFailed } from './classify-error.ts'
import { openTunnel, type PostbackProxy } from './proxy-tunnel.ts'
import type { ResolveHost } from './resolve-host.ts'

/** No handshake takes longer; the endpoint's deadline usually comes first. */
const CONNECT_TIMEOUT_MS = 10_000
/** An idle connection is kept this long; most servers close theirs after 5 s or more. */
const KEEP_ALIVE_MS = 4_000
/** A connection is pinned to the address that was checked when it opened; after this all are opened, and checked, again. undici's own
 * limit of age would ask the clock for each connection at each request.
 */
const CONNECTION_AGE_MS_MAX = 5 * 60_000
const RESPONSE_HEADER_BYTES_MAX = 16_384
/** Kinds of connections kept apart: an advertiser with a list of addresses has its own. Beyond, the oldest kind goes. */
const AGENTS_MAX = 1_000

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

export type Connections = {
  readonly agentFor: (reach: Reach) => Agent
  readonly close: () => Promise<void>
}

/** Connections by reach: a kept connection must never serve an endpoint that may not go where it leads. */
export function createConnections(options: ConnectionOptions): Connections {
  const agents = new Map<string, AgedAgent>()
  const ageMsMax = options.connectionAgeMsMax ?? CONNECTION_AGE_MS_MAX
  const closing = new Set<Agent>()
  /** What is under way on it ends first. */
  const retire = (key: string, { agent }: AgedAgent): void => {
    agents.delete(key)
    closing.add(agent)
    void agent.close().finally(() => closing.delete(agent))
  }
  const open = (key: string, reach: Reach): Agent => {
    const [oldest] = agents
    if (agents.size >= AGENTS_MAX && oldest !== undefined) retire(...oldest)
    const agent = createAgent(options, reach)
    agents.set(key, { agent, retiresAt: performance.now() + ageMsMax })
    return agent
  }
  return {
    agentFor: (reach) => {
      const key = keyOf(reach)
      const known = agents.get(key)
      if (known !== undefined && performance.now() < known.retiresAt) return known.agent
      if (known !== undefined) retire(key, known)
      return open(key, reach)
    },
    close: async () => {
      const all = [...[...agents.values()].map(({ agent }) => agent), ...closing]
      await Promise.all(all.map((agent) => agent.destroy()))
    },
  }
}

type AgedAgent = { readonly agent: Agent; readonly retiresAt: number }

function keyOf({ allowsPrivate, isProxied, addresses }: Reach): string {
  const kind = allowsPrivate ? (isProxied ? 'private proxied' : 'private') : isProxied ? 'public proxied' : 'public'
  return addresses === undefined ? kind : `${kind} ${addresses.join()}`
}

function createAgent(options: ConnectionOptions, reach: Reach): Agent {
  return new Agent({
    connect: reach.isProxied ? proxiedConnector(options, reach) : directConnector(options, reach),
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    // One deadline per attempt covers both.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
}

const connectorOptions = { allowH2: false, timeout: CONNECT_TIMEOUT_MS, minVersion: 'TLSv1.2' } as const

/** Opens connections to checked addresses only. The addresses that were checked are those that are connected to, so a name
 * server that answers differently a moment later gains nothing; the socket's own address is checked once more.
 */
function directConnector({ resolveHost }: ConnectionOptions, reach: Reach): buildConnector.connector {
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
      remember(socket, remoteAddress, times)
      callback(null, socket)
    })
    if (!(opening instanceof Socket)) return
    opening.once('lookup', () => (times.resolvedAt = performance.now()))
    // Before the connector's own listener, which ends the wait for a plain connection.
    opening.prependOnceListener('connect', () => (times.connectedAt = performance.now()))
  }
}

/** The name is resolved and checked here and the proxy is told an address, so that it has no say in where that leads. */
function proxiedConnector({ resolveHost, proxy }: ConnectionOptions, reach: Reach): buildConnector.connector {
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
        if (target.protocol !== 'https:') {
          remember(tunnel, address, times)
          return callback(null, tunnel)
        }
        secure({ ...target, httpSocket: tunnel }, (...[error, socket]) => {
          if (error !== null) return callback(error, null)
          remember(socket, address, times)
          callback(null, socket)
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

/** A connection and how many requests went over it. */
type Kept = { readonly connection: Connection; requests: number }
const keptOf = new WeakMap<Socket, Kept>()

/** Once for each connection, so that a request on a kept one costs no measuring. */
function remember(socket: Socket, remoteAddress: string, times: Times): void {
  const { startedAt, resolvedAt, connectedAt } = times
  const isTls = socket instanceof TLSSocket
  const connection: Connection = {
    remoteAddress,
    dnsMs: msBetween(startedAt, resolvedAt),
    connectMs: msBetween(resolvedAt ?? startedAt, connectedAt),
    tlsMs: isTls && connectedAt !== undefined ? msBetween(connectedAt, performance.now()) : undefined,
    tlsVersion: isTls ? (socket.getProtocol() ?? undefined) : undefined,
  }
  keptOf.set(socket, { connection, requests: 0 })
}

const msBetween = (from: number, to: number | undefined): number | undefined =>
  to === undefined ? undefined : Math.round(to - from)

/** Counts a request on a connection.
 * @returns the connection, with how many requests it has had, this one included; undefined: the socket is none of ours
 */
export function useConnection(socket: Socket): Readonly<Kept> | undefined {
  const kept = keptOf.get(socket)
  if (kept !== undefined) kept.requests += 1
  return kept
}
