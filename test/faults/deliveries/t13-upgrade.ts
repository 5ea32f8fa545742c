import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createSeededRandom } from '#demo'
import { checkDeliveries } from './check-deliveries.ts'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultTest } from './fault-test.ts'
import { openFaultSite } from './site.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const REST_SECONDS_MAX = 120
const ENDPOINTS = { one: { timeout_ms: 1_000, max_attempts: 50 }, two: { timeout_ms: 1_000, max_attempts: 50 } }

export const upgrade: FaultTest = {
  shows: 'workers of an older revision and of this one side by side under load, forward and back, on the new schema',
  run: async (settings) => {
    const stepSeconds = (settings.seconds ?? (settings.isShort ? 12 : 60)) / 4
    const random = createSeededRandom(settings.seed)
    const revision = settings.oldRevision ?? 'HEAD~1'
    const older = unpack(revision, join(settings.directory, 'old'))
    if ('refusal' in older) return { did: [], seen: {}, findings: [`${revision} cannot be unpacked: ${older.refusal}`] }
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada'],
      endpoints: ENDPOINTS,
      answer: (_arrival, nth) => ({
        status: nth === 1 && random.chance(0.05) ? 500 : 204,
        delayMs: random.integer(0, 60),
      }),
    })
    const startOld = () => site.startWorker({}, { module: older.module })
    const [first, second] = await Promise.all([startOld(), startOld()])
    await Promise.all([first.ready, second.ready])
    const producer = site.startProducer({ perSecond: 60 })
    const step = async (what: string): Promise<void> => {
      settings.tell(what)
      await delay(stepSeconds * 1000)
    }
    await step('old ones alone')
    await first.stop()
    const third = await site.startWorker()
    await third.ready
    await step('one of each')
    // An endpoint that the old worker, which has the configuration of its start, does not know.
    await site.configure({ later: { timeout_ms: 1_000, max_attempts: 50 } })
    const fourth = await site.startWorker()
    await fourth.ready
    await step('one old, one new, one new with a newer configuration')
    await third.stop()
    const back = await startOld()
    await back.ready
    await step('one taken back')
    const mixed = deliveredBy(site.receiver.arrivals)
    await second.kill()
    await back.stop()
    const { committedAt } = await producer.stop()
    const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
    await site.stopWorkers()
    const { findings, counts } = await checkDeliveries({
      ...site,
      arrivals: site.receiver.arrivals,
      acknowledged: committedAt.keys(),
      endpointsOf: () => Object.keys(ENDPOINTS),
    })
    return {
      did: [
        `revision ${revision} and the working copy: old alone, one of each, a newer configuration, one taken back, a kill`,
      ],
      seen: {
        'deliveries by old workers': mixed([first, second, back].map(({ address }) => address)),
        'deliveries by new workers': mixed([third, fourth].map(({ address }) => address)),
        'deliveries to an endpoint that old ones do not know': site.receiver.arrivals.filter((one) => one.endpointId === 'later').length, // prettier-ignore
      },
      figures: { ...counts },
      skipped: ['the old revision on its own, older schema: what is new always finds a migrated database'],
      findings: [...notAtRest(unended), ...findings],
    }
  },
}

const deliveredBy =
  (arrivals: readonly { readonly address: string }[]) =>
  (addresses: readonly string[]): number =>
    arrivals.filter(({ address }) => addresses.includes(address)).length

/** The engine of another revision with this run's worker process on top: it imports nothing else of the fault tests. */
function unpack(revision: string, directory: string): { readonly module: URL } | { readonly refusal: string } {
  mkdirSync(directory)
  try {
    const archive = execFileSync('git', ['archive', revision, 'src', 'migrations', 'package.json'], { cwd: ROOT, maxBuffer: 256 << 20, stdio: ['ignore', 'pipe', 'pipe'] }) // prettier-ignore
    execFileSync('tar', ['-x'], { cwd: directory, input: archive })
  } catch (error) {
    return { refusal: (error as Error).message.trim().split('\n').at(-1)! }
  }
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const module = join(directory, 'worker-process.ts')
  copyFileSync(new URL('./worker-process.ts', import.meta.url), module)
  return { module: pathToFileURL(module) }
}
