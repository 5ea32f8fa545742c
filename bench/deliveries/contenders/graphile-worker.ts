/** graphile-worker with the fast settings of its performance page: a local queue of 500 and batched completion.
 * @see https://worker.graphile.org/docs/performance
 */
import { Logger, makeWorkerUtils, run, type WorkerUtils } from 'graphile-worker'
import { createPool, type Pool } from '#platform/postgres'
import { answerParent } from '../answering-process.ts'
import { affiliateOf, urlOf } from '../configuration.ts'
import { messageOf } from '../message.ts'
import { createPoster, type Poster } from '../poster.ts'
import { chunksOf, timed, type Contender, type ContenderInput, type Range } from './contender.ts'
import { eventuallyEmpty } from './eventually-empty.ts'

type Post = { readonly url: string; readonly body: string }

const CONNECTIONS = 10
const LOCAL_QUEUE = 500

let input: ContenderInput
let poster: Poster
let pool: Pool
let utils: WorkerUtils
let waiting = 0

const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message)
})

answerParent({
  open: async (given: ContenderInput) => {
    input = given
    poster = createPoster()
    pool = createPool(input.databaseUrl, { max: CONNECTIONS })
    utils = await makeWorkerUtils({ pgPool: pool, logger })
    await utils.migrate()
  },
  enqueue: async (range: Range) => {
    for (const numbers of chunksOf(range))
      await utils.addJobs(
        numbers.map((number) => ({
          identifier: 'post',
          payload: { url: urlOf(number, input.origins), body: messageOf(number, affiliateOf(number)) } satisfies Post,
        })),
      )
    waiting += range.to - range.from
  },
  drain: async () => {
    const posted = Promise.withResolvers<void>()
    const post = async (payload: unknown): Promise<void> => {
      const { url, body } = payload as Post
      await poster.post(url, body)
      waiting -= 1
      if (waiting === 0) posted.resolve()
    }
    let runner: Awaited<ReturnType<typeof run>> | undefined
    const drained = await timed(async () => {
      runner = await run({
        pgPool: pool,
        logger,
        noHandleSignals: true,
        taskList: { post },
        preset: {
          worker: {
            concurrentJobs: input.concurrency,
            localQueue: { size: LOCAL_QUEUE },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
      })
      await posted.promise
      // A job's row goes when its completion is committed, a moment after the job itself is done.
      await eventuallyEmpty(pool, 'SELECT 1 FROM graphile_worker._private_jobs LIMIT 1')
    })
    await runner?.stop()
    return drained
  },
  close: async () => {
    await utils.release()
    await pool.end()
    await poster.close()
  },
} satisfies Contender)
