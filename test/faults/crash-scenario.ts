import { join } from 'node:path'
import { createSeededRandom, createVisits, defaultCityFile, pickWorldAddresses, type SeededRandom } from '#demo'
import { createPool } from '#platform/postgres'
import type { CommandResult } from '../e2e/installation.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../e2e/webhook-receiver.ts'
import {
  CAPPED_OFFER_CLICKS,
  FAULT_LINK,
  FAULT_POSTBACK_SECRET,
  startBreakableSite,
  untilAnswers,
  writeFaultConfiguration,
  type BreakableSite,
} from './breakable-site.ts'
import { compareWithJournal, mustBeZero, type Comparison } from './compare-with-journal.ts'
import { openJournal, readJournal } from './journal.ts'
import { startLoad, type LoadClient, type LoadCounts } from './load-client.ts'

export type CrashPlan = {
  readonly seed: number
  /** Guards switched off, comma-separated; empty: none. */
  readonly guardsOff: string
  readonly clicksPerSecond: number
  readonly stormSeconds: number
  /** Between two faults: U(0.5, 1.5) of this. */
  readonly faultEverySeconds: number
  /** How long PostgreSQL stays away in the middle; 0: it does not go. */
  readonly outageSeconds: number
  /** How long the installation may take to come to rest after the storm. */
  readonly quietSecondsMax: number
}

export type CrashOutcome = {
  readonly faults: Readonly<Record<string, number>>
  readonly load: LoadCounts
  readonly comparison: Comparison
  readonly outage: OutageOutcome | undefined
  /** `waypost reconcile`: asked of the running installation, then of the stopped one with the client's journal. */
  readonly reconcile: Readonly<Record<'running' | 'stopped', ReconcileOutput>>
  /** What must not be, in words; empty where everything held. */
  readonly findings: readonly string[]
}

export type ReconcileOutput = { readonly code: number | null; readonly output: string }

const outputOf = ({ code, stdout, stderr }: CommandResult): ReconcileOutput => ({ code, output: stdout || stderr })

/** Clicks while PostgreSQL was away. */
export type OutageOutcome = {
  readonly clicks_redirected: number
  /** Refused, reset, or not answered within four seconds. */
  readonly clicks_failed: number
  /** From the start of a new edge to its first redirect, without a database. */
  readonly edge_restart_ms: number
}

/** Steady load, faults at random moments, a database that goes away, then quiet, then every number compared. */
export async function runCrashScenario(
  plan: CrashPlan,
  workDir: string,
  onPhase: (phase: string) => void,
): Promise<CrashOutcome> {
  const random = createSeededRandom(plan.seed)
  const secret = `whsec_${Buffer.from(`fault run ${plan.seed}`.padEnd(32, '.')).toString('base64')}`
  const mood: Mood = { isSlow: false }
  const receiver = await startMoodyReceiver(secret, random, mood)
  const site = await startBreakableSite({
    dataDir: join(workDir, 'data'),
    guardsOff: plan.guardsOff,
    logDir: join(workDir, 'logs'),
  })
  try {
    onPhase('runs')
    await configure(site, workDir, receiver.url, secret)
    const journalFile = join(workDir, 'journal.jsonl')
    const journal = openJournal(journalFile)
    const load = startLoad({
      edgeUrl: site.edgeUrl,
      nextVisit: await visitsTo(FAULT_LINK, plan.seed),
      random,
      journal,
      clicksPerSecond: plan.clicksPerSecond,
      postbackSecret: FAULT_POSTBACK_SECRET,
    })
    const pause = await pauseDelivery(site, mood)
    const faults: FaultCounts = { 'delivery paused for longer than its leases': 1 }
    addFaults(faults, await storm(site, plan.stormSeconds / 2, plan, random))
    const outage = plan.outageSeconds === 0 ? undefined : await databaseOutage(site, load, plan.outageSeconds)
    addFaults(faults, await storm(site, plan.stormSeconds / 2, plan, random))
    await pause.isOver
    await load.stop()
    await journal.close()
    onPhase('the storm is over')
    const isQuiet = await comeToRest(site, plan.quietSecondsMax)
    onPhase('at rest')
    const running = await site.waypost('reconcile')
    onPhase('reconciled by the running installation')
    const stubborn = await site.stopRoles()
    onPhase('stopped')
    const stopped = await site.waypost('reconcile', '--acknowledged', journalFile)
    onPhase("reconciled with the client's journal")
    const comparison = await compareWithJournal(
      site.dataDir,
      site.databaseUrl,
      readJournal(journalFile),
      receiver.received,
    )
    onPhase('compared')
    const outcome = {
      faults: { ...faults, 'database outage': outage === undefined ? 0 : 1 },
      load: load.counts(),
      comparison,
      outage,
      reconcile: { running: outputOf(running), stopped: outputOf(stopped) },
    }
    return { ...outcome, findings: findingsOf(outcome, isQuiet, stubborn) }
  } finally {
    await site.stopRoles()
    await site.stopPostgres()
    await receiver.stop()
  }
}

