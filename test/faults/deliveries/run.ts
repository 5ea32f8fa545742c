import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { verdictOf, type FaultReport, type FaultTest } from './fault-test.ts'
import { faultTests, shortTests } from './fault-tests.ts'
import { quitDatabases } from './site.ts'

/** `npm run faults -- deliveries <test>`: one fault test of the delivery engine, or several one after the other.
 *
 *   list               what each test shows
 *   all, short         every test; those of them that are quick enough for every change
 *   --seed N           the same moments and traffic again (processes still run as the machine lets them)
 *   --seconds S        how long the faulty part lasts
 *   --short            the same with less of it
 *   --old REVISION     whose workers run beside those of the working copy (t13; default: the commit before)
 *   --keep             leaves data, logs and journals where they are; a run that goes red leaves them anyway
 */
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string' },
    short: { type: 'boolean', default: false },
    old: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})

function namesOf(asked: readonly string[]): readonly string[] {
  const names = asked.flatMap((name) => (name === 'all' ? Object.keys(faultTests) : [name]))
  const unknown = names.find((name) => !(name in faultTests))
  if (names.length === 0 || unknown !== undefined)
    stopWith(`${unknown ?? 'no test'}: must be list, all, short or some of ${Object.keys(faultTests).join(', ')}.`)
  return names
}

function readNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) stopWith(`${name} ${text}: must be a whole number.`)
  return value
}

function stopWith(message: string): never {
  console.error(message)
  process.exit(2)
}

const isShort = options.short || positionals[0] === 'short'

/** A run that hangs must not hold up whoever started it. */
function minutesMax(): number {
  if (isShort) return 6
  return 60 + Math.ceil(Number(options.seconds ?? 0) / 6)
}

async function runOnce(name: string, test: FaultTest, seed: number): Promise<boolean> {
  const startedAt = performance.now()
  const seconds = (): string => ((performance.now() - startedAt) / 1000).toFixed(0)
  // Told together at the end: others may run meanwhile.
  const lines = [`\nDeliveries ${name}, seed ${seed}: ${test.shows}`]
  const say = (line: string): void => void lines.push(line)
  const directory = mkdtempSync(join(tmpdir(), `waypost-faults-${name}-`))
  let isKept = true
  const deadline = setTimeout(() => {
    console.log(`RED: ${name} (seed ${seed}) did not end within ${minutesMax()} minutes`)
    quitDatabases()
    process.exit(1)
  }, minutesMax() * 60_000)
  try {
    const report = await test.run({
      seed,
      seconds: options.seconds === undefined ? undefined : readNumber('--seconds', options.seconds),
      isShort,
      directory,
      oldRevision: options.old,
      tell: (phase) => console.error(`${seconds().padStart(4)} s  ${name}: ${phase}`),
    })
    const findings = verdictOf(report)
    for (const line of linesOf(report, findings)) say(line)
    say(`${findings.length === 0 ? 'Green' : 'RED'} after ${seconds()} s (${name}, seed ${seed})`)
    isKept = options.keep || findings.length > 0
    return findings.length === 0
  } catch (error) {
    say(`RED: the run itself broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    return false
  } finally {
    clearTimeout(deadline)
    if (isKept) say(`Data, logs and journals are kept in ${directory}`)
    else rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    console.log(lines.join('\n'))
  }
}

function linesOf(
  { did, seen, figures = {}, skipped = [] }: FaultReport,
  findings: readonly string[],
): readonly string[] {
  return [
    ...did,
    ...Object.entries(seen).map(([what, count]) => `saw ${String(count).padStart(6)} × ${what}`),
    ...Object.entries(figures).map(([what, figure]) => `${what.replaceAll('_', ' ')}: ${figure}`),
    ...skipped.map((what) => `SKIPPED ${what}`),
    ...findings.map((finding) => `- ${finding}`),
  ].map((line) => `  ${line}`)
}

if (positionals[0] === 'list') {
  for (const [name, { shows }] of Object.entries(faultTests)) console.log(`${name.padEnd(4)} ${shorts(name)}  ${shows}`)
  process.exit(0)
}

function shorts(name: string): string {
  return [...shortTests.alone, ...shortTests.together].includes(name) ? 'short' : '     '
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    quitDatabases()
    process.exit(130)
  })

const seed = options.seed === undefined ? Math.floor(Math.random() * 1_000_000) : readNumber('--seed', options.seed)
const red: string[] = []

async function runAll(names: readonly string[], atOnce: number): Promise<void> {
  const left = [...names]
  const work = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined; name = left.shift())
      if (!(await runOnce(name, faultTests[name]!, seed))) red.push(name)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

if (positionals[0] === 'short') {
  // Some need the processor for themselves, the others mostly wait for leases to run out.
  await runAll(shortTests.alone, 1)
  await runAll(shortTests.together, shortTests.together.length)
} else await runAll(namesOf(positionals), 1)
if (red.length > 0) console.log(`\nRed: ${red.join(', ')}`)
// A connection that some kill left half open must not keep a finished run waiting.
process.exit(red.length === 0 ? 0 : 1)
