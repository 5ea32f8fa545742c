import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createRandom, type Random } from '#platform/random'
import { parseProxy } from './proxy-tunnel.ts'
import { createHostResolver } from './resolve-host.ts'
import { Target } from './target.ts'
import { createSender, type Exchange, type OutgoingRequest, type Sender } from './send-request.ts'
import { startNameServer, type NameServer } from './test-name-server.ts'
import { startTestProxy, type TestProxy } from './test-proxy.ts'

/** The matrix of server-side request forgery: everything that a URL, a name server or a receiver could do to lead a postback to
 * where it may not go, against the real sender, the real resolver and real sockets. Nothing leaves the machine: what must not be
 * connected to is not, and what may be is reached through a proxy that ends on loopback.
 */
export type SsrfOutcome = {
  /** Requests made, by what they tried. */
  readonly tried: Readonly<Record<string, number>>
  /** What went through that must not, or did not that must; empty: every promise was kept. */
  readonly findings: readonly string[]
}

/** First and last address of each range that is not public, and what else is known to slip through. */
const V4_RANGES = [
  '0.0.0.0-0.255.255.255', '10.0.0.0-10.255.255.255', '100.64.0.0-100.127.255.255', '127.0.0.0-127.255.255.255',
  '169.254.0.0-169.254.255.255', '172.16.0.0-172.31.255.255', '192.0.0.0-192.0.0.255', '192.0.2.0-192.0.2.255',
  '192.88.99.0-192.88.99.255', '192.168.0.0-192.168.255.255', '198.18.0.0-198.19.255.255',
  '198.51.100.0-198.51.100.255', '203.0.113.0-203.0.113.255', '224.0.0.0-239.255.255.255', '240.0.0.0-255.255.255.255',
] // prettier-ignore
const V6_ADDRESSES = [
  '::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '::ffff:0:127.0.0.1',
  '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '100::1', '2001::1', '2001:0:7f00:1::', '2001:db8::1',
  '2002:7f00:1::1', '2002:a9fe:a9fe::1', '3fff::1', '5f00::1', 'fc00::1', 'fd00:ec2::254', 'fe80::1', 'fec0::1', 'ff02::1',
] // prettier-ignore
const GLOBAL_V4 = '93.184.216.34'
const GLOBAL_V6 = '2606:2800:220:1:248:1893:25c8:1946'
/** Longer than a name is remembered at least. */
const LATER_MS = 61_000
const TIMEOUT_MS = 5_000

type World = AsyncDisposable & {
  readonly random: Random
  readonly names: NameServer
  readonly proxy: TestProxy
  /** A server of ours that nobody may reach unless a case says so, on every address of loopback. */
  readonly canary: Canary
  /** Makes a sender that asks the name server above. */
  readonly sender: (options?: { readonly isProxied?: boolean; readonly connectionAgeMsMax?: number }) => Sender
  /** Moves the clock of the resolvers on, so that they ask again. */
  readonly letTimePass: () => void
  readonly try: (
    what: string,
    url: string,
    isRight: (seen: Seen) => boolean,
    over?: Over,
  ) => Promise<Exchange | undefined>
  readonly outcome: () => SsrfOutcome
}
type Over = Partial<OutgoingRequest> & { readonly by?: Sender }
type Canary = { readonly port: number; readonly connections: () => number; readonly close: () => Promise<void> }
/** What came of a request, and what was opened for it. */
type Seen = { readonly exchange: Exchange; readonly reachedCanary: number; readonly socketsOpened: number }

/** Runs the whole matrix.
 * @param seed the same addresses, in the same forms, again
 */
export async function runSsrfMatrix({ seed }: { readonly seed: number }): Promise<SsrfOutcome> {
  await using world = await openWorld(createRandom(seed))
  for (const part of [
    tryLiterals, tryOtherUrls, tryNames, tryRebinding, tryRebindingOfPrivate, tryKeptConnections, tryOldConnections,
    tryRedirects, tryBrackets,
  ]) await part(world) // prettier-ignore
  return world.outcome()
}

const isRefused = ({ exchange, reachedCanary }: Seen): boolean =>
  exchange.error === 'destination_refused' && reachedCanary === 0
/** Before anything was opened. */
const isRefusedUnseen = (seen: Seen): boolean => isRefused(seen) && seen.socketsOpened === 0
const isDelivered = ({ exchange }: Seen): boolean => exchange.status === 200 && exchange.error === undefined

