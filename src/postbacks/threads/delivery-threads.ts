/** Delivery in threads of its own, so that neither pipeline nor API wait for it, nor it for them. Each thread is a whole worker like that of
 * another process: it owns a part of the endpoints, has connections of its own and shares nothing with the others.
 *
 *   this thread ── posts: configuration, go, questions, stop ──▶ thread
 *        ▲ ── entered, counts of what is on record, answers, stopped ──┘
 *
 * A thread that dies is started again; what it had under way is tried by whoever takes its endpoints over.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Worker as Thread } from 'node:worker_threads'
import type { LogLines } from '#platform/log-lines'
import type { SnapshotFollower } from '#snapshots'
import type { AttemptCounts } from '../metrics/delivery-metrics.ts'
import { printTrySeries, printWorkerSeries, type Workload } from '../metrics/delivery-series.ts'
import { joinSeries, SERIES_MAX, type TryCounts } from '../metrics/endpoint-counts.ts'
import type { Configured } from '../worker/worker.ts'

/** Where the keys of sealed headers and secrets are: a file that may get new ones, or the keys themselves. */
export type SecretKeySource = { readonly file: string } | { readonly keys: readonly string[] }

/** What a thread starts with. */
export type ThreadStart = {
  readonly databaseUrl: string
  readonly secretKeys: SecretKeySource
  readonly configured: Configured | undefined
  /** URL. */
  readonly proxy: string | undefined
  readonly isLeaseFenced: boolean
  readonly logLevel: string
  /** How many threads share the limits of the process. */
  readonly threads: number
  /** Deliveries under way to one host at most, of all threads together. */
  readonly perHostMax: number
  /** Endpoints with series of their own. */
  readonly seriesMax: number
}

/** Of one thread, for /metrics. */
export type Figures = { readonly series: ReadonlyMap<string, TryCounts>; readonly workload: Workload }

export type ToThread =
  | { readonly kind: 'configured'; readonly configured: Configured }
  | { readonly kind: 'begin' }
  | { readonly kind: 'read_figures'; readonly question: number }
  | { readonly kind: 'stop' }

export type FromThread =
  /** It counts among the workers, and has taken no endpoints yet. */
  | { readonly kind: 'entered' }
  | { readonly kind: 'recorded'; readonly counts: AttemptCounts }
  | { readonly kind: 'figures'; readonly question: number; readonly figures: Figures }
  | { readonly kind: 'stopped' }

export type DeliveryThreadsOptions = Omit<ThreadStart, 'configured' | 'proxy' | 'seriesMax'> & {
  readonly snapshots: Pick<SnapshotFollower, 'current' | 'onChange'>
  readonly proxy: URL | undefined
  readonly logLines: LogLines
  /** Called after each commit of outcomes with how many there were of each. */
  readonly onRecorded?: (counts: AttemptCounts) => void
}

export type DeliveryThreads = {
  /** Tries of this process. */
  readonly attempts: () => AttemptCounts
  /** Text for /metrics: tries by endpoint, and what there is to do. A thread that does not answer within a second is left out. */
  readonly metrics: () => Promise<string>
  /** Lets what is under way finish, writes the outcomes down. */
  readonly stop: () => Promise<void>
}

/** Who enters alone takes all endpoints and gives half of them back to the next: the first share waits so long for the others. */
const ENTER_TOGETHER_MS = 2_000
const RESTART_MS = 1_000
const ANSWER_MS = 1_000
/** Of a third of it the collector makes one half of the young generation: messages live for about as long as it takes to fill the default of
 * 16 MB, and would be copied again and again.
 */
const YOUNG_GENERATION_MB = 96

/** Starts the threads. They never fail for long: while PostgreSQL is away they wait for it. */
export function startDeliveryThreads(options: DeliveryThreadsOptions): DeliveryThreads {
  const { threads, snapshots } = options
  const counts = { delivered: 0, retry: 0, gave_up: 0, late: 0 }
  const beginning = new Beginning(threads)
  const onRecorded = (recorded: AttemptCounts): void => {
    for (const key of ['delivered', 'retry', 'gave_up', 'late'] as const) counts[key] += recorded[key]
    options.onRecorded?.(recorded)
  }
  const all = Array.from({ length: threads }, () => new DeliveryThread({ ...options, onRecorded, beginning }))
  const stopTelling = snapshots.onChange((configured) => all.forEach((thread) => thread.configure(configured)))
  return {
    attempts: () => ({ ...counts }),
    metrics: async () => printFigures(await Promise.all(all.map((thread) => thread.readFigures()))),
    stop: async () => {
      stopTelling()
      beginning.end()
      await Promise.all(all.map((thread) => thread.stop()))
    },
  }
}

