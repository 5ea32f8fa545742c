import { BlockList, isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'

/** A set of addresses and CIDR blocks. */
export type AddressList = { readonly has: (address: string) => boolean }

/** `::ffff:192.0.2.1`, as a dual-stack socket reports IPv4 peers, to `192.0.2.1`. */
export const plainAddress = (address: string): string =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address

/** Compiles addresses and CIDR blocks (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`).
 * @throws {TypeError} for text that is neither (the configuration is checked before)
 */
export function compileAddressList(entries: readonly string[]): AddressList {
  const list = new BlockList()
  for (const entry of entries) addEntry(list, entry)
  return {
    has(address) {
      const version = isIP(address)
      return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
    },
  }
}

function addEntry(list: BlockList, entry: string): void {
  const [address = '', prefix] = entry.split('/')
  const version = isIP(address)
  if (version === 0) throw new TypeError(`“${entry}” is neither an address nor a CIDR block.`)
  const family = version === 6 ? 'ipv6' : 'ipv4'
  if (prefix === undefined) list.addAddress(address, family)
  else list.addSubnet(address, Number(prefix), family)
}

/** Who sent a request, as far as the proxies in front of us can be believed. */
export type ClientOrigin = { readonly address: string; readonly isHttps: boolean }

/** Reads the client's address and scheme. Headers count only when the peer is a trusted proxy: then the right-most address
 * of `X-Forwarded-For` that is no trusted proxy itself (what stands left of it the client may have made up), else
 * `CF-Connecting-IP`; `X-Forwarded-Proto` tells the scheme.
 */
export function makeClientOrigin(trustedProxies: readonly string[]): (request: IncomingMessage) => ClientOrigin {
  if (trustedProxies.length === 0) {
    return (request) => ({ address: peerOf(request), isHttps: false })
  }
  const trusted = rememberAnswers(compileAddressList(trustedProxies))
  return (request) => {
    const peer = peerOf(request)
    if (!trusted.has(peer)) return { address: peer, isHttps: false }
    return {
      address: forwardedFor(request, trusted) ?? cloudflareAddress(request) ?? peer,
      isHttps: isHttps(request.headers['x-forwarded-proto']),
    }
  }
}

/** Several proxies in a row may write a list; its first entry is what the client used. */
const isHttps = (scheme: string | string[] | undefined): boolean => /^https\b/.test(String(scheme))

const peerOf = (request: IncomingMessage): string => plainAddress(request.socket.remoteAddress ?? '0.0.0.0')

function forwardedFor(request: IncomingMessage, trusted: AddressList): string | undefined {
  const header = request.headers['x-forwarded-for']
  if (header === undefined) return undefined
  // Usually there is one proxy and so one address.
  const text = Array.isArray(header) ? header.join(',') : header
  if (isIP(text) !== 0) return plainAddress(text)
  const hops = text.split(',')
  let address: string | undefined
  for (let index = hops.length - 1; index >= 0; index -= 1) {
    const hop = plainAddress(withoutPort(hops[index]!.trim()))
    if (isIP(hop) === 0) return address
    address = hop
    if (!trusted.has(hop)) return address
  }
  return address
}

/** Some proxies write `192.0.2.1:4711` or `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  if (hop.startsWith('[')) return hop.slice(1, hop.indexOf(']'))
  const colon = hop.indexOf(':')
  return colon !== -1 && hop.indexOf(':', colon + 1) === -1 ? hop.slice(0, colon) : hop
}

function cloudflareAddress(request: IncomingMessage): string | undefined {
  const header = request.headers['cf-connecting-ip']
  return typeof header === 'string' && isIP(header) !== 0 ? plainAddress(header) : undefined
}

const REMEMBERED_MAX = 1_000

/** There are few proxies and each sends many requests: the block list is asked once for each. */
function rememberAnswers(list: AddressList): AddressList {
  const answers = new Map<string, boolean>()
  return {
    has(address) {
      const known = answers.get(address)
      if (known !== undefined) return known
      if (answers.size >= REMEMBERED_MAX) answers.clear()
      const answer = list.has(address)
      answers.set(address, answer)
      return answer
    },
  }
}
