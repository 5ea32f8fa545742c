import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { applyConfiguration, findVersion } from '#configuration'
import { createLogLines } from '#platform/log-lines'
import {
  createPool,
  migratePostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type Pool,
} from '#platform/postgres'
import { givenSecretKeys, useSecretKeys } from '#secrets'
import { startJournalReceiver, type Answer, type Arrival, type JournalReceiver } from './journal-receiver.ts'
import { startProducer, type Producer } from './producer.ts'
import type { ProducerInput } from './producer-process.ts'
import type { WorkerInput } from './worker-process.ts'
import { startWorkerLife, type StartOptions, type WorkerLife } from './workers.ts'

/** A database, a receiver and as many processes as a test wants, all on loopback.
 *
 *   producer ──▶ PostgreSQL ◀── workers ──▶ receiver (127.0.0.1 and an address for each life of a worker)
 */
export type FaultSite = AsyncDisposable & {
  readonly databaseUrl: string
  readonly pool: Pool
  readonly postgres: EmbeddedPostgres
  readonly receiver: JournalReceiver
  /** Every worker that was ever started, in that order. */
  readonly lives: readonly WorkerLife[]
  readonly startWorker: (
    over?: Partial<WorkerInput>,
    how?: Omit<StartOptions, 'input' | 'logDir'>,
  ) => Promise<WorkerLife>
  /** Lets all that run finish: then everything that they had under way is on record. */
  readonly stopWorkers: () => Promise<void>
  /** Several need numbers of their own. */
  readonly startProducer: (over: Partial<ProducerInput> & Pick<ProducerInput, 'perSecond'>) => Producer
  /** Applies another set of endpoints on top of what there is. */
  readonly configure: (endpoints: Endpoints) => Promise<void>
}

/** Endpoints as in a configuration file, by id; where they are and their secret are added. */
export type Endpoints = Readonly<Record<string, object>>

export type SiteOptions = {
  readonly directory: string
  readonly seed: number
  readonly affiliateIds: readonly string[]
  readonly endpoints: Endpoints
  readonly answer: (arrival: Arrival, nth: number) => Answer | Promise<Answer>
  /** Of the database; default: within `directory`. */
  readonly postgresDir?: string
  /** Of PostgreSQL. */
  readonly settings?: Readonly<Record<string, string>>
}

const PASSWORD = 'fault-run'
const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
/** Workers have few slots, so that the bound on duplicates is a tight one. */
export const SLOTS = 32
/** The reconciliation leaves alone what happened right after a configuration came into force. */
const CONFIGURED_AGO_MS = 3_600_000

export async function openFaultSite(options: SiteOptions): Promise<FaultSite> {
  const { directory, seed } = options
  const logDir = join(directory, 'logs')
  mkdirSync(logDir, { recursive: true })
  const postgres = await startEmbeddedPostgres({
    dataDir: options.postgresDir ?? join(directory, 'postgres'),
    password: PASSWORD,
    logLines: createLogLines('postgres of the fault test', 'fatal'),
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  })
  const receiver = await startJournalReceiver({
    ...options,
    journalFile: join(directory, 'arrivals.jsonl'),
    secret: SECRET,
  })
  const pool = createPool(postgres.url, { max: 3, applicationName: 'fault test', statementTimeoutMs: 0 })
  const lives: WorkerLife[] = []
  let begun = 0
  const producers: Producer[] = []
  openDatabases.add(postgres)
  const dispose = async (): Promise<void> => {
    for (const producer of producers) await producer.abandon()
    for (const life of lives) if (life.fate() === 'running') await life.kill()
    await pool.end()
    await receiver.stop()
    await postgres.stop()
    openDatabases.delete(postgres)
  }
  const snapshotFile = join(directory, 'snapshot.json')
  const configure = async (endpoints: Endpoints): Promise<void> => {
    await applyEndpoints(pool, { ...options, endpoints }, receiver.port)
    await writeSnapshot(pool, snapshotFile)
  }
  try {
    await migratePostgres(pool)
    await configure(options.endpoints)
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    databaseUrl: postgres.url,
    pool,
    postgres,
    receiver,
    lives,
    configure,
    startWorker: async (over = {}, how = {}) => {
      const address = over.address ?? addressOf((begun += 1))
      if (over.address === undefined) await receiver.listenAt(address)
      const input = {
        databaseUrl: postgres.url,
        snapshotFile,
        address,
        poolMax: 6,
        slots: SLOTS,
        isLeaseFenced: true,
        ...over,
      }
      const life = startWorkerLife({ input, logDir, ...how })
      lives.push(life)
      return life
    },
    startProducer: (over) => {
      const journalFile = join(directory, `production-${producers.length}.jsonl`)
      const fixed = { databaseUrl: postgres.url, journalFile, snapshotFile, seed, affiliateIds: options.affiliateIds }
      const producer = startProducer({ ...fixed, first: 0, repeatEvery: 5, hasOutbox: true, ...over }, logDir)
      producers.push(producer)
      return producer
    },
    stopWorkers: async () =>
      void (await Promise.all(lives.filter((life) => life.fate() === 'running').map((life) => life.stop()))),
    [Symbol.asyncDispose]: dispose,
  }
}

const openDatabases = new Set<EmbeddedPostgres>()

/** For a run that is broken off: the other processes end with this one, a database server would stay. */
export function quitDatabases(): void {
  for (const { pid } of openDatabases) if (pid !== 0) process.kill(pid, 'SIGQUIT')
}

/** All of 127.0.0.0/8 is loopback on Linux; 127.0.0.1 itself stays free for what no worker sends. */
const addressOf = (life: number): string => `127.77.${life >> 7}.${(life & 127) + 1}`

async function applyEndpoints(pool: Pool, { affiliateIds, endpoints }: SiteOptions, port: number): Promise<void> {
  const atReceiver = (id: string): object => ({
    triggers: ['lead'],
    method: 'POST',
    url: `http://receiver.test:${port}/e/${id}`,
    body: '{"txid":"{txid}"}',
    content_type: 'application/json',
    secret: SECRET,
    allow_private_address: true,
  })
  const text = JSON.stringify({
    advertisers: { acme: { currency: 'USD', domains: ['shop.example.com'] } },
    affiliates: Object.fromEntries(affiliateIds.map((id) => [id, { advertiser_ids: ['acme'] }])),
    offers: {
      lamp: {
        advertiser_id: 'acme',
        model: 'cpl',
        prices: [{ type: 'lead', payout: '3.00', revenue: '5.00' }],
        landing_url: 'https://shop.example.com/',
      },
    },
    endpoints: Object.fromEntries(Object.entries(endpoints).map(([id, own]) => [id, { ...atReceiver(id), ...own }])),
  })
  const clock = { now: () => Date.now() - CONFIGURED_AGO_MS }
  const applied = await applyConfiguration(pool, text, { by: 'fault test', clock })
  if (applied.kind !== 'applied') throw new Error(`the configuration was refused: ${JSON.stringify(applied)}`)
}

/** As a file for the other processes, older revisions of them too: what is in the database is sealed. */
async function writeSnapshot(pool: Pool, file: string): Promise<void> {
  const newest = await findVersion(pool, undefined)
  writeFileSync(`${file}.new`, JSON.stringify(newest!.snapshot), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'fault').toString('base64')]))
