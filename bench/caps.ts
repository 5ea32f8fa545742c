import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { compileCaps, openSqliteCapState, type Cap } from '#caps'
import { newClickId } from '#platform/ids'
import { percentile, roundTo } from './statistics.ts'

/** Measures what a click's reservation costs: microseconds from the call to its answer, the making of its keys included, by one
 * process and by several that count on the same caps at once; then the saving of a copy. Prints one JSON object.
 * `node bench/caps.ts --clicks 20000 --processes 1,2 --directory DIR`
 */
const { values: settings } = parseArgs({
  options: {
    clicks: { type: 'string', default: '20000' },
    processes: { type: 'string', default: '1,2' },
    directory: { type: 'string', default: tmpdir() },
    /** A process of the measurement: the load that it makes. */
    load: { type: 'string' },
  },
})

const UNREACHED = 1e15
const cap = (cap_id: string, rest: Partial<Cap>): Cap => ({
  cap_id,
  metric: 'clicks',
  period: 'day',
  limit: UNREACHED,
  mode: 'hard',
  ...rest,
})

const LOADS: Readonly<Record<string, readonly Cap[]>> = {
  clicks_a_day: [cap('a', {})],
  clicks_by_affiliate_and_hour: [cap('a', { per: ['affiliate'], period: 'hour' })],
  conversions_hard: [cap('a', { metric: 'conversions' })],
  conversions_soft: [cap('a', { metric: 'conversions', mode: 'soft' })],
  four_caps: [
    cap('a', {}),
    cap('b', { per: ['country'] }),
    cap('c', { metric: 'conversions' }),
    cap('d', { metric: 'payout', per: ['affiliate'] }),
  ],
  full: [cap('a', { limit: 0 })],
}

const COUNTRIES = ['DE', 'FR', 'IT', 'ES', 'PL', 'US', 'BR', 'IN', 'ID', 'TH']

if (settings.load === undefined) await measureAll()
else await measureLoad(settings.load, settings.directory)

async function measureAll(): Promise<void> {
  const directory = mkdtempSync(join(settings.directory, 'waypost-bench-caps-'))
  try {
    const rows = []
    for (const load of Object.keys(LOADS))
      for (const processes of settings.processes.split(',').map(Number))
        rows.push({ load, processes, us: await measureTogether(load, processes, join(directory, load)) })
    console.log(JSON.stringify({ clicks: Number(settings.clicks), rows, save: await measureSave(directory) }, null, 2))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** All processes begin when the last is ready. @returns what each of them measured */
async function measureTogether(load: string, count: number, directory: string): Promise<readonly unknown[]> {
  const args = [import.meta.filename, '--clicks', settings.clicks, '--load', load, '--directory', directory]
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const lines = children.map((child) => createInterface({ input: child.stdout })[Symbol.asyncIterator]())
  await Promise.all(lines.map((line) => line.next()))
  const exits = children.map((child) => once(child, 'exit'))
  for (const child of children) child.stdin.end('go\n')
  const figures = await Promise.all(lines.map((line) => line.next()))
  await Promise.all(exits)
  return figures.map(({ value }) => JSON.parse(value ?? 'null') as unknown)
}

async function measureLoad(load: string, directory: string): Promise<void> {
  const state = openSqliteCapState({ directory })
  const caps = compileCaps(LOADS[load]!, 'Europe/Berlin')
  const clicks = Number(settings.clicks)
  const took = new Float64Array(clicks)
  const reserveOne = (index: number): void => {
    const facts = { affiliate_id: `affiliate-${index % 500}`, country: COUNTRIES[index % COUNTRIES.length]! }
    const at = Date.now()
    state.reserve(
      newClickId(at),
      at,
      caps.keysOfClick(facts, at, { payoutMicros: 2_500_000, revenueMicros: 3_000_000 }),
    )
  }
  for (let index = 0; index < 2_000; index++) reserveOne(index)
  console.log('ready')
  await once(process.stdin, 'data')
  const cpuBegin = process.cpuUsage()
  for (let index = 0; index < clicks; index++) {
    const begin = performance.now()
    reserveOne(index)
    took[index] = (performance.now() - begin) * 1_000
  }
  const cpu = process.cpuUsage(cpuBegin)
  const mean = took.reduce((sum, us) => sum + us, 0) / clicks
  const figures = {
    mean,
    p50: percentile(took, 0.5),
    p99: percentile(took, 0.99),
    cpu: (cpu.user + cpu.system) / clicks,
  }
  console.log(JSON.stringify(Object.fromEntries(Object.entries(figures).map(([name, us]) => [name, roundTo(us, 3)]))))
  await state.close()
}

/** How long a copy takes of a state in which so many clicks hold. */
async function measureSave(directory: string): Promise<unknown> {
  const state = openSqliteCapState({ directory: join(directory, 'save') })
  await state.rebuild([])
  const caps = compileCaps(LOADS['conversions_hard']!, 'UTC')
  const at = Date.now()
  const holds = Number(settings.clicks)
  for (let index = 0; index < holds; index++) state.reserve(newClickId(at), at, caps.keysOfClick({}, at))
  const begin = performance.now()
  await state.save()
  const ms = roundTo(performance.now() - begin, 3)
  await state.close()
  return { holds, ms }
}
