import type { Figure } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { processorMicrosOfTree } from '../process-figures.ts'
import { median, roundTo } from '../statistics.ts'
import { startAnswering, type AnsweringProcess } from './answering-process.ts'
import type { Contender } from './contenders/contender.ts'
import { readDeliveryRecord, type Database, type DeliveryRecord } from './delivery-database.ts'
import { startRedis } from './redis-server.ts'
import type { DeliverySite, ReceivingSite } from './site.ts'

/** Durable queues that log no attempts. */
const peerNames = ['graphile-worker', 'bullmq', 'pg-boss'] as const
type ContenderName = 'direct' | 'direct-node-http' | 'ours' | (typeof peerNames)[number]

/** Requests under way at once, whatever was fastest for each; ours has limits of its own. A direct POST over more connections takes
 * more processor time per request.
 */
const CONCURRENCY: Readonly<Record<ContenderName, number>> = {
  ours: 0,
  direct: 64,
  'direct-node-http': 64,
  'graphile-worker': 128,
  bullmq: 256,
  'pg-boss': 256,
}

/** Delivered before the clock starts: compilers, connections and caches get warm. After fewer the compiler takes its part of what is
 * measured.
 */
const WARM_UP_SHARE = 0.25

/** One drain of one contender. */
type Run = {
  readonly per_second: number
  /** Processor time for each delivery, in microseconds. */
  readonly micros: { readonly sender: number; readonly store: number; readonly receiver: number }
  /** Arrivals beyond the first of each delivery. */
  readonly doubled: number
  readonly record?: DeliveryRecord
}

type Runs = ReadonlyMap<ContenderName, readonly Run[]>

/** What contenders run on, and the processes that store for them. */
type Ground = {
  readonly receiving: ReceivingSite
  readonly settings: BenchSettings
  readonly redisPort: number
  readonly storePids: readonly number[]
}

/** The plain row: ours beside every durable peer and beside no queue at all. A direct POST with node:http is shown with them, for no bar.
 * @returns our rate as a share of the best peer's and of the direct POST's
 */
export async function measurePlain(
  site: DeliverySite,
  settings: BenchSettings,
): Promise<{ readonly ofBestPeer: Figure; readonly ofDirect: Figure }> {
  const redis = await startRedis(site.directory)
  try {
    await using receiving = await site.openReceiver({ origins: settings.origins, hasTls: false })
    const ground = { receiving, settings, redisPort: redis.port, storePids: [site.postgresPid, redis.pid] }
    const runs = await runRounds(ground, ['direct', 'direct-node-http', 'ours', ...peerNames])
    const best = peerNames.toSorted((a, b) => rateOf(runs, b) - rateOf(runs, a))[0]!
    return { ofBestPeer: compare(runs, best), ofDirect: compare(runs, 'direct') }
  } finally {
    await redis.stop()
  }
}

/** The row over TLS: ours beside the direct POST, both with connections that stay open. */
export async function measureTls(site: DeliverySite, settings: BenchSettings): Promise<Figure> {
  await using receiving = await site.openReceiver({ origins: settings.origins, hasTls: true })
  const ground = { receiving, settings, redisPort: 0, storePids: [site.postgresPid] }
  return compare(await runRounds(ground, ['direct', 'ours']), 'direct')
}

/** Everyone once a round; the round after begins with another, so that nobody always follows the same. */
async function runRounds(ground: Ground, names: readonly ContenderName[]): Promise<Runs> {
  const runs = new Map<ContenderName, Run[]>(names.map((name) => [name, []]))
  for (let round = 0; round < ground.settings.rounds; round++) {
    const first = round % names.length
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      const run = await runOnce(ground, name)
      runs.get(name)!.push(run)
      const { sender, store, receiver } = run.micros
      const cost = `${sender} + ${store} + ${receiver} µs of sender, store and receiver`
      console.error(`  ${name}: ${run.per_second.toLocaleString('en-US')}/s, ${cost}, ${run.doubled} doubled`)
    }
  }
  return runs
}