/** Slow for every request as long as it is set. */
type Mood = { isSlow: boolean }

/** Below the deadline of the endpoint. */
const SLOW_ANSWER_MS = 700

/** A partner's server on a bad day: often late, sometimes 500 at the first try, and it always remembers what it got. */
function startMoodyReceiver(secret: string, random: SeededRandom, mood: Mood): Promise<WebhookReceiver> {
  const turnedAway = new Set<string>()
  return startWebhookReceiver({
    secret,
    answer: ({ webhookId }) => {
      const isTurnedAway = !turnedAway.has(webhookId) && random.chance(0.08)
      if (isTurnedAway) turnedAway.add(webhookId)
      const delayMs = mood.isSlow ? SLOW_ANSWER_MS : random.chance(0.3) ? 400 : random.integer(0, 20)
      return { status: isTurnedAway ? 500 : 204, delayMs }
    },
  })
}

async function configure(site: BreakableSite, workDir: string, receiverUrl: string, secret: string): Promise<void> {
  const file = join(workDir, 'waypost.yaml')
  writeFaultConfiguration(file, receiverUrl, secret)
  const applied = await site.waypost('apply', file)
  if (applied.code !== 0) throw new Error(`the configuration was refused: ${applied.stdout}${applied.stderr}`)
  await untilAnswers(`${site.edgeUrl}/${FAULT_LINK}`)
}

async function visitsTo(link: string, seed: number) {
  const random = createSeededRandom(seed + 1)
  const addresses = await pickWorldAddresses(defaultCityFile(), random)
  return createVisits({
    random,
    addresses,
    targets: [{ path: `/${link}`, weight: 1 }],
    subCount: 5,
    returningShare: 0.2,
  })
}

type FaultCounts = Record<string, number>

/** Longer than a lease: the deadline of the endpoint (1 s) and 15 s to write the outcome down. */
const PAUSE_MS = 17_500
/** So that conversions flow and both delivery processes work. */
const PAUSE_AFTER_MS = 2_500

/** The second delivery process stands still until others have taken over what it holds, then goes on as if nothing had been. The
 * receiver answers slowly before that, and nothing else is broken yet, so that it does hold something.
 * @returns resolves when it goes on
 */
async function pauseDelivery(site: BreakableSite, mood: Mood): Promise<{ readonly isOver: Promise<void> }> {
  await sleep(PAUSE_AFTER_MS)
  mood.isSlow = true
  await sleep(SLOW_ANSWER_MS)
  if (!site.delivery.pause()) throw new Error('there is no delivery process to pause')
  await sleep(SLOW_ANSWER_MS)
  mood.isSlow = false
  return { isOver: sleep(PAUSE_MS).then(() => site.delivery.resume()) }
}

/** What can go wrong, and how often beside the others. Each says whether it found something to break. */
const FAULTS: readonly {
  readonly name: string
  readonly weight: number
  readonly strike: (site: BreakableSite) => boolean
}[] = [
  { name: 'kill -9 edge', weight: 30, strike: (site) => site.edge.kill() },
  { name: 'kill -9 main', weight: 30, strike: (site) => site.main.kill() },
  { name: 'kill -9 delivery', weight: 15, strike: (site) => site.delivery.kill() },
  { name: 'kill -9 postgres', weight: 15, strike: (site) => site.killPostgres() },
  { name: 'connections cut', weight: 10, strike: (site) => (site.cutConnections(), true) },
]

async function storm(
  site: BreakableSite,
  seconds: number,
  plan: CrashPlan,
  random: SeededRandom,
): Promise<FaultCounts> {
  const faults: FaultCounts = {}
  const end = performance.now() + seconds * 1000
  for (;;) {
    const pauseMs = plan.faultEverySeconds * 1000 * (0.5 + random.next())
    if (performance.now() + pauseMs > end) return faults
    await sleep(pauseMs)
    const fault = random.pickWeighted(FAULTS)
    if (fault.strike(site)) addFaults(faults, { [fault.name]: 1 })
  }
}

