import { setTimeout as delay } from 'node:timers/promises'
import { startAnswering, type AnsweringProcess } from './answering-process.ts'
import type { OurAnswers } from './contenders/ours.ts'
import type { Database } from './delivery-database.ts'
import { startProducer, type Producer } from './produce.ts'
import type { Receiver } from './receiver.ts'
import type { ReceivingSite } from './site.ts'

/** A delivery worker and a producer of conversions, each a process of its own, on a fresh database. */
export type WorkerSite = AsyncDisposable & {
  readonly database: Database
  readonly producer: Producer
  /** Not started yet. */
  readonly worker: AnsweringProcess<OurAnswers>
  /** Resolves when so many different messages have come. @throws {Error} some have not after half a minute without any */
  readonly arrived: (count: number) => Promise<void>
}

export async function openWorkerSite(
  { receiver, databases, processOptions }: ReceivingSite,
  { profileDir, timesClaims = false }: { readonly profileDir: string | undefined; readonly timesClaims?: boolean },
): Promise<WorkerSite> {
  const database = await databases.createOurs()
  const producer = await startProducer(database.url)
  const worker = startAnswering<OurAnswers>(new URL('./contenders/ours.ts', import.meta.url), processOptions)
  await worker.ask('open', { databaseUrl: database.url, profileDir, timesClaims })
  await receiver.forget()
  return {
    database,
    producer,
    worker,
    arrived: (count) => allArrived(receiver, count),
    [Symbol.asyncDispose]: async () => {
      await worker.ask('close')
      await worker.stop()
      await producer.stop()
      await database.drop()
    },
  }
}

const LOOK_EVERY_MS = 50
const STILL_MS_MAX = 30_000

async function allArrived(receiver: Receiver, count: number): Promise<void> {
  let different = 0
  let since = performance.now()
  for (;;) {
    const report = await receiver.report()
    if (report.different >= count) return
    if (report.different > different) {
      different = report.different
      since = performance.now()
    }
    if (performance.now() - since > STILL_MS_MAX)
      throw new Error(`${report.different} of ${count} messages arrived, and no more for ${STILL_MS_MAX / 1000} s`)
    await delay(LOOK_EVERY_MS)
  }
}
