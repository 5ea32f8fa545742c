import { setTimeout as delay } from 'node:timers/promises'
import { badReceivers, openBadReceiver, type BadReceiver, type Expectation } from './bad-receivers.ts'
import { makeCertificates } from './certificates.ts'
import type { FaultTest } from './fault-test.ts'
import { openFaultSite, type FaultSite } from './site.ts'
import { until } from './until.ts'

const HOST = 'receiver.test'
/** Long enough for those that answer beside those that flood. */
const TIMEOUT_MS = 3_000
const ROUND_SECONDS_MAX = 30
/** Five timeouts in a row would open the breaker, and a sixth round would see none of the answers. */
const ROUNDS_MAX = 4
/** Of everything that the receivers throw at one worker at once. */
const MEMORY_GROWTH_BYTES_MAX = 160 << 20
const LOOK_MS = 100

export const badReceiverMatrix: FaultTest = {
  shows:
    'receivers with every kind of bad answer, TLS or connection: each gets its error class and outcome, memory stays bounded',
  run: async (settings) => {
    const rounds = settings.isShort ? 1 : ROUNDS_MAX
    const cases = badReceivers(makeCertificates(settings.directory, HOST))
    let trapped = 0
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada'],
      endpoints: {},
      answer: () => {
        trapped += 1
        return { status: 204 }
      },
    })
    const trap = `http://127.0.0.1:${site.receiver.port}/e/trap`
    const open = await Promise.all(cases.map((one) => openBadReceiver(one, HOST, trap)))
    try {
      await site.configure(
        Object.fromEntries(cases.map((one, index) => [one.name, { url: open[index]!.url, timeout_ms: TIMEOUT_MS }])),
      )
      const worker = await site.startWorker(
        { address: '127.0.0.1', slots: 256 },
        { env: { NODE_EXTRA_CA_CERTS: `${settings.directory}/authority.pem` } },
      )
      await worker.ready
      const before = (await worker.report()).memoryBytes
      let most = before
      const findings: string[] = []
      for (let round = 1; round <= rounds; round += 1) {
        settings.tell(`round ${round}`)
        await site.startProducer({ perSecond: 1_000, first: round, end: round + 1, repeatEvery: 0 }).done
        const isWhole = await until(async () => {
          most = Math.max(most, (await worker.report()).memoryBytes)
          await delay(LOOK_MS)
          return (await countTries(site)) >= cases.length * round
        }, ROUND_SECONDS_MAX)
        if (!isWhole) findings.push(`round ${round}: some receivers were not tried within ${ROUND_SECONDS_MAX} s`)
        findings.push(...(await compare(site, cases, round)))
      }
      if (trapped > 0) findings.push(`a redirect was followed ${trapped} times`)
      const growth = most - before
      if (growth > MEMORY_GROWTH_BYTES_MAX) findings.push(`memory grew by ${growth >> 20} MB`)
      await worker.stop()
      return {
        did: [`${cases.length} receivers, ${rounds} deliveries to each, all at once`],
        seen: { 'tries judged': await countTries(site) },
        figures: { memory_before_mb: before >> 20, memory_most_mb: most >> 20 },
        findings,
      }
    } finally {
      for (const one of open) one.close()
    }
  },
}

const TRIES = `
  SELECT a.endpoint_id, a.http_status, a.error, a.outcome, a.response_bytes, a.total_ms, length(a.response_head) AS head_bytes,
    extract(epoch FROM a.next_at - a.attempted_at)::float8 - a.total_ms / 1000.0::float8 AS wait_seconds
  FROM delivery_attempts AS a JOIN deliveries AS d USING (delivery_id) JOIN conversions AS c USING (conversion_id)
  WHERE c.txid = $1`

type Try = {
  readonly endpoint_id: string
  readonly http_status: number | null
  readonly error: string | null
  readonly outcome: string
  readonly response_bytes: number
  readonly head_bytes: number
  readonly total_ms: number
  readonly wait_seconds: number | null
}

async function countTries(site: FaultSite): Promise<number> {
  const { rows } = await site.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM delivery_attempts')
  return rows[0]!.count
}

async function compare(site: FaultSite, cases: readonly BadReceiver[], round: number): Promise<readonly string[]> {
  const { rows } = await site.pool.query<Try>(TRIES, [String(round)])
  const tries = Map.groupBy(rows, (row) => row.endpoint_id)
  return cases.flatMap((one) => {
    const made = tries.get(one.name) ?? []
    if (made.length !== 1) return [`${one.name}: tried ${made.length} times`]
    return differences(one, made[0]!).map((difference) => `${one.name}: ${difference}`)
  })
}

/** Written down a moment after the answer. */
const WAIT_SLACK_SECONDS = 2
const DEADLINE_SLACK_MS = 1_500
const HEAD_BYTES_MAX = 2_048

function differences(expected: Expectation, made: Try): readonly string[] {
  const found: string[] = []
  if (made.http_status !== (expected.status ?? null))
    found.push(`status ${made.http_status}, not ${expected.status ?? 'none'}`)
  const isExpected = expected.error.length === 0 ? made.error === null : expected.error.includes(made.error ?? '')
  if (!isExpected) found.push(`error ${made.error}, not ${expected.error.join(' or ') || 'none'}`)
  if (made.outcome !== expected.outcome) found.push(`outcome ${made.outcome}, not ${expected.outcome}`)
  if (made.total_ms > TIMEOUT_MS + DEADLINE_SLACK_MS) found.push(`took ${made.total_ms} ms`)
  if (made.head_bytes > HEAD_BYTES_MAX) found.push(`${made.head_bytes} bytes of the answer kept`)
  if (made.response_bytes > (expected.bytesMax ?? Infinity)) found.push(`${made.response_bytes} bytes read`)
  const [from, to] = expected.waitSeconds ?? [0, 0]
  const waited = made.wait_seconds ?? 0
  if (waited < from - WAIT_SLACK_SECONDS || waited > to + WAIT_SLACK_SECONDS)
    found.push(`next try after ${waited.toFixed(1)} s, not ${from} to ${to} s`)
  return found
}