function addFaults(to: FaultCounts, more: Readonly<FaultCounts>): void {
  for (const [name, count] of Object.entries(more)) to[name] = (to[name] ?? 0) + count
}

/** PostgreSQL goes away; clicks must go on, also through an edge that starts meanwhile. */
async function databaseOutage(site: BreakableSite, load: LoadClient, seconds: number): Promise<OutageOutcome> {
  await untilAnswers(`${site.edgeUrl}/healthz`)
  await site.postgresIsAway()
  const before = load.counts()
  await sleep((seconds * 1000) / 2)
  const after = load.counts()
  site.edge.kill()
  const edgeRestartMs = await untilAnswers(`${site.edgeUrl}/${FAULT_LINK}`)
  await sleep((seconds * 1000) / 2)
  await site.postgresIsBack()
  return {
    clicks_redirected: after.clicks_acknowledged - before.clicks_acknowledged,
    clicks_failed: after.clicks_failed - before.clicks_failed,
    edge_restart_ms: Math.round(edgeRestartMs),
  }
}

const WAITING = `SELECT (SELECT count(*) FROM delivery_ready)::int
  + (SELECT count(*) FROM delivery_deferred)::int + (SELECT count(*) FROM delivery_held)::int + (SELECT count(*) FROM consumer_positions WHERE pending_to IS NOT NULL)::int AS waiting,
  (SELECT coalesce(sum(position), 0) FROM consumer_positions)::text AS positions`

const REST_LOOK_MS = 500
/** So often in a row nothing may wait and no position may move. */
const REST_LOOKS = 4

/** @returns false where something still moved after the time allowed */
async function comeToRest(site: BreakableSite, secondsMax: number): Promise<boolean> {
  await untilAnswers(`${site.apiUrl}/readyz`)
  const pool = createPool(site.databaseUrl, { max: 1, applicationName: 'fault run' })
  const deadline = performance.now() + secondsMax * 1000
  let stillLooks = 0
  let lastPositions = ''
  try {
    while (performance.now() < deadline) {
      const { rows } = await pool.query<{ waiting: number; positions: string }>(WAITING)
      const { waiting, positions } = rows[0]!
      stillLooks = waiting === 0 && positions === lastPositions ? stillLooks + 1 : 0
      if (stillLooks === REST_LOOKS) return true
      lastPositions = positions
      await sleep(REST_LOOK_MS)
    }
    return false
  } finally {
    await pool.end()
  }
}

/** Generous: a busy machine starts processes slowly. How fast a start is, the bench measures. */
const EDGE_RESTART_MS_MAX = 30_000

function findingsOf(
  outcome: Omit<CrashOutcome, 'findings'>,
  isQuiet: boolean,
  stubborn: readonly string[],
): readonly string[] {
  const findings: string[] = []
  for (const name of mustBeZero)
    if (outcome.comparison[name] !== 0) findings.push(`${name}: ${outcome.comparison[name]}`)
  if (outcome.comparison.clicks_acknowledged === 0) findings.push('no click was acknowledged: the run shows nothing')
  if (outcome.comparison.caps_clicks_counted <= CAPPED_OFFER_CLICKS)
    findings.push('the cap was not reached: the run shows nothing of it')
  if (outcome.comparison.conversions_expected === 0) findings.push('no conversion was expected: the run shows nothing')
  for (const [how, { code }] of Object.entries(outcome.reconcile))
    if (code !== 0) findings.push(`reconcile (${how}) ended with ${code}`)
  if (!isQuiet) findings.push('the installation did not come to rest')
  for (const name of stubborn) findings.push(`${name} did not stop cleanly`)
  const { outage } = outcome
  if (outage !== undefined && (outage.clicks_failed > 0 || outage.clicks_redirected === 0))
    findings.push(
      `without the database ${outage.clicks_failed} clicks failed and ${outage.clicks_redirected} were redirected`,
    )
  if (outage !== undefined && outage.edge_restart_ms > EDGE_RESTART_MS_MAX)
    findings.push(`without the database an edge took ${outage.edge_restart_ms} ms to its first redirect`)
  return findings
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
