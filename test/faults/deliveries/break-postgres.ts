import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createPool, type Pool, type Tx } from '#platform/postgres'
import type { SeededRandom } from '#demo'
import type { FaultSite } from './site.ts'
import { until } from './until.ts'

/** Ways to hurt the database. Each comes back when it works again, and says how often it found something to hurt. */

const BACK_SECONDS_MAX = 60

/** Waits until statements work again. @throws {Error} they do not within a minute */
export async function untilBack({ pool }: Pick<FaultSite, 'pool'>): Promise<void> {
  const isBack = await until(() => answers(pool), BACK_SECONDS_MAX)
  if (!isBack) throw new Error(`PostgreSQL did not come back within ${BACK_SECONDS_MAX} s`)
}

async function answers(pool: Pool): Promise<boolean> {
  try {
    await pool.query('SELECT 1')
    return true
  } catch {
    // Not back yet.
    return false
  }
}

/** "Immediate" stop: no checkpoint, every session dies; the server is started again and recovers from its log. */
export async function stopImmediately(site: FaultSite): Promise<number> {
  const { pid } = site.postgres
  if (pid === 0) return 0
  process.kill(pid, 'SIGQUIT')
  await until(() => site.postgres.pid !== pid && site.postgres.pid !== 0, BACK_SECONDS_MAX)
  await untilBack(site)
  return 1
}

const TERMINATE = `
  SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'fault test' AND random() < $1`

/** Ends sessions at random, again and again. @returns how many */
export async function terminateSessions(site: FaultSite, seconds: number, random: SeededRandom): Promise<number> {
  let ended = 0
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const { rows } = await site.pool.query<{ count: number }>(TERMINATE, [0.2 + 0.6 * random.next()])
    ended += rows[0]!.count
    await delay(random.integer(50, 300))
  }
  return ended
}

/** Takes every connection that the server has, so that whoever needs a new one is refused. @returns refusals seen */
export async function takeAllConnections(site: FaultSite, seconds: number): Promise<number> {
  const hoard = createPool(site.databaseUrl, { max: 200, applicationName: 'fault test' })
  const taken: Tx[] = []
  let refusals = 0
  try {
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      // Theirs are ended, so that they have to come back for new ones, and there are none.
      await site.pool.query(TERMINATE, [1])
      refusals += await takeConnections(hoard, taken)
      await delay(200)
    }
  } finally {
    for (const client of taken) client.release(true)
    await hoard.end()
  }
  return refusals
}

/** Takes one after the other until the server refuses. @returns 1 */
async function takeConnections(hoard: Pool, taken: Tx[]): Promise<number> {
  for (;;) {
    try {
      taken.push(await hoard.connect())
    } catch {
      // That was all of them.
      return 1
    }
  }
}

const COMMIT_DELAY_MICROS = 100_000

/** Every commit waits a tenth of a second before its flush. The sleep stands where a slow disk would take its time, in the one
 * session that flushes for all; that the flush itself is slow is not shown.
 * @returns commits of its own that took as long
 */
export async function slowCommits(site: FaultSite, seconds: number): Promise<number> {
  const set = async (...settings: readonly string[]): Promise<void> => {
    for (const setting of settings) await site.pool.query(`ALTER SYSTEM ${setting}`)
    await site.pool.query('SELECT pg_reload_conf()')
  }
  await set(`SET commit_delay = ${COMMIT_DELAY_MICROS}`, 'SET commit_siblings = 0')
  let slow = 0
  try {
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      const startedAt = performance.now()
      await site.pool.query('CREATE TABLE IF NOT EXISTS fault_probe AS SELECT 1 AS one')
      await site.pool.query('DROP TABLE fault_probe')
      if (performance.now() - startedAt > COMMIT_DELAY_MICROS / 1000) slow += 1
      await delay(100)
    }
  } finally {
    await set('RESET commit_delay', 'RESET commit_siblings')
  }
  return slow
}

/** A disk of its own in memory. @returns why there is none */
export function mountSmallDisk(directory: string, megabytes: number): string | undefined {
  mkdirSync(directory, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'tmpfs', directory], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `a tmpfs cannot be mounted here (${(error as Error).message.trim().split('\n').at(-1)})`
  }
}

export const unmountDisk = (directory: string): void => void execFileSync('umount', ['--lazy', directory])

/** Takes all space that is left, and what becomes free, for so long. @returns whether a statement that writes was refused */
export async function fillDisk(site: FaultSite, directory: string, seconds: number): Promise<number> {
  const ballast = `${directory}/ballast`
  let refused = 0
  try {
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      for (const bytes of [1 << 20, 1 << 12]) while (takes(ballast, Buffer.alloc(bytes)));
      if (!(await canWrite(site.pool))) refused += 1
      await delay(100)
    }
  } finally {
    rmSync(ballast)
  }
  await untilBack(site)
  return refused
}

async function canWrite(pool: Pool): Promise<boolean> {
  try {
    await pool.query(`CREATE TABLE fault_probe AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)`)
    await pool.query('DROP TABLE fault_probe')
    return true
  } catch {
    // No space, or the server went down for want of it.
    return false
  }
}

/** @returns false when the disk is full */
function takes(ballast: string, block: Buffer): boolean {
  try {
    appendFileSync(ballast, block)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}