function printFigures(figures: readonly Figures[]): string {
  const sum = (key: keyof Workload): number => figures.reduce((total, { workload }) => total + workload[key], 0)
  const workload = { shards: sum('shards'), underWay: sum('underWay') }
  return printTrySeries(joinSeries(figures.map(({ series }) => series))) + printWorkerSeries(workload)
}

const NO_FIGURES: Figures = { series: new Map(), workload: { shards: 0, underWay: 0 } }

/** Lets the threads take endpoints when all count among the workers, or one of them does not come to it. */
class Beginning {
  readonly #waiting: (() => void)[] = []
  readonly #threads: number
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(threads: number) {
    this.#threads = threads
  }

  enter(begin: () => void): void {
    if (this.#isOver) return begin()
    this.#waiting.push(begin)
    if (this.#waiting.length === this.#threads) return this.end()
    this.#timer ??= setTimeout(() => this.end(), ENTER_TOGETHER_MS)
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#isOver = true
    for (const begin of this.#waiting.splice(0)) begin()
  }
}

type Setting = Omit<DeliveryThreadsOptions, 'onRecorded'> & {
  readonly onRecorded: (counts: AttemptCounts) => void
  readonly beginning: Beginning
}

class DeliveryThread {
  readonly #setting: Setting
  readonly #questions = new Map<number, (figures: Figures) => void>()
  #asked = 0
  #thread: Thread
  readonly #stopped = Promise.withResolvers<void>()
  #restart: NodeJS.Timeout | undefined
  #isStopping = false

  constructor(setting: Setting) {
    this.#setting = setting
    this.#thread = this.#start()
  }

  configure({ version, endpoints }: Configured): void {
    this.#tell({ kind: 'configured', configured: { version, endpoints } })
  }

  async readFigures(): Promise<Figures> {
    const question = (this.#asked += 1)
    const answered = new Promise<Figures>((resolve) => this.#questions.set(question, resolve))
    this.#tell({ kind: 'read_figures', question })
    const figures = await Promise.race([answered, delay(ANSWER_MS, NO_FIGURES, { ref: false })])
    this.#questions.delete(question)
    return figures
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#restart)
    if (this.#thread.threadId === -1) return
    this.#tell({ kind: 'stop' })
    await this.#stopped.promise
    await this.#thread.terminate()
  }

  #tell(message: ToThread): void {
    this.#thread.postMessage(message)
  }

  #start(): Thread {
    const { databaseUrl, secretKeys, proxy, isLeaseFenced, logLevel, threads, perHostMax, snapshots, logLines } =
      this.#setting
    const current = snapshots.current()
    const start: ThreadStart = {
      ...{ databaseUrl, secretKeys, isLeaseFenced, logLevel, threads, perHostMax },
      configured: current && { version: current.version, endpoints: current.endpoints },
      proxy: proxy?.href,
      seriesMax: Math.ceil(SERIES_MAX / threads),
    }
    const thread = new Thread(new URL('delivery-thread-main.ts', import.meta.url), {
      workerData: start,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    })
    thread.on('message', (message: FromThread) => this.#hear(message))
    thread.on('error', (error) => logLines.error({ error }, 'a thread of the delivery failed'))
    thread.on('exit', () => this.#end())
    return thread
  }

  #end(): void {
    if (this.#isStopping) return this.#stopped.resolve()
    this.#setting.logLines.error({}, 'a thread of the delivery ended by itself; another is started')
    this.#restart = setTimeout(() => (this.#thread = this.#start()), RESTART_MS)
  }

  #hear(message: FromThread): void {
    switch (message.kind) {
      case 'entered':
        return this.#setting.beginning.enter(() => this.#tell({ kind: 'begin' }))
      case 'recorded':
        return this.#setting.onRecorded(message.counts)
      case 'figures':
        return this.#questions.get(message.question)?.(message.figures)
      case 'stopped':
        return this.#stopped.resolve()
      default:
        return message satisfies never
    }
  }
}