/** Every range at both ends and somewhere in between, in every way of writing an address. */
async function tryLiterals(world: World): Promise<void> {
  const { canary, random } = world
  for (const address of V4_RANGES.flatMap((range) => samplesOf(range, random)))
    for (const [form, host] of Object.entries(waysToWrite(address, random)))
      await world.try(`address, ${form}`, `http://${host}:${canary.port}/`, isRefusedUnseen)
  for (const address of V6_ADDRESSES)
    await world.try('address, IPv6', `http://[${address}]:${canary.port}/`, isRefusedUnseen)
  // The harness must be able to see what it says did not happen.
  for (const host of ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0177.0.0.1', '[::1]', '[::ffff:7f00:1]'])
    await world.try('address, allowed', `http://${host}:${canary.port}/`, (seen) => isDelivered(seen) && seen.reachedCanary === 1, { allowsPrivate: true, by: world.sender() }) // prettier-ignore
  for (const host of ['169.254.169.254', '0xa9fea9fe', '[fd00:ec2::254]', '[::ffff:a9fe:a9fe]', '0.0.0.0', '[::]'])
    await world.try('metadata, private allowed', `http://${host}/latest/meta-data/`, isRefusedUnseen, { allowsPrivate: true }) // prettier-ignore
}

async function tryOtherUrls(world: World): Promise<void> {
  const { port } = world.canary
  world.names.answer('partner.test', [GLOBAL_V4])
  for (const url of [
    `http://user@partner.test:${port}/`, `http://user:password@partner.test/`, `http://127.0.0.1:${port}@partner.test/`,
    'http://partner.test:22/', 'http://partner.test:25/', 'http://partner.test:1023/', 'ftp://partner.test/', 'file:///etc/passwd',
    'gopher://partner.test/', 'ws://partner.test/', 'data:text/plain,x', `http://partner.test@127.0.0.1:${port}/`,
  ]) await world.try('user, port or scheme', url, isRefusedUnseen) // prettier-ignore
}

async function tryNames(world: World): Promise<void> {
  const { names, random, canary } = world
  const bad = [...V4_RANGES.flatMap((range) => samplesOf(range, random)), ...V6_ADDRESSES]
  for (const [index, address] of bad.entries()) {
    const answers = {
      alone: [address],
      'after a public one': [GLOBAL_V4, address],
      'before a public one': [address, GLOBAL_V6],
    }
    for (const [how, addresses] of Object.entries(answers)) {
      const name = `n${index}-${how.length}.test`
      names.answer(name, addresses)
      const host = index % 3 === 0 ? `${name}.` : name
      await world.try(`name, ${how}`, `http://${host}:${canary.port}/`, isRefused)
      await world.try(`name through the proxy, ${how}`, `http://${host}:${canary.port}/`, isRefused, { viaProxy: true, by: world.sender({ isProxied: true }) }) // prettier-ignore
    }
  }
  for (const host of ['localhost', 'LOCALHOST.', 'a.localhost', 'ｌｏｃａｌｈｏｓｔ'])
    await world.try('name of loopback', `http://${host}:${canary.port}/`, isRefused)
  expect(world, 'the proxy was asked for a name that must not be reached', world.proxy.requests.length === 0)
}

/** Public when it is checked first, loopback a moment later, with a TTL of 0. */
async function tryRebinding(world: World): Promise<void> {
  const { names, proxy, canary } = world
  const by = world.sender({ isProxied: true })
  const url = `http://rebinding.test:${canary.port}/`
  names.answer('rebinding.test', [GLOBAL_V4])
  proxy.behave({ kind: 'tunnel', port: canary.port })
  const before = proxy.requests.length
  await world.try('rebinding, still public', url, isDelivered, { by, headers: { 'x-close': '1' } })
  expect(world, 'the proxy was told another address than the one checked', proxy.targets().at(-1) === `${GLOBAL_V4}:${canary.port}`) // prettier-ignore
  names.answer('rebinding.test', ['127.0.0.1'])
  world.letTimePass()
  await world.try('rebinding, loopback now', url, isRefused, { by })
  names.answer('rebinding.test', [GLOBAL_V6])
  world.letTimePass()
  await world.try('rebinding, public again', url, isDelivered, { by, headers: { 'x-close': '1' } })
  expect(world, 'an IPv6 address stands in no brackets', proxy.targets().at(-1) === `[${GLOBAL_V6}]:${canary.port}`)
  expect(world, 'the proxy was asked more often than was allowed', proxy.requests.length === before + 2)
}

/** The same without a proxy: one address of loopback is allowed and another is not. */
async function tryRebindingOfPrivate(world: World): Promise<void> {
  const { names, canary } = world
  const over: Over = { by: world.sender(), allowsPrivate: true, allow: { addresses: ['127.0.0.1/32'] }, headers: { 'x-close': '1' } } // prettier-ignore
  const url = `http://inside.test:${canary.port}/`
  names.answer('inside.test', ['127.0.0.1'])
  const asked = names.questions.length
  await world.try('rebinding inside, allowed', url, isDelivered, over)
  expect(world, 'a name was asked again between check and use', names.questions.length === asked + 2)
  for (const answer of [['127.0.0.2'], ['127.0.0.1', '127.0.0.2'], ['169.254.169.254'], ['::1']]) {
    names.answer('inside.test', answer)
    world.letTimePass()
    await world.try('rebinding inside, changed', url, isRefused, over)
  }
}

/** A connection that one endpoint keeps open must not serve another one that may not go there. */
async function tryKeptConnections(world: World): Promise<void> {
  const { canary, names } = world
  names.answer('kept.test', ['127.0.0.1'])
  for (const host of ['127.0.0.1', 'kept.test']) {
    const by = world.sender()
    const url = `http://${host}:${canary.port}/`
    await world.try('kept connection, opened', url, isDelivered, { by, allowsPrivate: true })
    await world.try('kept connection, used', url, (seen) => isDelivered(seen) && seen.exchange.isReused === true, { by, allowsPrivate: true }) // prettier-ignore
    await world.try('kept connection, of another', url, isRefused, { by })
    await world.try('kept connection, of another list', url, isRefused, { by, allowsPrivate: true, allow: { addresses: ['127.0.0.2'] } }) // prettier-ignore
    await world.try('kept connection, of other domains', url, isRefused, { by, allowsPrivate: true, allow: { domains: ['*.partner.test'] } }) // prettier-ignore
  }
}

/** A connection that is never idle ends by its age, and the next one is checked anew. */
async function tryOldConnections(world: World): Promise<void> {
  const { canary, names } = world
  const by = world.sender({ connectionAgeMsMax: 20 })
  const over: Over = { by, allowsPrivate: true, allow: { addresses: ['127.0.0.1'] } }
  const url = `http://aging.test:${canary.port}/`
  names.answer('aging.test', ['127.0.0.1'])
  await world.try('old connection, opened', url, isDelivered, over)
  names.answer('aging.test', ['127.0.0.2'])
  world.letTimePass()
  const endAt = performance.now() + TIMEOUT_MS
  let last: Exchange | undefined
  while (last?.error === undefined && performance.now() < endAt) last = await world.try('old connection, busy', url, () => true, over) // prettier-ignore
  expect(world, 'a connection outlived its age', last?.error === 'destination_refused')
}

async function tryRedirects(world: World): Promise<void> {
  const { canary } = world
  for (const status of [301, 302, 303, 307, 308])
    for (const to of [
      'http://169.254.169.254/latest/meta-data/',
      `http://127.0.0.2:${canary.port}/`,
      '//[::1]/',
      'file:///etc/passwd',
    ]) {
      const headers = { 'x-status': String(status), 'x-location': to }
      await world.try('redirect', `http://127.0.0.1:${canary.port}/`, ({ exchange, reachedCanary }) =>
        exchange.error === 'redirect' && exchange.status === status && reachedCanary <= 1, { allowsPrivate: true, headers, by: world.sender() }) // prettier-ignore
    }
}

/** Proxies have been talked into other hosts by brackets: none of these may reach ours at all. */
async function tryBrackets(world: World): Promise<void> {
  const { canary, proxy, names } = world
  const by = world.sender({ isProxied: true })
  const before = proxy.requests.length
  const hosts = ['[::ffff:127.0.0.1]', '[::1]', '[0:0:0:0:0:0:0:1]', '[127.0.0.1]', '[::1].partner.test', '%5B::1%5D', '[::1%25lo]', '[[::1]]', '127.0.0.1]', '[::', '[fe80::1%25eth0]'] // prettier-ignore
  for (const host of hosts) await world.try('brackets', `http://${host}:${canary.port}/`, isRefusedUnseen, { by })
  names.answer('bracket.test', ['::ffff:7f00:1'])
  await world.try('brackets', `http://bracket.test:${canary.port}/`, isRefused, { by })
  expect(world, 'the proxy was asked for an address in brackets that must not be reached', proxy.requests.length === before) // prettier-ignore
}

function expect(world: World, finding: string, isRight: boolean): void {
  if (!isRight) (world.outcome().findings as string[]).push(finding)
}

/** First, last and one in between. */
function samplesOf(range: string, random: Random): readonly string[] {
  const [first, last] = range.split('-').map(numberOf) as [number, number]
  return [first, last, first + Math.floor(random() * (last - first))].map(dotted)
}

const numberOf = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const partsOf = (number: number): readonly number[] => [24, 16, 8, 0].map((bits) => (number >>> bits) & 255)
const dotted = (number: number): string => partsOf(number).join('.')

/** One address in the forms that browsers and libraries understand. */
function waysToWrite(address: string, random: Random): Readonly<Record<string, string>> {
  const number = numberOf(address)
  const [a, b, c, d] = partsOf(number) as [number, number, number, number]
  const hex = number.toString(16)
  const octal = (part: number): string => `0${part.toString(8)}`
  const oddly = (part: number): string => [String(part), `0x${part.toString(16)}`, octal(part), `0x000${part.toString(16)}`][Math.floor(random() * 4)]! // prettier-ignore
  return {
    dotted: address,
    decimal: String(number),
    hexadecimal: `0x${hex}`,
    octal: `0${number.toString(8)}`,
    'octal parts': [a, b, c, d].map(octal).join('.'),
    'two parts': `${a}.${(b << 16) | (c << 8) | d}`,
    'three parts': `${a}.${b}.${(c << 8) | d}`,
    'mixed parts': [a, b, c, d].map(oddly).join('.'),
    'trailing dot': `${address}.`,
    'full width': address.split('').map((sign) => (sign === '.' ? '。' : String.fromCodePoint(sign.codePointAt(0)! + 0xfee0))).join(''), // prettier-ignore
    'ideographic dots': address.replaceAll('.', '｡'),
    'escaped signs': address
      .split('')
      .map((sign) => `%${sign.codePointAt(0)!.toString(16)}`)
      .join(''),
    mapped: `[::ffff:${address}]`,
    'mapped in hexadecimal': `[::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}]`,
  }
}

async function openWorld(random: Random): Promise<World> {
  const tried: Record<string, number> = {}
  const findings: string[] = []
  const senders: Sender[] = []
  const names = await startNameServer()
  const canary = await startCanary()
  const proxy = await startTestProxy({ kind: 'tunnel', port: canary.port })
  let nowMs = 0
  let socketsOpened = 0
  const countSocket = (): void => void (socketsOpened += 1)
  subscribe('net.client.socket', countSocket)
  const sender: World['sender'] = ({ isProxied = false, connectionAgeMsMax } = {}) => {
    const resolveHost = createHostResolver({ nameServers: [names.address], nowMs: () => nowMs })
    const made = createSender({ resolveHost, connectionAgeMsMax, proxy: isProxied ? parseProxy(proxy.url) : undefined })
    senders.push(made)
    return made
  }
  const usual = sender()
  return {
    ...{ random, names, proxy, canary, sender },
    letTimePass: () => void (nowMs += LATER_MS),
    try: async (what, address, isRight, { by = usual, ...over } = {}) => {
      tried[what] = (tried[what] ?? 0) + 1
      const url = URL.parse(address)
      // What the one parser refuses is never sent.
      if (url === null) return undefined
      const [openedBefore, reachedBefore] = [socketsOpened, canary.connections()]
      const exchange = await by.send({ target: new Target(url), method: 'GET', headers: {}, body: undefined, timeoutMs: TIMEOUT_MS, allowsPrivate: false, ...over }) // prettier-ignore
      // The client gives a connection back a turn after its answer.
      await nextTurn()
      const seen = { exchange, reachedCanary: canary.connections() - reachedBefore, socketsOpened: socketsOpened - openedBefore } // prettier-ignore
      if (!isRight(seen)) findings.push(`${what}: ${address} ended as ${exchange.error ?? exchange.status} ${exchange.errorDetail ?? ''} with ${seen.socketsOpened} sockets, ${seen.reachedCanary} at the canary`) // prettier-ignore
      return exchange
    },
    outcome: () => ({ tried, findings }),
    [Symbol.asyncDispose]: async () => {
      unsubscribe('net.client.socket', countSocket)
      await Promise.all([...senders.map((one) => one.close()), names.close(), proxy.close(), canary.close()])
    },
  }
}

/** Answers 200, or what the request asks for by its headers. */
async function startCanary(): Promise<Canary> {
  let connections = 0
  const server: Server = createHttpServer((request, response) => {
    const { 'x-status': status = '200', 'x-location': location, 'x-close': close } = request.headers
    if (location !== undefined) response.setHeader('location', String(location))
    if (close !== undefined) response.setHeader('connection', 'close')
    response.writeHead(Number(status)).end('ok')
  })
  server.on('connection', () => (connections += 1))
  server.listen(0, '::')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
