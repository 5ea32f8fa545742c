import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { createPool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { startDelivery } from './start-delivery.ts'

/** A worker in a process of its own, to be killed. */
export type WorkerProcess = {
  /** SIGKILL. Resolves when the process is gone. */
  readonly kill: () => Promise<void>
}

type Orders = { readonly url: string; readonly snapshot: Snapshot; readonly leaseMs: number }

/** Starts a worker process on the database of a bench, killed at the end of the test if it was not before. */
export async function startWorkerProcess(t: TestContext, orders: Orders): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [import.meta.filename, JSON.stringify(orders)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  t.after(kill)
  await Promise.race([once(child.stdout, 'data'), exited])
  return { kill }
}

async function work({ url, snapshot, leaseMs }: Orders): Promise<void> {
  startDelivery({
    pool: createPool(url, { max: 6, applicationName: 'worker' }),
    snapshots: { current: () => snapshot },
    clock: systemClock,
    logLines: createLogLines('test', 'silent'),
    leaseMs,
  })
  // A test run that was killed itself leaves no worker behind.
  process.stdin.once('end', () => process.exit()).resume()
  process.stdout.write('started\n')
}

if (import.meta.main) await work(JSON.parse(process.argv[2]!) as Orders)
