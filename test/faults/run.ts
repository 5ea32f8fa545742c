import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { faultGuards, type FaultGuard } from '#config'
import { mustBeZero, type Comparison } from './compare-with-journal.ts'
import { runCrashScenario, type CrashOutcome, type CrashPlan } from './crash-scenario.ts'
import { runFullDiskScenario, type FullDiskOutcome } from './full-disk-scenario.ts'
import { run as runSsrf } from './ssrf.ts'

/** `npm run faults`: breaks an installation of its own at random moments and compares every promise with what it holds.
 *
 *   --short            about a minute, as in CI
 *   --seed N           the same moments and traffic again (processes still run as the machine lets them)
 *   --without GUARD    one guard off: the run must go red (flush, token, position, fence, outbox)
 *   --prove            every guard off in turn; exits 0 only when each run went red
 *   t6                 not that, but everything that could lead a postback to where it may not go; takes --seed
 *   --keep             leaves data, logs and journal where they are; a run that goes red against all guards leaves them anyway
 */
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string' },
    without: { type: 'string', default: '' },
    prove: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
})

const LONG: Omit<CrashPlan, 'seed' | 'guardsOff'> = {
  clicksPerSecond: 200,
  stormSeconds: 180,
  faultEverySeconds: 2.5,
  outageSeconds: 15,
  quietSecondsMax: 120,
}
const SHORT: typeof LONG = {
  clicksPerSecond: 120,
  stormSeconds: 22,
  faultEverySeconds: 1.6,
  outageSeconds: 5,
  quietSecondsMax: 60,
}

