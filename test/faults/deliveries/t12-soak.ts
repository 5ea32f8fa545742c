import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultTest } from './fault-test.ts'
import { openFaultSite, type FaultSite } from './site.ts'
import { countDead } from './t03-open-transaction.ts'
import type { WorkerLife } from './workers.ts'

const REST_SECONDS_MAX = 60
const SAMPLES = 60
/** What a figure may grow from the middle third of the run to the last: by a quarter, and by what is nothing. */
const GROWTH_MAX = 1.25

type Sample = {
  readonly memory_mb: number
  readonly descriptors: number
  readonly sockets: number
  readonly dead_rows: number
  readonly wal_bytes_per_delivery: number
}
const SLACK: Sample = { memory_mb: 25, descriptors: 12, sockets: 12, dead_rows: 4_000, wal_bytes_per_delivery: 600 }

export const soak: FaultTest = {
  shows: 'for minutes or hours: memory, descriptors, sockets, dead rows and WAL of each delivery do not grow',
  run: async (settings) => {
    const seconds = settings.seconds ?? (settings.isShort ? 45 : 600)
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada'],
      endpoints: { one: { max_concurrency: 20 }, two: { max_concurrency: 20 } },
      answer: ({ txid }, nth) => ({ status: nth === 1 && Number(txid) % 50 === 0 ? 500 : 204 }),
    })
    const worker = await site.startWorker()
    await worker.ready
    const producer = site.startProducer({ perSecond: 100 })
    settings.tell(`${seconds} s`)
    const samples: Sample[] = []
    let before = await readPosition(site)
    for (let index = 0; index < SAMPLES; index += 1) {
      await delay((seconds * 1000) / SAMPLES)
      const now = await readPosition(site)
      samples.push(await sample(site, worker, before, now))
      before = now
    }
    const { committedAt } = await producer.stop()
    const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
    await site.stopWorkers()
    const { findings, counts } = await checkDeliveries({
      ...site,
      arrivals: site.receiver.arrivals,
      acknowledged: committedAt.keys(),
      endpointsOf: () => ['one', 'two'],
    })
    const middle = samples.slice(SAMPLES / 3, (2 * SAMPLES) / 3)
    const last = samples.slice((2 * SAMPLES) / 3)
    const names = Object.keys(SLACK) as (keyof Sample)[]
    const grown = names.flatMap((name) => {
      const [from, to] = [median(middle, name), median(last, name)]
      return to <= from * GROWTH_MAX + SLACK[name] ? [] : [`${name.replaceAll('_', ' ')} grew from ${from} to ${to}`]
    })
    return {
      did: [`200 deliveries a second for ${seconds} s, ${SAMPLES} samples`],
      seen: { 'deliveries made': counts.deliveries, 'retries among them': counts.retries },
      figures: Object.fromEntries(names.map((name) => [name, `${median(middle, name)}, later ${median(last, name)}`])),
      findings: [...grown, ...notAtRest(unended), ...findings],
    }
  },
}

type Position = { readonly wal: number; readonly tries: number }

async function readPosition({ pool }: FaultSite): Promise<Position> {
  const { rows } = await pool.query<Position>(`
    SELECT (pg_current_wal_insert_lsn() - '0/0')::float8 AS wal, (SELECT count(*) FROM delivery_attempts)::float8 AS tries`)
  return rows[0]!
}

async function sample(site: FaultSite, worker: WorkerLife, before: Position, now: Position): Promise<Sample> {
  const { memoryBytes } = await worker.report()
  const open = readdirSync(`/proc/${worker.pid}/fd`).map((descriptor) => targetOf(worker.pid, descriptor))
  return {
    memory_mb: Math.round(memoryBytes / (1 << 20)),
    descriptors: open.length,
    sockets: open.filter((target) => target.startsWith('socket:')).length,
    dead_rows: await countDead(site),
    wal_bytes_per_delivery: Math.round((now.wal - before.wal) / Math.max(1, now.tries - before.tries)),
  }
}

function targetOf(pid: number, descriptor: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${descriptor}`)
  } catch {
    // Closed since the list was read.
    return ''
  }
}

function median(samples: readonly Sample[], name: keyof Sample): number {
  const sorted = samples.map((one) => one[name]).toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
