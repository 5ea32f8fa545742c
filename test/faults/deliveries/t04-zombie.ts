import { setTimeout as delay } from 'node:timers/promises'
import { createSeededRandom } from '#demo'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultReport, FaultSettings, FaultTest } from './fault-test.ts'
import type { Answer } from './journal-receiver.ts'
import { openFaultSite, type FaultSite } from './site.ts'
import { until } from './until.ts'

const TAKE_OVER_SECONDS_MAX = 120
const REST_SECONDS_MAX = 60
const ENDPOINTS = {
  one: { timeout_ms: 1_000, max_attempts: 50, max_concurrency: 20 },
  two: { timeout_ms: 1_000, max_attempts: 50, max_concurrency: 20 },
}

export const zombie: FaultTest = {
  shows: 'a sender that stood still past its lease decides nothing when it goes on: the others took over',
  run: (settings) => runZombie(settings, true),
}

export async function runZombie(settings: FaultSettings, isLeaseFenced: boolean): Promise<FaultReport> {
  const random = createSeededRandom(settings.seed)
  const firstAnswers = Promise.withResolvers<Answer>()
  const held = new Set<string>()
  const holdCount = random.integer(8, 16)
  let zombieAddress = ''
  await using site = await openFaultSite({
    ...settings,
    affiliateIds: ['ada'],
    endpoints: ENDPOINTS,
    // The first sender never gets its answers while it stands; whoever takes over does at once.
    answer: ({ address, endpointId, txid }) => {
      if (address !== zombieAddress || held.size >= holdCount) return { status: 204 }
      held.add(`${endpointId} ${txid}`)
      return firstAnswers.promise
    },
  })
  const stopped = await site.startWorker({ isLeaseFenced })
  zombieAddress = stopped.address
  await stopped.ready
  const producer = site.startProducer({ perSecond: 40 })
  const isHolding = await until(() => held.size >= holdCount, 30)
  stopped.pause()
  settings.tell('the sender stands still')
  const other = await site.startWorker({ isLeaseFenced })
  await other.ready
  const isTakenOver = await until(() => areTakenOver(site, held, zombieAddress), TAKE_OVER_SECONDS_MAX)
  settings.tell('others took over')
  // Half of what it held was taken by the receiver, half was not: neither may matter any more.
  firstAnswers.resolve({ status: random.chance(0.5) ? 204 : 500 })
  await delay(200)
  stopped.resume()
  const { late } = await untilWritten(stopped, isLeaseFenced ? held.size : 0)
  const { committedAt } = await producer.stop()
  const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
  await site.stopWorkers()
  const { findings, counts } = await checkDeliveries({
    ...site,
    arrivals: site.receiver.arrivals,
    acknowledged: committedAt.keys(),
    endpointsOf: () => ['one', 'two'],
  })
  return {
    did: [`a sender with ${held.size} deliveries under way stood still until another had delivered them, then went on`],
    seen: {
      'deliveries held by the sender that stood still': isHolding ? held.size : 0,
      'deliveries taken over': isTakenOver ? held.size : 0,
      ...(isLeaseFenced ? { 'late outcomes that the fence rejected': late } : {}),
    },
    figures: { ...counts },
    findings: [...notAtRest(unended), ...findings],
  }
}

/** Each has come a second time, from somebody else, and has ended. */
async function areTakenOver(site: FaultSite, held: ReadonlySet<string>, zombieAddress: string): Promise<boolean> {
  const again = new Set(
    site.receiver.arrivals
      .filter(({ address, status }) => address !== zombieAddress && status !== undefined)
      .map(({ endpointId, txid }) => `${endpointId} ${txid}`),
  )
  if (![...held].every((key) => again.has(key))) return false
  const { rows } = await site.pool.query<{ key: string }>(`
    SELECT d.endpoint_id || ' ' || c.txid AS key FROM delivery_ends AS e JOIN deliveries AS d USING (delivery_id)
    JOIN conversions AS c USING (conversion_id)`)
  const ended = new Set(rows.map(({ key }) => key))
  return [...held].every((key) => ended.has(key))
}

const WRITE_MS_MAX = 10_000

/** Waits until what it held has been written down, as far as that is going to happen. */
async function untilWritten(life: FaultSite['lives'][number], lateExpected: number) {
  for (const end = performance.now() + WRITE_MS_MAX; ;) {
    const report = await life.report()
    if ((lateExpected > 0 && report.late >= lateExpected) || performance.now() > end) return report
    await delay(100)
  }
}
