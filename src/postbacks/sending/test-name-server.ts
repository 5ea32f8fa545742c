import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'

/** A name server on loopback over UDP, for tests that need DNS to lie. It speaks just enough of RFC 1035: one question, answers of
 * type A and AAAA with a TTL of 0, which asks the client to remember nothing.
 */
export type NameServer = {
  /** `address:port`, as Resolver.setServers takes it. */
  readonly address: string
  /** Names asked for, once per question. */
  readonly questions: readonly string[]
  /** Says what a name resolves to from now on; a name without an answer does not exist. */
  readonly answer: (name: string, addresses: readonly string[]) => void
  readonly close: () => Promise<void>
}

const TYPE = { A: 1, AAAA: 28 } as const
const NAME_ERROR = 3

export async function startNameServer(): Promise<NameServer> {
  const answers = new Map<string, readonly string[]>()
  const questions: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, { address, port }) => {
    const { name, type, end } = readQuestion(query)
    questions.push(name)
    socket.send(composeAnswer(query, end, type, answers.get(name)), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    answer: (name, addresses) => void answers.set(name, addresses),
    close: () => new Promise((resolve) => void socket.close(() => resolve())),
  }
}

function readQuestion(query: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = []
  let at = 12
  while (query[at] !== 0) {
    const length = query[at]!
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function composeAnswer(query: Buffer, end: number, type: number, known: readonly string[] | undefined): Buffer {
  const addresses = (known ?? []).filter((address) => type === (isIPv4(address) ? TYPE.A : TYPE.AAAA))
  const head = Buffer.from(query.subarray(0, 12))
  head.writeUInt16BE(0x8180 | (known === undefined ? NAME_ERROR : 0), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  // Neither authority nor additional records, whatever the question carried (EDNS).
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, query.subarray(12, end), ...addresses.map((address) => record(type, address))])
}

function record(type: number, address: string): Buffer {
  const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : bytesOfV6(address)
  const head = Buffer.alloc(12)
  // A pointer to the name in the question.
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(0, 6)
  head.writeUInt16BE(bytes.length, 10)
  return Buffer.concat([head, bytes])
}

function bytesOfV6(address: string): Buffer {
  const [left, right] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::') as [string, string?]
  const groups = (text: string | undefined): number[] =>
    text === undefined || text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [first, last] = [groups(left), groups(right)]
  const all =
    right === undefined ? first : [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
  const bytes = Buffer.alloc(16)
  all.forEach((group, index) => bytes.writeUInt16BE(group, index * 2))
  return bytes
}
