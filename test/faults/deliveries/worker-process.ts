/** A delivery worker as a process of its own: the real engine on a real database, told from outside when to stop. It imports nothing of
 * the fault tests, so that it can be copied into another revision of this repository and run against that one's engine.
 */
import { readFileSync } from 'node:fs'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { createPool, type Pool } from '#platform/postgres'
import { startDelivery } from '#postbacks'
import type { Snapshot } from '#routing'

export type WorkerInput = {
  readonly databaseUrl: string
  /** Loopback address that every name resolves to: the receiver tells workers apart by it. */
  readonly address: string
  /** Connections to PostgreSQL at most. */
  readonly poolMax: number
  /** Deliveries under way at most. */
  readonly slots: number
  /** The configuration, opened: it stays the one of the start. */
  readonly snapshotFile: string
  /** False: a worker that lost its lease decides all the same. */
  readonly isLeaseFenced: boolean
}

type WorkerQuestion = { readonly id: number; readonly name: string }

/** Of one worker since its last report. */
export type WorkerReport = {
  readonly late: number
  readonly delivered: number
  /** How long statements took that read what is due and found something, milliseconds. */
  readonly readsMs: readonly number[]
  readonly memoryBytes: number
}

const input = JSON.parse(process.argv[2]!) as WorkerInput
const logLines = createLogLines(`delivery at ${input.address}`, 'info')
const pool = createPool(input.databaseUrl, { max: input.poolMax, applicationName: 'fault worker' })
const takeReads = timeReads(pool)
const snapshot = JSON.parse(readFileSync(input.snapshotFile, 'utf8')) as Snapshot
const delivery = startDelivery({
  pool,
  logLines,
  clock: systemClock,
  snapshots: { current: () => snapshot },
  resolveHost: () => Promise.resolve([input.address]),
  concurrencyMax: input.slots,
  isLeaseFenced: input.isLeaseFenced,
})

process.on('message', ({ id, name }: WorkerQuestion) => {
  // Other messages are for what was preloaded.
  if (name === 'report' || name === 'stop') void answer(id, name)
})
process.on('disconnect', () => process.exit(1))
process.send?.({ id: 0 })

async function answer(id: number, name: 'report' | 'stop'): Promise<void> {
  if (name === 'stop') await delivery.stop()
  const { late, delivered } = delivery.attempts()
  const report: WorkerReport = { late, delivered, readsMs: takeReads(), memoryBytes: process.memoryUsage.rss() }
  if (name === 'stop') await pool.end()
  // It must have gone out before the process does.
  process.send?.({ id, report }, () => {
    if (name === 'stop') process.exit(0)
  })
}

/** Times the statements that read from the table of what is due, whatever else they do, on the connections themselves. */
function timeReads(pool: Pool): () => readonly number[] {
  let times: number[] = []
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...input: unknown[]) => unknown
    client.query = ((...input: unknown[]) => {
      const callback = input.at(-1)
      if (typeof callback !== 'function' || !/FROM delivery_ready\b/.test(textOf(input[0]))) return query(...input)
      const startedAt = performance.now()
      return query(
        ...input.slice(0, -1),
        (error: unknown, result: { readonly rowCount: number | null } | undefined) => {
          if ((result?.rowCount ?? 0) > 0) times.push(performance.now() - startedAt)
          ;(callback as (error: unknown, result: unknown) => void)(error, result)
        },
      )
    }) as typeof client.query
  })
  return () => {
    const taken = times
    times = []
    return taken
  }
}

function textOf(statement: unknown): string {
  if (typeof statement === 'string') return statement
  const text = (statement as { readonly text?: unknown } | undefined)?.text
  return typeof text === 'string' ? text : ''
}
