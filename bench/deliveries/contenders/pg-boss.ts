/** pg-boss in batches: its own fetch and complete, several batches at once, without the polling interval of its workers (half a second
 * at least), which would only slow it down.
 */
import { PgBoss } from 'pg-boss'
import { answerParent } from '../answering-process.ts'
import { affiliateOf, urlOf } from '../configuration.ts'
import { messageOf } from '../message.ts'
import { createPoster, type Poster } from '../poster.ts'
import { chunksOf, timed, type Contender, type ContenderInput, type Range } from './contender.ts'

type Post = { readonly url: string; readonly body: string }

const QUEUE = 'posts'
const BATCHES_AT_ONCE = 4

let input: ContenderInput
let poster: Poster
let boss: PgBoss

/** Takes batch after batch until none is left. */
async function workThrough(): Promise<void> {
  const batchSize = Math.ceil(input.concurrency / BATCHES_AT_ONCE)
  for (;;) {
    const jobs = await boss.fetch<Post>(QUEUE, { batchSize })
    if (jobs.length === 0) return
    await Promise.all(jobs.map(({ data }) => poster.post(data.url, data.body)))
    await boss.complete(
      QUEUE,
      jobs.map(({ id }) => id),
    )
  }
}

answerParent({
  open: async (given: ContenderInput) => {
    input = given
    poster = createPoster()
    boss = new PgBoss({ connectionString: input.databaseUrl, max: 10, supervise: false, schedule: false })
    boss.on('error', (error) => console.error(error))
    await boss.start()
    await boss.createQueue(QUEUE)
  },
  enqueue: async (range: Range) => {
    for (const numbers of chunksOf(range))
      await boss.insert(
        QUEUE,
        numbers.map((number) => ({
          data: { url: urlOf(number, input.origins), body: messageOf(number, affiliateOf(number)) } satisfies Post,
        })),
      )
  },
  drain: () => timed(async () => void (await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, workThrough)))),
  close: async () => {
    await boss.stop({ graceful: false })
    await poster.close()
  },
} satisfies Contender)