const startedAt = performance.now()
/** For the person who waits; the result alone goes to standard output. */
function tellPhase(phase: string): void {
  console.error(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${phase}`)
}

/** @returns exit code: 0 where every promise was kept */
async function runOnce(runSeed: number, guard: FaultGuard | ''): Promise<number> {
  console.log(`Fault run, seed ${runSeed}${guard === '' ? '' : `, WITHOUT the guard "${guard}"`}\n`)
  const outcome = await inWorkDirectory(
    (directory) =>
      runCrashScenario({ seed: runSeed, guardsOff: guard, ...(options.short ? SHORT : LONG) }, directory, tellPhase),
    guard !== '',
  )
  printCrashes(outcome)
  const findings = [...outcome.findings]
  if (guard === '') {
    const disk = await inWorkDirectory((directory) => runFullDiskScenario(runSeed, directory), false)
    printFullDisk(disk)
    findings.push(...disk.findings)
  }
  console.log(
    findings.length === 0 ? '\nEvery promise was kept.' : `\nRED:\n${findings.map((one) => `- ${one}`).join('\n')}`,
  )
  return findings.length === 0 ? 0 : 1
}

/** What must be found without a guard: a run that is red for another reason proves nothing about it. */
const SIGNS: Readonly<Record<FaultGuard, readonly (keyof Comparison)[]>> = {
  flush: ['clicks_lost', 'events_lost'],
  token: ['clicks_counted_twice', 'events_counted_twice', 'conversions_miscounted'],
  position: ['clicks_lost', 'events_lost', 'conversions_lost'],
  fence: ['deliveries_contradictory'],
  outbox: ['deliveries_missing', 'deliveries_of_nothing'],
}

/** A guard whose absence nobody notices guards nothing: each run must go red. */
async function prove(runSeed: number): Promise<number> {
  const rows: string[] = []
  let unnoticed = 0
  for (const guard of ['', ...faultGuards] as const) {
    const outcome = await inWorkDirectory(
      (directory) =>
        runCrashScenario({ seed: runSeed, guardsOff: guard, ...SHORT, outageSeconds: 3 }, directory, tellPhase),
      guard !== '',
    )
    const isRed = outcome.findings.length > 0
    const isRight = guard === '' ? !isRed : SIGNS[guard].some((name) => outcome.comparison[name] > 0)
    if (!isRight) unnoticed += 1
    rows.push(
      `| ${guard === '' ? 'none' : guard} | ${isRed ? 'red' : 'green'}${isRight ? '' : ', **not as it must be**'} | ${outcome.findings.join('; ').slice(0, 300)} |`,
    )
    console.log(rows.at(-1))
  }
  console.log(`\n| guard switched off | run | what it found |\n|---|---|---|\n${rows.join('\n')}`)
  return unnoticed === 0 ? 0 : 1
}

type Outcome = { readonly findings: readonly string[] }

/** @param isExpectedRed whether findings are what the run is for: then there is nothing to look into afterwards */
async function inWorkDirectory<Result extends Outcome>(
  work: (directory: string) => Promise<Result>,
  isExpectedRed: boolean,
): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'waypost-faults-'))
  let isKept = options.keep
  try {
    const outcome = await work(directory)
    isKept ||= !isExpectedRed && outcome.findings.length > 0
    return outcome
  } finally {
    if (isKept) console.log(`Data, logs and journal are kept in ${directory}`)
    else rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

function printCrashes({ faults, load, comparison, outage, reconcile }: CrashOutcome): void {
  const kills = Object.entries(faults).map(([name, count]) => `${count} × ${name}`)
  console.log(`Faults: ${kills.join(', ')}`)
  console.log(
    `Sent: ${load.clicks_sent} clicks (${load.clicks_failed} not answered), ${load.repeats} repeats on purpose\n`,
  )
  console.log('| what | number | |\n|---|---|---|')
  for (const [name, count] of Object.entries(comparison)) {
    const mustBe = (mustBeZero as readonly string[]).includes(name)
      ? count === 0
        ? 'as it must be'
        : '**must be 0**'
      : ''
    console.log(`| ${name.replaceAll('_', ' ')} | ${count} | ${mustBe} |`)
  }
  if (outage !== undefined) {
    const { clicks_redirected, clicks_failed, edge_restart_ms } = outage
    console.log(
      `| clicks redirected, and failed, while PostgreSQL was away | ${clicks_redirected}, ${clicks_failed} | |`,
    )
    console.log(`| edge killed meanwhile, to its next redirect | ${edge_restart_ms} ms | |`)
  }
  for (const [how, { code, output }] of Object.entries(reconcile)) {
    const differing = output.split('\n').filter((line) => line !== '' && !line.startsWith('ok '))
    console.log(`\nwaypost reconcile (${how}): exit ${code}\n${differing.join('\n')}`)
  }
}

function printFullDisk(outcome: FullDiskOutcome): void {
  if (outcome.kind === 'skipped') return console.log(`\nFull disk: skipped, ${outcome.why}`)
  console.log(
    `\nFull disk: ${outcome.acknowledged} clicks acknowledged, then ${outcome.refused} answered 503, ${outcome.after} more after space was made; lost: ${outcome.lost}`,
  )
}

function runAsked(): Promise<number> {
  const [name, ...rest] = positionals
  if (rest.length > 0 || (name !== undefined && name !== 't6'))
    stopWith(`${positionals.join(' ')}: the one test by name is t6.`)
  if (name === 't6') return runSsrf({ seed })
  return options.prove ? prove(seed) : runOnce(seed, readGuard(options.without))
}

function readInteger(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) stopWith(`${name} ${text}: must be a whole number.`)
  return value
}

function readGuard(text: string): FaultGuard | '' {
  const guard = ['' as const, ...faultGuards].find((known) => known === text)
  return guard ?? stopWith(`--without ${text}: must be one of ${faultGuards.join(', ')}.`)
}

function stopWith(message: string): never {
  console.error(message)
  process.exit(2)
}

const seed = options.seed === undefined ? Math.floor(Math.random() * 1_000_000) : readInteger('--seed', options.seed)
const exitCode = await runAsked()
// A connection that some kill left half open must not keep a finished run waiting.
process.exit(exitCode)