async function runOnce(ground: Ground, name: ContenderName): Promise<Run> {
  const { databases, processOptions } = ground.receiving
  const database = await (name === 'ours' ? databases.createOurs() : databases.createEmpty())
  const contender = startAnswering<Contender>(new URL(`./contenders/${name}.ts`, import.meta.url), processOptions)
  try {
    return await drainOnce(ground, name, contender, database)
  } finally {
    await contender.stop()
    await database.drop()
  }
}

async function drainOnce(
  { receiving: { receiver }, settings, redisPort, storePids }: Ground,
  name: ContenderName,
  contender: AnsweringProcess<Contender>,
  database: Database,
): Promise<Run> {
  const count = settings.deliveries
  const warmUp = Math.ceil(count * WARM_UP_SHARE)
  const total = warmUp + count
  await receiver.forget()
  const concurrency = CONCURRENCY[name]
  await contender.ask('open', {
    ...{ databaseUrl: database.url, redisPort, origins: receiver.origins, concurrency },
    profileDir: settings.profileDir,
  })
  await contender.ask('enqueue', { from: 0, to: warmUp })
  await contender.ask('drain')
  await contender.ask('enqueue', { from: warmUp, to: total })
  await database.settle()
  const costBefore = { store: storeMicros(storePids), receiver: (await receiver.report()).processorMicros }
  const drained = await contender.ask('drain')
  const arrived = await receiver.report()
  const storeUsed = storeMicros(storePids) - costBefore.store
  if (arrived.different !== total || arrived.strange > 0)
    throw new Error(`${name}: ${arrived.different} of ${total} messages arrived, ${arrived.strange} strange ones`)
  await contender.ask('close')
  return {
    per_second: Math.round(count / drained.seconds),
    micros: {
      sender: roundTo(drained.processorMicros / count, 3),
      store: roundTo(storeUsed / count, 3),
      receiver: roundTo((arrived.processorMicros - costBefore.receiver) / count, 3),
    },
    doubled: arrived.doubled,
    ...(name === 'ours' && { record: await checkRecord(database, total, total + arrived.doubled) }),
  }
}

const storeMicros = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + processorMicrosOfTree(pid), 0)

/** @throws {Error} a delivery without its end or its attempts on record */
async function checkRecord(database: Database, deliveries: number, arrivals: number): Promise<DeliveryRecord> {
  const record = await readDeliveryRecord(database.url)
  const isWhole =
    record.deliveries === deliveries &&
    record.delivered === deliveries &&
    record.unended === 0 &&
    record.unlogged === 0 &&
    record.attempts >= arrivals
  if (!isWhole)
    throw new Error(`${deliveries} deliveries and ${arrivals} arrivals, but on record: ${JSON.stringify(record)}`)
  return record
}

const rateOf = (runs: Runs, name: ContenderName): number => median(runs.get(name)!.map(({ per_second }) => per_second))

const microsOf = (runs: Runs, name: ContenderName): number =>
  median(runs.get(name)!.map(({ micros }) => micros.sender + micros.store + micros.receiver))

/** Median of the ratios of the runs of one round. */
function compare(runs: Runs, other: ContenderName): Figure {
  const others = runs.get(other)!
  const ratios = runs.get('ours')!.map(({ per_second }, round) => per_second / others[round]!.per_second)
  const rates = [...runs.keys()].map(
    (name) =>
      `${name} ${Math.round(rateOf(runs, name)).toLocaleString('en-US')} (${Math.round(microsOf(runs, name))} µs)`,
  )
  const doubled = runs.get('ours')!.reduce((sum, run) => sum + run.doubled, 0)
  return {
    value: median(ratios),
    note: `÷ ${other}; per second, and processor time for each: ${rates.join(', ')}; nothing lost, ${doubled} doubled`,
    details: { other, ratios: ratios.map((ratio) => roundTo(ratio, 3)), runs: Object.fromEntries(runs) },
  }
}
