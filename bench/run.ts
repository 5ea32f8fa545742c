import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readConfig } from '#config'
import { repositoryDir } from '../test/e2e/installation.ts'
import { CONFIGURATION, prepareBenchSite } from './bench-site.ts'
import { measureDeliveries } from './deliveries/measure-deliveries.ts'
import { loadTool } from './load.ts'
import { measureDrain } from './measure-drain.ts'
import { largeConfiguration } from './large-configuration.ts'
import { measureEdge, measureLargeEdge } from './measure-edge.ts'
import { measureRest } from './measure-rest.ts'
import { measureReports } from './reports/measure-reports.ts'
import { formatTable, isMet, rowNames, rows, type Figure, type RowName } from './rows.ts'

/** `npm run bench [-- row …] [--rounds N] [--seconds S] …`: measures the rows named, or all, beside a bare `node:http` server;
 * prints a Markdown table and writes every figure to bench/results/<time>.json.
 */
const resultsDir = join(repositoryDir, 'bench/results')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '256' },
    threads: { type: 'string', default: String(readConfig({}).edgeThreads) },
    records: { type: 'string', default: '1000000' },
    deliveries: { type: 'string', default: '200000' },
    hanging: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '10' },
    origins: { type: 'string', default: '1' },
    clicks: { type: 'string', default: '20000000' },
    profile: { type: 'boolean', default: false },
  },
})

export type BenchSettings = {
  /** Counted rounds of each comparison. */
  readonly rounds: number
  readonly seconds: number
  /** Of the load: visitors keep theirs open, so an edge at its limit has many. */
  readonly connections: number
  /** Of the one edge process; by default as many as it takes by itself. */
  readonly threads: number
  /** Backlog of the drain, and deliveries that wait in `delivery_backlog`. */
  readonly records: number
  /** Drained by each contender in each round. */
  readonly deliveries: number
  /** Waiting for the endpoint of `delivery_isolation` that never answers. */
  readonly hanging: number
  /** How long `delivery_xmin` holds its transaction. */
  readonly minutes: number
  /** Ports of the receiver that the 500 endpoints are spread over. */
  readonly origins: number
  /** Of the facts that reports are asked of; a tenth as many events, a hundredth as many conversions. */
  readonly clicks: number
  /** Where our delivery process leaves a CPU profile of each run; undefined: none is made. */
  readonly profileDir: string | undefined
}

const settings: BenchSettings = {
  rounds: readPositive('--rounds', values.rounds),
  seconds: readPositive('--seconds', values.seconds),
  connections: readPositive('--connections', values.connections),
  threads: readPositive('--threads', values.threads),
  records: readPositive('--records', values.records),
  deliveries: readPositive('--deliveries', values.deliveries),
  hanging: readPositive('--hanging', values.hanging),
  minutes: readPositive('--minutes', values.minutes),
  origins: readPositive('--origins', values.origins),
  clicks: readPositive('--clicks', values.clicks),
  profileDir: values.profile ? join(resultsDir, 'profiles') : undefined,
}
const restRows: readonly RowName[] = ['visible', 'start', 'memory']
const edgeRows: readonly RowName[] = ['redirect', 'redirect_short', 'event', 'latency']
const installationRows = [...restRows, ...edgeRows]
const deliveryRows = rowNames.filter((name) => /^deliver(y|ies)/.test(name))
const reportRows = rowNames.filter((name) => /^reports?_/.test(name))
const wanted = new Set(positionals.length === 0 ? rowNames : positionals.flatMap(readRows))
const figures = new Map<RowName, Figure>()
await measureAll()
report()

async function measureAll(): Promise<void> {
  const isWanted = (name: RowName): boolean => wanted.has(name)
  const keep = (name: RowName, figure: Figure): void => {
    figures.set(name, figure)
    console.error(
      `${name}: ${figure.value.toPrecision(4)} ${rows[name].bar.unit} (${isMet(rows[name].bar, figure.value) ? 'met' : 'not met'})`,
    )
  }
  if (installationRows.some(isWanted)) await measureInstallation(isWanted, keep)
  if (['redirect_loaded', 'redirect_large', 'redirect_spread'].some((name) => isWanted(name as RowName))) {
    const large = await prepareBenchSite(largeConfiguration(CONFIGURATION))
    try {
      await measureLargeEdge(large, settings, isWanted, keep)
    } finally {
      large.remove()
    }
  }
  if (isWanted('drain') || isWanted('disk')) await measureDrain(settings, isWanted, keep)
  if (deliveryRows.some(isWanted)) await measureDeliveries(settings, isWanted, keep)
  if (reportRows.some(isWanted)) await measureReports(settings, isWanted, keep)
}

async function measureInstallation(
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  const site = await prepareBenchSite()
  try {
    // First, while the log is small: after the edge's rows the pipeline has a million records to drain and is not idle.
    if (restRows.some(isWanted)) await measureRest(site, isWanted, keep)
    if (edgeRows.some(isWanted)) await measureEdge(site, settings, isWanted, keep)
  } finally {
    site.remove()
  }
}

function report(): void {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}`
  const ordered = new Map(rowNames.flatMap((name) => (figures.has(name) ? [[name, figures.get(name)!] as const] : [])))
  console.log(`\n${machine}; load from ${loadTool}; nothing pinned: load generator and servers share the cores.\n`)
  console.log(formatTable(ordered))
  mkdirSync(resultsDir, { recursive: true })
  const at = new Date().toISOString()
  const file = join(resultsDir, `${at.replaceAll(':', '-').slice(0, 19)}.json`)
  const results = [...ordered].map(([name, figure]) => ({
    name,
    ...rows[name],
    ...figure,
    is_met: isMet(rows[name].bar, figure.value),
  }))
  writeFileSync(file, `${JSON.stringify({ at, machine, load_tool: loadTool, settings, results }, null, 2)}\n`)
  console.log(`\n${file}`)
  process.exitCode = results.every(({ is_met }) => is_met) ? 0 : 1
}

/** A row, or all rows of reports. */
function readRows(name: string): readonly RowName[] {
  if (name === 'reports') return reportRows
  const row = rowNames.find((known) => known === name)
  return row === undefined ? stopWith(`"${name}" is no row; there are reports, ${rowNames.join(', ')}.`) : [row]
}

function readPositive(name: string, text: string): number {
  const value = Number(text)
  return Number.isInteger(value) && value > 0 ? value : stopWith(`${name} ${text}: must be a whole number from 1.`)
}

function stopWith(message: string): never {
  console.error(message)
  process.exit(2)
}
