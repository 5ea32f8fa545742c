import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readConfig } from '#config'
import { createMemoryCaps } from '#caps'
import { openEnricher, prepareGeoFiles } from '#enrichment'
import { emptyRateCounters } from '#fraud'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { encodeRecord } from '#records'
import { compileSnapshot, type Decision, type Snapshot } from '#routing'
// These two reach into modules: what they name is measured by itself, or done otherwise only with a database.
import { emptyState } from '../src/configuration/objects.ts'
import { planConfiguration } from '../src/configuration/plan.ts'
import { readFile } from '../src/configuration/read-file.ts'
import { compileConfiguration } from '../src/configuration/store.ts'
import { edgeCaps } from '../src/edge/caps.ts'
import { makeClientOrigin } from '../src/edge/client-address.ts'
import { readClickQuery, type AskedClick } from '../src/edge/click-parameters.ts'
import { addVisitor, decideClick, decideTarget, locationOf } from '../src/edge/decide-click.ts'
import { edgeLimits } from '../src/edge/limits.ts'
import { queryOf } from '../src/edge/query.ts'
import { newClickDraft, type ClickDraft } from '../src/edge/record-drafts.ts'
import { classifyTraffic } from '../src/edge/traffic-class.ts'
import { clickRequests, CONFIGURATION, largeClickRequests, shortClickRequests } from './bench-site.ts'
import { largeConfiguration } from './large-configuration.ts'
import type { LoadRequest } from './load.ts'
import { median } from './statistics.ts'

/** Measures what one click costs in the edge's own JavaScript: 20,000 requests decided, filled in and encoded round and
 * round, without HTTP and log, in all and by part. Prints one JSON object, microseconds of the main thread a click.
 * `node bench/click-cost.ts --rounds 15 --short`, or `--large` for the large configuration
 */
const { values: settings } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    short: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
  },
})

const SEED = 20_260_901
const WARM_UP_ROUNDS = 3
/** Requests between two readings of the clock: enough to make nothing of what a reading costs, and few enough that their
 * strings are as young as those of a connection.
 */
const BATCH = 500

const parts = ['origin', 'query', 'visitor', 'choose', 'fill', 'encode'] as const
type Part = (typeof parts)[number]
type Costs = Record<'all' | Part, number>

const socket = { remoteAddress: '127.0.0.1' }

const fresh = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

/** Keeps what is measured from being optimised away. */
let bytes = 0

const directory = mkdtempSync(join(tmpdir(), 'waypost-bench-click-'))
try {
  const edge = openDecider(directory)
  const live = {
    routing: compileSnapshot(snapshotOf(settings.large ? largeConfiguration(CONFIGURATION) : CONFIGURATION)),
  }
  const requests = settings.large
    ? await largeClickRequests(SEED, 'even')
    : settings.short
      ? await shortClickRequests(SEED)
      : await clickRequests(SEED)
  const rounds: Costs[] = []
  for (let round = -WARM_UP_ROUNDS; round < Number(settings.rounds); round += 1) {
    const costs = measureRound(edge, live, requests)
    if (round >= 0) rounds.push(costs)
  }
  const medianOf = (name: keyof Costs): number => Math.round(median(rounds.map((costs) => costs[name])) * 1000) / 1000
  const micros = Object.fromEntries((['all', ...parts] as const).map((name) => [name, medianOf(name)]))
  console.log(JSON.stringify({ requests: requests.length, rounds: rounds.length, micros_per_click: micros }, null, 2))
} finally {
  rmSync(directory, { recursive: true })
}

type Decider = Parameters<typeof decideClick>[0]
type Live = Parameters<typeof decideClick>[1]

/** The parts of an edge that decide, as `serve` makes them. No link of the bench brings a click id: nothing is looked up. */
function openDecider(geoDirectory: string): Decider {
  const config = readConfig({})
  return {
    limits: edgeLimits,
    sub2AllowedKeys: new Set(config.sub2AllowedKeys),
    enricher: openEnricher(prepareGeoFiles(geoDirectory)),
    caps: edgeCaps(createMemoryCaps(), systemClock, createLogLines('bench', 'error')),
    rates: emptyRateCounters,
    hotState: { getClick: () => undefined, indexPosition: () => undefined, isClaimed: () => false },
    clock: systemClock,
    originOf: makeClientOrigin(config.trustedProxies),
  }
}

function snapshotOf(configuration: string): Snapshot {
  const { wanted, issues } = planConfiguration(readFile(configuration), emptyState())
  if (issues.length > 0) throw new Error(`the configuration was refused: ${JSON.stringify(issues)}`)
  // As it comes from the disk.
  return JSON.parse(JSON.stringify(compileConfiguration(wanted, 2, Date.now()))) as Snapshot
}

function measureRound(edge: Decider, live: Live, requests: readonly LoadRequest[]): Costs {
  const costs: Costs = { all: 0, origin: 0, query: 0, visitor: 0, choose: 0, fill: 0, encode: 0 }
  for (let start = 0; start < requests.length; start += BATCH) {
    const batch = requests.slice(start, start + BATCH)
    costs.all += measureWhole(edge, live, batch.map(receive))
    measureParts(edge, live, batch.map(receive), costs)
  }
  for (const name of ['all', ...parts] as const) costs[name] /= requests.length
  return costs
}

type Received = { readonly request: IncomingMessage; readonly linkCode: string | undefined }

/** A request as Node's parser gives it: strings that nobody has looked at, headers one after the other. */
function receive({ method, path, headers }: LoadRequest): Received {
  const request = { method, url: fresh(path), headers: {} as Record<string, string>, socket }
  request.headers['host'] = fresh('127.0.0.1:8080')
  for (const [name, value] of Object.entries(headers)) request.headers[name] = fresh(value)
  return {
    request: request as unknown as IncomingMessage,
    linkCode: path.startsWith('/click?') ? undefined : fresh(path.slice(1, path.indexOf('?'))),
  }
}

function measureWhole(edge: Decider, live: Live, batch: readonly Received[]): number {
  return microsOf(() => {
    for (const { request, linkCode } of batch) {
      const { record, location } = decideClick(edge, live, request, linkCode)
      bytes += encodeRecord(record).length + location!.length
    }
  })
}

/** The same steps one after the other over the whole batch: a clock around each of them would cost more than some do. */
function measureParts(edge: Decider, live: Live, batch: readonly Received[], costs: Costs): void {
  const addresses: string[] = []
  const drafts: ClickDraft[] = []
  const asked: AskedClick[] = []
  const decisions: Decision[] = []
  costs.origin += microsOf(() => {
    for (const { request } of batch) addresses.push(edge.originOf(request).address)
  })
  costs.query += microsOf(() => {
    for (const { request, linkCode } of batch) {
      const draft = newClickDraft()
      draft.at = edge.clock.now()
      asked.push(readClickQuery(draft, queryOf(request.url!), linkCode, edge.limits, edge.sub2AllowedKeys))
      drafts.push(draft)
    }
  })
  costs.visitor += microsOf(() => {
    for (let index = 0; index < batch.length; index += 1) {
      const { request } = batch[index]!
      drafts[index]!.class = classifyTraffic(request)
      addVisitor(drafts[index]!, edge, request, addresses[index]!)
    }
  })
  costs.choose += microsOf(() => {
    for (let index = 0; index < batch.length; index += 1) {
      decisions.push(decideTarget(drafts[index]!, asked[index]!, live, { cookie: undefined, caps: undefined }))
    }
  })
  costs.fill += microsOf(() => {
    for (let index = 0; index < batch.length; index += 1) {
      bytes += locationOf(drafts[index]!, decisions[index]!, live)!.length
    }
  })
  costs.encode += microsOf(() => {
    for (const draft of drafts) bytes += encodeRecord(draft).length
  })
}

/** Processor time of this thread, so that other programs of the machine change little. */
function microsOf(work: () => void): number {
  const begin = process.threadCpuUsage()
  work()
  const { user, system } = process.threadCpuUsage(begin)
  return user + system
}
